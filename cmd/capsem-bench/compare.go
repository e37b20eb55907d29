package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/spf13/cobra"
)

// compareOptions are the flags of compare and gate.
type compareOptions struct {
	format, policy   string
	looks            []int
	vary, ops        []string
	all              bool
	force, benchstat bool
	noMore, unfit    bool
	margin           float64
	// Commands for what to do next, and what was measured again; "" is unknown.
	trial, resume, mended string
	repeats               []ab.Repeat
}

// formats are the values of --format.
func formats() []string { return []string{"text", "markdown", "json", "csv"} }

// compareCommand says what changed.
func (a *app) compareCommand() *cobra.Command {
	opt := new(compareOptions)
	cmd := &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Say what changed between two builds, with intervals",
		Long: `compare reads the boots of two builds and says per operation what changed, with
a 95 % interval, and how small a change these boots could have shown. OLD and
NEW are files of one boot each, directories of one file a boot, - for standard
input, or several of them separated by commas; benchmark text and Capsem JSON
of every known shape may be mixed.

One boot counts once, as the mean of the middle half of its rounds after one
warm-up round, of few rounds their median.
Boots whose counts, sizes, URLs, arch, accelerator, rootfs image or cache state
differ are not comparable; --force compares them all the same and says so in
every line, and --vary image takes a difference as meant.

Exit status 3 says that something was not comparable, 2 that something could
not be read. What became slower does not matter here: see 'capsem-bench gate'.`,
		Example: `  capsem-bench compare results/old results/new
  capsem-bench compare data_1.3.json results/today/bench.txt
  capsem-bench compare --format markdown old new >> "$GITHUB_STEP_SUMMARY"
  capsem-bench compare --benchstat old new`,
		Args: twoSides,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opt.benchstat {
				return a.benchstat(cmd.Context(), args)
			}
			return a.compare(opt, args)
		},
	}
	opt.flags(cmd)
	cmd.Flags().BoolVar(&opt.force, "force", false, "compare what is not comparable, and say so in every line")
	cmd.Flags().BoolVar(&opt.benchstat, "benchstat", false, "print benchstat's own table of the same boots")
	return cmd
}

func twoSides(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usage("%s: want the old and the new side, as in 'capsem-bench %s'; got %d", cmd.Name(), cmd.Use, len(args))
	}
	return nil
}

func (o *compareOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "text", "`text`, markdown, json or csv")
	f.BoolVar(&o.all, "all", false, "show every metric, also those that are not compared")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp))
	o.policyFlags(cmd)
}

// policyFlags are those by which boots are judged, whatever is printed.
func (o *compareOptions) policyFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.policy, "policy", "", "budgets, mutes and required operations from `FILE`, a gate.toml")
	f.StringSliceVar(&o.vary, "vary", nil, "what differs on purpose: "+strings.Join(compare.Varying(), ", "))
	f.StringSliceVar(&o.ops, "ops", nil, "only operations that match a `PATTERN`, such as 'snapshot/*'")
	_ = cmd.RegisterFlagCompletionFunc("vary", cobra.FixedCompletions(compare.Varying(), cobra.ShellCompDirectiveNoFileComp))
}

// judge reads both sides and compares them.
func (a *app) judge(opt *compareOptions, args []string) (*compare.Comparison, error) {
	if !slices.Contains(formats(), opt.format) {
		return nil, usage("--format %s: want %s", opt.format, strings.Join(formats(), ", "))
	}
	for _, v := range opt.vary {
		if !slices.Contains(compare.Varying(), v) {
			return nil, usage("--vary %s: want some of %s", v, strings.Join(compare.Varying(), ", "))
		}
	}
	policy, err := a.readPolicy(opt.policy)
	if err != nil {
		return nil, exit(exitUsage, err)
	}
	if opt.margin > 0 {
		policy.Margin = opt.margin
	}
	base, cand, err := a.loadSides(args)
	if err != nil {
		return nil, err
	}
	plan := compare.DefaultPlan()
	if len(opt.looks) > 0 {
		if plan, err = compare.PlanOf(opt.looks); err != nil {
			return nil, usage("--looks: %w", err)
		}
	}
	vary := opt.vary
	if opt.unfit {
		vary = append(slices.Clone(vary), "machine")
	}
	c, err := compare.Judge(base, cand, compare.Options{
		Plan: plan, Policy: policy, Vary: vary, Ops: opt.ops, Force: opt.force, NoMore: opt.noMore, Now: time.Now(),
		Trial: opt.trial, Resume: opt.resume, Mended: opt.mended, Repeats: opt.repeats,
	})
	if err != nil {
		return nil, exit(exitUsage, err)
	}
	if len(opt.ops) > 0 && len(c.Findings) == 0 {
		return nil, usage("--ops %s: no operation of these boots matches", strings.Join(opt.ops, ","))
	}
	for _, n := range c.Notes {
		fmt.Fprintln(a.stderr, "note:", termtext.Block(n))
	}
	return c, nil
}

func (a *app) readPolicy(name string) (*compare.Policy, error) {
	if name == "" {
		return compare.DefaultPolicy(), nil
	}
	in, err := a.open([]string{name})
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return compare.ReadPolicy(in[0], name)
}

func (a *app) compare(opt *compareOptions, args []string) error {
	c, err := a.judge(opt, args)
	if err != nil {
		return err
	}
	refused := c.Refused()
	if len(refused) == 0 || opt.force {
		if err := a.write(opt, c, nil); err != nil {
			return err
		}
	}
	if len(refused) > 0 && !opt.force {
		return exit(exitUnfit, fmt.Errorf("not comparable: %s; --force compares all the same", texts(refused)))
	}
	var odd []string
	for _, f := range c.Judged() {
		if f.Verdict == compare.NotComparable {
			odd = append(odd, f.Key()+": "+f.Reason)
		}
	}
	if len(odd) > 0 {
		return exit(exitUnfit, fmt.Errorf("not comparable; --force compares all the same:\n  %s", strings.Join(odd, "\n  ")))
	}
	return nil
}

func texts(ds []compare.Difference) string {
	out := make([]string, len(ds))
	for i, d := range ds {
		out[i] = d.Text
	}
	return strings.Join(out, "; ")
}

// write prints a comparison, with a decision when there is one.
func (a *app) write(opt *compareOptions, c *compare.Comparison, d *compare.Decision) error {
	var buf bytes.Buffer
	var err error
	print := a.output
	switch opt.format {
	case "text":
		print = a.show
		out := a.out()
		err = compare.WriteText(&buf, c, d, compare.TextOptions{Width: out.width(), Color: out.color, All: opt.all})
	case "markdown":
		err = compare.WriteMarkdown(&buf, c, d, opt.all)
	case "json":
		err = compare.WriteJSON(&buf, c, d)
	case "csv":
		err = compare.WriteCSV(&buf, c, d)
	}
	return errors.Join(exit(exitUnfit, err), print(buf.String()))
}
