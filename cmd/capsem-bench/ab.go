package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/hostcheck"
	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/digest"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// abOptions are the flags of ab.
type abOptions struct {
	base, cand sideOptions
	sandbox    string
	looks      []int
	looksAsked bool // they are not the default
	count      int
	maxTime    time.Duration // 0: as long as it takes
	out        string
	seed       uint64
	args       []string // of the sandbox, both sides
	labels     []string // both sides
	accept     bool
	quiet      bool
	judging    compareOptions // of the verdict
	guest      *pflag.FlagSet // of guests of somebody else's, for 'run' of both sides
	engine     engineOptions
}

// sideOptions are what may differ between the sides beside the build.
type sideOptions struct {
	what   string
	exec   string
	bin    string
	args   []string
	env    []string
	labels []string
}

func (a *app) abCommand() *cobra.Command {
	opt := new(abOptions)
	kinds := a.sandboxes()
	cmd := &cobra.Command{
		Use:   "ab --base BUILD --cand BUILD [CATEGORY...]",
		Short: "Measure two builds against each other, and gate on it",
		Long: `ab boots fresh sandboxes of two builds in pairs of random order, looks at the
results after ` + looksText() + ` boots a side, measures further only the categories
with an op that may be slower, and ends in the verdict and exit status of gate.

A BUILD is a directory with the parts of a build (` + strings.Join(buildParts(), ", ") + `),
a checkout, a guest binary, or a git ref, which is built in a worktree of its own;
for sandbox qemu also the directory of an image, as 'vm build' prints it, alone
or as ` + partImage + ` in the directory of a build.
A part that a side does not have is the same on both. What else may differ is
the sandbox: --base-arg and --cand-arg go to 'capsem-bench run' of their side,
--base-env and --cand-env are variables for it.

Without --count a first boot of the base build, which is not kept, measures what a
boot and a round take: rounds are ten where these take no longer than the boot,
or than half a minute, and fewer elsewhere, but three. --max-time plans boots and
rounds for a time, says what these can show, and refuses what can show nothing.

Each side is labelled with the commit of its checkout, git ref or build, and
with the release where a tag is on that commit; --label, --base-label and
--cand-label add to it or say otherwise. The labels are in every text.

Every text is kept, in results/<time>-<id> or the directory of --out. A trial
that was interrupted goes on when the same command names its directory with
--out. A boot that crashed, or whose machine was unfit, is repeated with its
pair, two pairs a look at most.`,
		Example: `  capsem-bench ab --base main --cand .
  capsem-bench ab --base old/ --cand new/ --sandbox qemu --out results/v2
  capsem-bench ab --base main --cand . --max-time 10m
  capsem-bench ab --sandbox capsem --base-bin old/capsem --cand-bin new/capsem
  capsem-bench ab --sandbox command --base-exec 'ssh root@old {}' --cand-exec 'ssh root@new {}'
  capsem-bench ab --base . --cand . snapshot --looks 16 --cand-env ` + delayVariable + `=snapshots_create=200ms`,
		RunE: func(cmd *cobra.Command, args []string) error {
			categories, err := categories(args)
			if err != nil {
				return err
			}
			if opt.maxTime != 0 && (cmd.Flags().Changed("looks") || opt.count != 0) {
				return usage("--max-time plans looks and rounds itself: without --looks and --count")
			}
			opt.looksAsked = cmd.Flags().Changed("looks")
			return a.ab(cmd.Context(), opt, kinds, categories)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return categoryNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	opt.flags(cmd, kinds)
	f := cmd.Flags()
	f.DurationVar(&opt.maxTime, "max-time", 0, "plan boots and rounds that take this `TIME` at most, such as 10m")
	f.BoolVarP(&opt.quiet, "quiet", "q", false, "no progress")
	opt.judging.flags(cmd)
	opt.engine.flags(f)
	cmd.AddCommand(a.abPlanCommand(), a.abShardCommand(), a.abJudgeCommand())
	return cmd
}

// flags adds what says what is measured, and the margin.
func (opt *abOptions) flags(cmd *cobra.Command, kinds []sandboxKind) {
	f := cmd.Flags()
	for _, s := range []struct {
		o           *sideOptions
		name, about string
	}{{&opt.base, "base", "the old build"}, {&opt.cand, "cand", "the new build"}} {
		f.StringVar(&s.o.what, s.name, "", s.about+": directory, guest binary or git ref")
		f.StringVar(&s.o.exec, s.name+"-exec", "", "the `COMMAND` that runs something in "+s.about+"'s guest (sandbox command)")
		f.StringVar(&s.o.bin, s.name+"-bin", "", "the `PROGRAM` of "+s.about+", {bin} in templates (sandbox capsem, command)")
		f.StringArrayVar(&s.o.args, s.name+"-arg", nil, "an `ARGUMENT` of 'run' for "+s.about)
		f.StringArrayVar(&s.o.env, s.name+"-env", nil, "a variable `NAME=VALUE` for "+s.about)
		f.StringArrayVar(&s.o.labels, s.name+"-label", nil, "say what "+s.about+" is: `KEY=VALUE`, as release=1.4.0")
	}
	f.StringVar(&opt.sandbox, "sandbox", kinds[0].name, "where to measure: "+kindNames(kinds))
	f.StringArrayVar(&opt.args, "arg", nil, "an `ARGUMENT` of 'run' for both sides")
	f.StringArrayVar(&opt.labels, "label", nil, "say what is measured, of both sides: `KEY=VALUE`, as channel=nightly; may be repeated")
	opt.guest = guestFlags(f, kinds)
	f.IntSliceVar(&opt.looks, "looks", compare.DefaultPlan().Looks, "boots a side at which to look")
	f.IntVar(&opt.count, "count", 0, "rounds of every operation in a boot (default planned: 10 where they are cheap beside a boot, at least 3)")
	f.Uint64Var(&opt.seed, "seed", 0, "of the order inside the pairs (default random)")
	f.StringVar(&opt.out, "out", "", "keep everything in `DIR`, or go on with what is there (default results/<time>-<id>)")
	f.BoolVar(&opt.accept, "accept-unfit", false, "measure on an unfit machine too, and say so as a doubt")
	f.Float64Var(&opt.judging.margin, "margin", 0, "tolerate a slowdown of every operation by this `RATIO`, such as 0.02")
	// A trial on several machines calls it --dir.
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "dir" {
			name = "out"
		}
		return pflag.NormalizedName(name)
	})
}

