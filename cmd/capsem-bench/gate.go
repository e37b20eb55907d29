package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/digest"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/spf13/cobra"
)

// policyName is the policy that gate reads when it is there.
const policyName = "gate.toml"

// gateCommand says by its exit status whether a build may ship.
func (a *app) gateCommand() *cobra.Command {
	opt := new(compareOptions)
	cmd := &cobra.Command{
		Use:   "gate OLD NEW | gate TRIAL",
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

Only boots that alternated can block; 'capsem-bench ab' measures such boots. Of a
stored baseline the answer names what to measure again, and no more.

TRIAL is the directory of an 'ab', as is the parent of OLD and NEW where they are
its base and cand: its looks, margin and policy are taken, so the answer is ab's.

Budgets, mutes and required operations come from gate.toml in the current
directory, or from --policy.`,
		Example: `  capsem-bench gate results/ab/base results/ab/cand
  capsem-bench gate results/ab
  capsem-bench gate --format markdown baseline results/today >> "$GITHUB_STEP_SUMMARY"
  capsem-bench gate promote baseline results/boots`,
		Args: sidesOrTrial,
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

func (o *compareOptions) checkMargin() error {
	if !(o.margin >= 0 && o.margin < 1) { // also what is no number
		return usage("--margin %g: want a ratio between 0 and 1, such as 0.02 for 2 %%", o.margin)
	}
	return nil
}

func (a *app) gate(opt *compareOptions, args []string) error {
	if err := opt.checkMargin(); err != nil {
		return err
	}
	sides, err := opt.takeTrial(args)
	if err != nil {
		return exit(exitUsage, err)
	}
	c, err := a.judge(opt, sides)
	if err != nil {
		return err
	}
	d := compare.Gate(c)
	if err := a.write(opt, c, d); err != nil {
		return err
	}
	return a.decided(d, opt.format == "text")
}

func sidesOrTrial(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return twoSides(cmd, args)
}

// takeTrial returns the sides. Of a trial of 'ab' it takes what the verdict
// depends on, where no flag says otherwise.
func (o *compareOptions) takeTrial(args []string) ([]string, error) {
	dir := args[0]
	if len(args) == 2 {
		dir = filepath.Dir(filepath.Clean(args[0]))
		if filepath.Clean(args[0]) != filepath.Join(dir, ab.Base) || filepath.Clean(args[1]) != filepath.Join(dir, ab.Cand) {
			dir = ""
		}
	}
	var plan *ab.Plan
	if dir != "" {
		var err error
		switch plan, err = ab.ReadPlan(dir); {
		case errors.Is(err, fs.ErrNotExist) && len(args) == 1:
			return nil, fmt.Errorf("%s: no plan.json in it; want the directory of an 'ab', or OLD and NEW", dir)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case err != nil:
			plan = nil
		}
	}
	if plan == nil {
		if _, err := os.Stat(policyName); o.policy == "" && err == nil {
			o.policy = policyName
		}
		return args, nil
	}
	if err := o.ofTrial(plan, dir); err != nil {
		return nil, err
	}
	by := plan.Judging
	if len(o.looks) == 0 {
		o.looks = plan.Looks
	}
	if o.margin == 0 {
		o.margin = by.Margin
	}
	if len(o.ops) == 0 {
		o.ops = by.Ops
	}
	if o.policy == "" && by.Policy != "" {
		o.policy = filepath.Join(dir, ab.PolicyName)
		if sum, err := digest.File(o.policy); err != nil || sum != by.Policy {
			return nil, fmt.Errorf("%s is not the policy that the trial began with; --policy FILE judges by another", o.policy)
		}
	}
	o.vary = slices.Concat(o.vary, by.Vary, vary())
	o.noMore, o.unfit = o.noMore || by.NoMore, o.unfit || by.AcceptUnfit
	return []string{filepath.Join(dir, ab.Base), filepath.Join(dir, ab.Cand)}, nil
}

// decided turns a decision into the exit status. Its reasons are for people
// too, unless they were printed already.
func (a *app) decided(d *compare.Decision, printed bool) error {
	if printed {
		if d.Status == compare.Pass {
			return nil
		}
		return &exitError{status: int(d.Status)}
	}
	for _, r := range d.Remarks {
		fmt.Fprintln(a.stderr, "note:", termtext.Block(r))
	}
	if d.Status == compare.Pass {
		return nil
	}
	lines := append([]string{"gate: " + d.Answer()}, d.Reasons...)
	for _, p := range d.Plan {
		lines = append(lines, "next: "+p)
	}
	if d.Where != "" {
		lines = append(lines, "where "+d.Where)
	}
	return exit(int(d.Status), errors.New(strings.Join(lines, "\n  ")))
}
