package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/digest"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/spf13/cobra"
)

// This file has a trial whose boots are on several machines: the plan, the
// shards that any machine measures, and the judge of what is there.

// envMachine is a machine's name where a scheduler knows a better one than the
// machine itself: several nodes of a test are one machine.
const envMachine = "SLURMD_NODENAME"

func (a *app) abPlanCommand() *cobra.Command {
	opt := new(abOptions)
	kinds := a.sandboxes()
	var machines int
	var manifest manifestOptions
	cmd := &cobra.Command{
		Use:   "plan --base BUILD --cand BUILD --machines N --dir DIR [CATEGORY...]",
		Short: "Build both sides and write what a fleet is to measure",
		Long: `plan builds both sides once and writes into DIR what 'ab shard' needs on any
machine: plan.json, the builds by their SHA-256, and the policy. A stage of the
plan is divided into shards for N machines, of two pairs of boots or more each.

The builds are for this machine's architecture, or for those of --arch: sources
are built for each of them, and a directory of builds has them in directories
named amd64 and arm64. A shard on a machine of another architecture ends with
status 3.

Rounds are not timed, since the plan is made where nothing is measured: a boot
has ` + strconv.Itoa(compare.DefaultRounds) + ` without --count. A plan that is there already is kept, when it
is the same.`,
		Example: `  capsem-bench ab plan --base main --cand . --machines 5 --dir trial
  capsem-bench ab shard trial 1      on any machine, as every other shard
  capsem-bench ab judge trial
  capsem-bench ab plan --base main --cand . --machines 5 --arch amd64,arm64 --dir trial`,
		RunE: func(cmd *cobra.Command, args []string) error {
			categories, err := categories(args)
			if err != nil {
				return err
			}
			if err := manifest.check(); err != nil {
				return err
			}
			switch {
			case opt.out == "":
				return usage("ab plan: want --dir, the directory of the trial")
			case machines < 1 || machines > ab.MaxMachines:
				return usage("--machines %d: want 1 to %d", machines, ab.MaxMachines)
			}
			opt.engine.machines, opt.looksAsked = machines, cmd.Flags().Changed("looks")
			t, err := a.abPlan(cmd.Context(), opt, kinds, categories)
			if err != nil {
				return err
			}
			if manifest.kind != "" {
				return t.manifest(cmd.Context(), &manifest, 1, t.shardsOf(1))
			}
			return a.output(t.next(1, nil))
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return categoryNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	opt.flags(cmd, kinds)
	f := cmd.Flags()
	// What is different of several machines.
	f.Lookup("looks").DefValue = strings.ReplaceAll(fmt.Sprint(compare.FleetPlan(2).Looks), " ", ",")
	f.Lookup("count").Usage = fmt.Sprintf("rounds of every operation in a boot (default %d)", compare.DefaultRounds)
	f.Lookup("out").Usage = "keep everything in `DIR`; --dir is the same flag"
	f.IntVar(&machines, "machines", 0, "how many machines measure at once: `N`")
	opt.engine.archFlag(f)
	f.BoolVarP(&opt.quiet, "quiet", "q", false, "no progress")
	manifest.flags(f)
	opt.judging.format = "text"
	opt.judging.policyFlags(cmd)
	return cmd
}

// abPlan makes the plan of a fleet, or finds that it is there.
func (a *app) abPlan(ctx context.Context, opt *abOptions, kinds []sandboxKind, categories []catalogue.Category) (*abTrial, error) {
	if !opt.looksAsked {
		opt.looks = compare.FleetPlan(opt.engine.machines).Looks
	}
	if opt.engine.machines > 1 && compare.IsFew(opt.looks) {
		return nil, usage("--looks %d: so few boots are judged on one machine only; want at least %d", opt.looks[0], compare.FleetPlan(opt.engine.machines).Looks[0])
	}
	if err := opt.check(kinds); err != nil {
		return nil, err
	}
	if err := opt.checkArches(); err != nil {
		return nil, err
	}
	if err := opt.checkLooks(opt.engine.machines, categories, a.saying(opt)); err != nil {
		return nil, err
	}
	if opt.count == 0 {
		opt.count = compare.DefaultRounds
	}
	p := newProgress(a.term, opt.quiet)
	defer p.Close()
	t, err := a.newABTrial(ctx, opt, categories, opt.engine.arches, func(what string) { p.step(what, 0) })
	p.step("", 0)
	if err != nil {
		return nil, err
	}
	t.Plan.Fleet = &ab.Fleet{Machines: opt.engine.machines, OS: runtime.GOOS, Arches: opt.engine.arches, Labels: make(map[string]string)}
	for name, side := range t.sides {
		t.Plan.Fleet.Labels[name] = side.labels
	}
	if err := t.Plan.Check(); err != nil {
		return nil, exit(exitUsage, err)
	}
	if err := os.MkdirAll(t.Dir, 0o755); err != nil {
		return nil, exit(exitUnfit, err)
	}
	if err := t.Plan.Open(t.Dir); err != nil {
		return nil, t.failed(ctx, err)
	}
	t.sayCompared()
	t.sayAlike()
	return t, nil
}

// readABTrial is the trial of a fleet whose plan is in dir.
func (a *app) readABTrial(dir string) (*abTrial, error) {
	plan, err := ab.ReadPlan(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, usage("%s: no %s in it; 'capsem-bench ab plan' writes one", dir, ab.PlanName)
	case err != nil:
		return nil, exit(exitUsage, err)
	case plan.Fleet == nil:
		return nil, usage("%s: a trial on one machine; 'capsem-bench ab plan' makes one for several", dir)
	}
	opt := &abOptions{sandbox: plan.Sandbox, looks: plan.Looks, out: dir, accept: plan.Judging.AcceptUnfit}
	opt.judging.format = "text"
	if _, err := opt.judging.takeTrial([]string{dir}); err != nil {
		return nil, exit(exitUsage, err)
	}
	t := &abTrial{a: a, opt: opt, sides: make(map[string]*abSide)}
	t.Dir, t.Plan, t.AcceptUnfit = dir, *plan, opt.accept
	t.functions()
	return t, nil
}

// keptSides finds the builds that the plan kept. One that is not what it was is
// not run.
func (t *abTrial) keptSides() error {
	for _, s := range []struct {
		name string
		*ab.Build
	}{{ab.Base, &t.Plan.Base}, {ab.Cand, &t.Plan.Cand}} {
		side := &abSide{
			abBuild: &abBuild{name: s.Name, parts: make(map[string]string)},
			args:    s.Args, env: s.Env, labels: t.Plan.Fleet.Labels[s.name],
		}
		for key, sum := range s.Files {
			role, here := t.partOf(key)
			if !here {
				continue
			}
			switch role {
			case partImage: // run verifies it
				continue
			case partBin:
				for _, arg := range s.Args {
					if bin, ok := strings.CutPrefix(arg, "--bin="); ok {
						side.bin, side.binDigest = bin, sum
					}
				}
				if err := side.sameBin(s.name); err != nil {
					return exit(exitUnfit, err)
				}
				continue
			}
			file := abs(keptBuild(t.builds(), role, sum))
			switch now, err := digest.File(file); {
			case err != nil:
				return exit(exitUnfit, fmt.Errorf("%s of the %s side is not in the trial's directory: %w", role, s.name, err))
			case now != sum:
				return exit(exitUnfit, fmt.Errorf("%s is not what the plan kept", file))
			}
			side.parts[role] = file
		}
		t.sides[s.name] = side
	}
	return nil
}

func (a *app) abShardCommand() *cobra.Command {
	var machine string
	cmd := &cobra.Command{
		Use:   "shard DIR I",
		Short: "Measure one shard of a plan on this machine",
		Long: `shard measures the pairs of shard I of the plan in DIR on this machine, and
writes them into DIR/shards/I: every text, with the machine's fitness before and
after each boot, and shard.json with the digest of every file. The directory is
written aside and renamed, so a shard is there whole or not at all. A shard that
is there already is not measured again. DIR may be a copy on another machine.

Exit status 3 says that this machine was not fit, ended too early, or has an
architecture that the plan has no build for: another one may measure the shard.
1 says that boots of the new build crash. What such an attempt measured is kept
in DIR/failed.`,
		Example: `  capsem-bench ab shard trial 3`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("ab shard: want the directory of a plan and the number of a shard, as in 'capsem-bench ab shard trial 1'")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.Atoi(args[1])
			if err != nil {
				return usage("ab shard: %q: want the number of a shard", args[1])
			}
			return a.abShard(cmd.Context(), args[0], number, machine)
		},
	}
	cmd.Flags().StringVar(&machine, "machine", "", "the `NAME` of this machine (default its host name, or Slurm's name of the node)")
	return cmd
}

func (a *app) abShard(ctx context.Context, dir string, number int, machine string) error {
	t, err := a.readABTrial(dir)
	if err != nil {
		return err
	}
	if t.Machine, err = machineName(machine); err != nil {
		return err
	}
	if err := t.checkMachine(); err != nil {
		return err
	}
	if err := t.keptSides(); err != nil {
		return err
	}
	t.Notify = func(p ab.Progress) { fmt.Fprintf(a.stderr, "boot %d %s\n", p.Boot.Slot, p.Boot.Side) }
	made, err := ab.RunShard(ctx, t.Config, dir, number, func(err error) int {
		var e *exitError
		if errors.As(t.failed(ctx, err), &e) {
			return e.status
		}
		return exitUnfit
	})
	switch {
	case errors.Is(err, ab.ErrNotJudged):
		return exit(exitUsage, fmt.Errorf("%w: '%s' says what it measures", err, judgeCommand(dir)))
	case errors.Is(err, ab.ErrNoShard):
		return exit(exitUsage, err)
	case err != nil:
		return t.failed(ctx, err)
	case !made:
		fmt.Fprintf(a.stderr, "Shard %d is there already.\n", number)
	default:
		fmt.Fprintf(a.stderr, "Shard %d is whole, measured on %s.\n", number, termtext.Cell(t.Machine))
	}
	return nil
}

// maxMachineName is how long a host name may be (RFC 1123).
const maxMachineName = 253

// machineName is the name of this machine: what was said, or what a scheduler
// or the host calls it.
func machineName(said string) (string, error) {
	name := said
	if name == "" {
		name = os.Getenv(envMachine)
	}
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return "", exit(exitUnfit, fmt.Errorf("this machine has no name; give --machine: %w", err))
		}
	}
	if len(name) > maxMachineName || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == ',' }) {
		return "", usage("--machine %q: want a name without blanks and commas", name)
	}
	return name, nil
}