// looksText is the default plan's looks in words: "6, 10 and 16".
func looksText() string {
	looks := compare.DefaultPlan().Looks
	var out []string
	for _, k := range looks {
		out = append(out, strconv.Itoa(k))
	}
	last := len(out) - 1
	return strings.Join(out[:last], ", ") + " and " + out[last]
}

func (o *abOptions) check(kinds []sandboxKind) error {
	at := slices.IndexFunc(kinds, func(k sandboxKind) bool { return k.name == o.sandbox })
	switch {
	case at < 0:
		return usage("--sandbox %q: want %s", o.sandbox, kindNames(kinds))
	case o.sandbox != "capsem" && (o.base.none() || o.cand.none()):
		return usage("ab: want --base and --cand, as in 'capsem-bench ab --base main --cand .', or --base-exec and --cand-exec")
	case o.count < 0 || o.count > maxCount:
		return usage("--count %d: want 1 to %d", o.count, maxCount)
	case o.maxTime < 0:
		return usage("--max-time %s: want a time such as 10m", o.maxTime)
	}
	if err := o.checkGuests(kinds[at]); err != nil {
		return err
	}
	for _, kv := range slices.Concat(o.base.env, o.cand.env) {
		if name, _, ok := strings.Cut(kv, "="); !ok || name == "" {
			return usage("%q: want a variable as NAME=VALUE", kv)
		}
	}
	if err := checkCommands(slices.Concat(os.Environ(), o.base.env, o.cand.env)); err != nil {
		return err
	}
	for _, s := range []*sideOptions{&o.base, &o.cand} { // before anything is built
		if _, err := o.labelWords(s, nil); err != nil {
			return exit(exitUsage, err)
		}
	}
	if err := (&ab.Plan{Looks: o.looks, Rounds: 1}).Check(); err != nil {
		return usage("--%w", err)
	}
	if err := o.judging.checkMargin(); err != nil {
		return err
	}
	if !slices.Contains(formats(), o.judging.format) {
		return usage("--format %s: want %s", o.judging.format, strings.Join(formats(), ", "))
	}
	o.setLooks(o.looks)
	o.judging.unfit = o.accept
	if _, err := os.Stat(policyName); o.judging.policy == "" && err == nil {
		o.judging.policy = policyName
	}
	return nil
}

