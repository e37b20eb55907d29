package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/capsem/capsem-bench/compare"
	"github.com/spf13/cobra"
)

// policyName is the policy that gate reads when it is there.
const policyName = "gate.toml"

// gateCommand says by its exit status whether a build may ship.
func (a *app) gateCommand() *cobra.Command {
	opt := new(compareOptions)
	cmd := &cobra.Command{
		Use:   "gate OLD NEW",
		Short: "Say whether a build may ship: compare, as an exit status",
		Long: `gate compares as 'capsem-bench compare' does and decides. Its exit status:

  0  no regression, and the boots could have shown one
  1  a regression, each named with its interval; or something failed or vanished
  2  something could not be read
  3  cannot tell, and what would tell: too few boots for the number of metrics,
     boots whose order is not proven to have alternated, sides that are not
     comparable, a machine that was not fit

Of 5 to 7 boots a side with --no-more the answer says what they could have
shown. It is 3 where even half as much again would likely have gone unseen.

Only boots that alternated convict; 'capsem-bench ab' measures such boots. A
stored baseline may make an operation suspect, and no more.

Budgets, mutes and required operations come from gate.toml in the current
directory, or from --policy.`,
		Example: `  capsem-bench gate results/ab/base results/ab/cand
  capsem-bench gate --format markdown baseline results/today >> "$GITHUB_STEP_SUMMARY"
  capsem-bench gate promote baseline results/boots`,
		Args: twoSides,
		RunE: func(_ *cobra.Command, args []string) error { return a.gate(opt, args) },
	}
	opt.flags(cmd)
	f := cmd.Flags()
	f.Float64Var(&opt.margin, "margin", 0, "tolerate a slowdown of every operation by this `RATIO`, such as 0.02")
	f.IntSliceVar(&opt.looks, "looks", nil, "boots a side after which 'ab' looked (default 6,10,16)")
	f.BoolVar(&opt.noMore, "no-more", false, "there will be no more boots: test 5 to 7 a side, with less power")
	f.BoolVar(&opt.unfit, "accept-unfit", false, "take an unfit machine as a doubt")
	cmd.AddCommand(a.promoteCommand())
	return cmd
}

func (a *app) gate(opt *compareOptions, args []string) error {
	if opt.margin < 0 || opt.margin >= 1 {
		return usage("--margin %g: want a ratio between 0 and 1, such as 0.02 for 2 %%", opt.margin)
	}
	if _, err := os.Stat(policyName); opt.policy == "" && err == nil {
		opt.policy = policyName
	}
	c, err := a.judge(opt, args)
	if err != nil {
		return err
	}
	d := compare.Gate(c)
	if err := a.write(opt, c, d); err != nil {
		return err
	}
	return a.decided(d, opt.format == "text")
}

// decided turns a decision into the exit status. Its reasons are for people
// too, unless they were told already.
func (a *app) decided(d *compare.Decision, told bool) error {
	if told {
		if d.Status == compare.Pass {
			return nil
		}
		return &exitError{status: int(d.Status)}
	}
	for _, r := range d.Remarks {
		fmt.Fprintln(a.stderr, "note:", clean(r))
	}
	if d.Status == compare.Pass {
		return nil
	}
	lines := append([]string{"gate: " + d.Answer()}, d.Reasons...)
	for _, p := range d.Plan {
		lines = append(lines, "next: "+p)
	}
	return exit(int(d.Status), errors.New(strings.Join(lines, "\n  ")))
}