func (a *app) abJudgeCommand() *cobra.Command {
	var next bool
	var format string
	var manifest manifestOptions
	cmd := &cobra.Command{
		Use:   "judge DIR [COPY...]",
		Short: "Judge the shards that are there: the verdict, or what to measure next",
		Long: `judge merges the shards in DIR, and in copies of it from other machines, into
DIR/base and DIR/cand, and says what 'ab' would: the verdict with gate's exit
status, or the shards that the next look needs with their categories. It may be
called at any time and from anywhere: the answer follows from the shards, a shard
that is there twice counts once, and their order does not matter.

Exit status 3 says that shards are missing, or what gate's says. --next prints the
numbers of the missing shards as JSON for scripts, and ends with status 0.`,
		Example: `  capsem-bench ab judge trial
  capsem-bench ab judge trial from-arm1/trial from-arm2/trial
  capsem-bench ab judge --next trial`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("ab judge: want the directory of a plan, as in 'capsem-bench ab judge trial'")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.abJudge(cmd.Context(), args, format, next, &manifest)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "how to print the verdict: "+strings.Join(formats(), ", "))
	manifest.flags(cmd.Flags())
	cmd.Flags().BoolVar(&next, "next", false, "print only which shards to measure now, as a JSON array")
	return cmd
}