// setLooks is what looks mean to the verdict: there are no boots behind a last
// look of few.
func (o *abOptions) setLooks(looks []int) {
	o.looks, o.judging.looks, o.judging.noMore = looks, looks, compare.IsFew(looks)
}

// ab runs a trial and gates on it.
func (a *app) ab(ctx context.Context, opt *abOptions, kinds []sandboxKind, categories []catalogue.Category) error {
	if opt.engine.name != "" {
		return a.abFleet(ctx, opt, kinds, categories)
	}
	if err := opt.check(kinds); err != nil {
		return err
	}
	for _, side := range []sideOptions{opt.base, opt.cand} {
		if err := side.checkBuild(ctx); err != nil {
			return err
		}
	}
	if err := opt.checkLooks(1, categories, a.saying(opt)); err != nil {
		return err
	}
	kind := kinds[slices.IndexFunc(kinds, func(k sandboxKind) bool { return k.name == opt.sandbox })]
	a.remarkSettings(os.Environ(), kind)
	p := newProgress(a.term, opt.quiet)
	defer p.Close()
	if err := a.fitToBegin(ctx, opt, func(what string) { p.step(what, 0) }); err != nil {
		return err
	}
	t, err := a.newABTrial(ctx, opt, categories, []string{""}, func(what string) { p.step(what, 0) })
	p.step("", 0)
	if err != nil {
		return err
	}
	p.step("", 0)
	t.foreign = kind.foreign
	t.sayCompared()
	t.sayAlike()
	if err := t.planRounds(ctx, func(what string) { p.step(what, 0) }); err != nil {
		return err
	}
	t.Notify = func(pr ab.Progress) {
		p.step(progressText(pr), pr.Each)
		if !a.term.tty {
			t.say("%s", progressText(pr)) // a line a boot, where no line can be drawn again
		}
	}
	t.Looked = func(look int, d ab.Decision) {
		p.step("", 0)
		if !opt.quiet && len(d.Open) > 0 && look < len(opt.looks) {
			fmt.Fprintf(a.stderr, "After %d boots a side %s may be slower: measuring %s further.\n",
				opt.looks[look-1], termtext.Plural(d.OpenOps, "op"), joinCategories(d.Open))
		}
	}
	res, err := ab.Run(ctx, t.Config)
	p.step("", 0)
	if err != nil {
		return t.failed(ctx, err)
	}
	_ = os.RemoveAll(t.builds())
	t.sweepBoots()
	return a.abVerdict(opt, t, res)
}

// abTrial is a trial with what its boots need.
type abTrial struct {
	ab.Config
	a       *app
	opt     *abOptions
	sides   map[string]*abSide
	foreign bool // the sandbox is somebody else's
}

// abSide is one side made ready.
type abSide struct {
	*abBuild
	options   sideOptions
	args, env []string // of its sandbox
	labels    string   // the guest's variable
	bin       string   // path of the program that {bin} stands for; "" is none
	binDigest string
}

func (t *abTrial) builds() string { return filepath.Join(t.Dir, "builds") }

// newABTrial finds and builds both sides, for each of the architectures, and
// settles the plan. The architecture "" is this machine's, in a trial that it
// measures itself.
func (a *app) newABTrial(ctx context.Context, opt *abOptions, categories []catalogue.Category, arches []string, notify func(string)) (*abTrial, error) {
	t := &abTrial{a: a, opt: opt, sides: make(map[string]*abSide)}
	t.Dir = opt.out
	if t.Dir == "" {
		t.Dir = filepath.Join(resultsDir, newID(time.Now()))
	}
	t.Plan = ab.Plan{Sandbox: opt.sandbox, Looks: opt.looks, Rounds: opt.count, Seed: opt.seed, Settings: settings(os.Environ())}
	if err := t.keepJudging(); err != nil {
		return nil, exit(exitUsage, err)
	}
	for _, c := range categories {
		t.Plan.Categories = append(t.Plan.Categories, string(c))
	}
	for _, s := range []struct {
		name string
		opt  sideOptions
		to   *ab.Build
	}{{ab.Base, opt.base, &t.Plan.Base}, {ab.Cand, opt.cand, &t.Plan.Cand}} {
		side, digests, err := t.makeSide(ctx, s.name, s.opt, arches, notify)
		if err != nil {
			return nil, err
		}
		side.args, side.env = t.runArgs(side), s.opt.env
		*s.to = ab.Build{Name: side.name, Files: digests, Args: side.args, Env: side.env}
		t.sides[s.name] = side
	}
	t.AcceptUnfit = opt.accept
	t.functions()
	return t, nil
}