func (a *app) abJudge(ctx context.Context, dirs []string, format string, next bool, manifest *manifestOptions) error {
	if err := manifest.check(); err != nil {
		return err
	}
	t, err := a.readABTrial(dirs[0])
	if err != nil {
		return err
	}
	t.opt.judging.format, t.opt.quiet = format, next
	res, err := ab.Judge(ctx, t.Config, dirs[1:]...)
	var missing *ab.MissingError
	switch {
	case errors.As(err, &missing) && next:
		return a.numbers(missing.Missing)
	case errors.As(err, &missing) && manifest.kind != "":
		return t.manifest(ctx, manifest, missing.Stage.Number, missing.Missing)
	case errors.As(err, &missing):
		return exit(exitUnfit, errors.New(strings.TrimSuffix(t.next(missing.Stage.Number, missing), "\n")))
	case err != nil:
		return t.failed(ctx, err)
	case next:
		return a.numbers([]int{})
	}
	return a.abVerdict(t.opt, t, res)
}

func (a *app) numbers(n []int) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return a.output(string(text) + "\n")
}

// shardsOf are the numbers of a look's shards.
func (t *abTrial) shardsOf(look int) (numbers []int) {
	for _, s := range t.Plan.ShardsOf(look) {
		numbers = append(numbers, s.Number)
	}
	return numbers
}

// next says what to measure for a look, by the commands that do. nil is
// nothing of it there yet.
func (t *abTrial) next(stage int, missing *ab.MissingError) string {
	shards, numbers := t.Plan.ShardsOf(stage), t.shardsOf(stage)
	var b strings.Builder
	if missing != nil {
		numbers = missing.Missing
	}
	boots := 0
	for _, s := range shards {
		boots += 2 * (s.To - s.From)
	}
	fmt.Fprintf(&b, "Look %d takes %s in %s", stage, termtext.Plural(boots, "boot"), termtext.Plural(len(shards), "shard"))
	if missing != nil && missing.Stage.OpenOps >= 0 {
		fmt.Fprintf(&b, " of %s, for %s", joinCategories(missing.Stage.Categories), termtext.Plural(missing.Stage.OpenOps, "open op"))
	}
	if missing != nil && missing.Have > 0 {
		fmt.Fprintf(&b, "; %d are there", missing.Have)
	}
	b.WriteString(":\n")
	for _, n := range numbers {
		fmt.Fprintf(&b, "  capsem-bench ab shard %s %d\n", shellWord(t.Dir), n)
	}
	b.WriteString("and then\n  " + judgeCommand(t.Dir) + "\n")
	return b.String()
}