// functions are what measures and judges the boots of a trial.
func (t *abTrial) functions() {
	t.Measure, t.Decide, t.First = t.measure, t.decide, t.first
	t.Examine = func(ctx context.Context) *hostcheck.Report {
		return t.a.examine(ctx, hostcheck.Options{Dir: t.Dir, Between: true})
	}
}

// keepJudging puts into the plan what the verdict depends on, and the policy
// beside it. A policy that is there already is the trial's: the plan says
// whether it is the same.
func (t *abTrial) keepJudging() error {
	o := t.opt.judging
	t.Plan.Judging = ab.Judging{Margin: o.margin, Vary: o.vary, Ops: o.ops, NoMore: o.noMore, AcceptUnfit: o.unfit}
	if o.policy == "" {
		return nil
	}
	text, err := os.ReadFile(o.policy)
	if err != nil {
		return err
	}
	t.Plan.Judging.Policy = digest.Bytes(text)
	if _, err := compare.ReadPolicy(bytes.NewReader(text), o.policy); err != nil {
		return err // before anything is built
	}
	if err := os.MkdirAll(t.Dir, 0o755); err != nil {
		return err
	}
	kept := filepath.Join(t.Dir, ab.PolicyName)
	if _, err := os.Stat(kept); err == nil {
		return nil
	}
	return atomicfile.Write(kept, text)
}

// complete gives a side the parts that its build does not have: this command,
// and the binaries that run would find. They are found once, so that no boot
// spends time on it and all boots run the same.
func (s *abSide) complete(ctx context.Context, arch string, notify func(string)) error {
	if s.parts[partCommand] == "" {
		command, err := commandFor(ctx, arch, notify)
		if err != nil {
			return err
		}
		s.parts[partCommand] = command
	}
	for part, artifact := range map[string]sandbox.Artifact{partGuest: sandbox.GuestBinary(), partTools: sandbox.GuestTools()} {
		if s.parts[part] != "" {
			continue
		}
		if foreignArch(arch) {
			artifact = artifact.For(arch)
		}
		switch path, err := artifact.Find(ctx, notify); {
		case err == nil:
			s.parts[part] = path
		case ctx.Err() != nil, !errors.Is(err, sandbox.ErrNoArtifact):
			return err
			// A sandbox that needs what is not there says so itself.
		}
	}
	return nil
}

// self is the path of this command. It keeps the name it was called by.
func self() (string, error) {
	if path, err := exec.LookPath(os.Args[0]); err == nil {
		return filepath.Abs(path)
	}
	return os.Executable()
}

// settings are the variables of the guest binary that change the work.
func settings(env []string) map[string]string {
	out := make(map[string]string)
	for _, kv := range catalogue.SettingsOf(env, catalogue.ForWork, catalogue.ForPlace) {
		name, value, _ := strings.Cut(kv, "=")
		out[name] = value
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// failed gives the end of a trial its exit status.
func (t *abTrial) failed(ctx context.Context, err error) error {
	var (
		crash   *ab.CrashError
		machine *ab.UnfitError
		given   *exitError
	)
	again := fmt.Sprintf("\nWhat was measured is in %s; the same command with --out %s goes on from there.", t.Dir, t.Dir)
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted." + again)}
	case errors.As(err, &given):
		return err
	case errors.As(err, &crash) && crash.Side == ab.Cand:
		return exit(exitFailed, err)
	case errors.As(err, &machine):
		return exit(exitUnfit, fmt.Errorf("%w%s", err, again))
	case errors.Is(err, ab.ErrChanged), errors.Is(err, ab.ErrForeign):
		return exit(exitUsage, err)
	}
	return exit(exitUnfit, err)
}
