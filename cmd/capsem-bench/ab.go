package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/fit"
	trials "github.com/capsem/capsem-bench/internal/trial"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/spf13/cobra"
)

// abOptions are the flags of ab.
type abOptions struct {
	base, cand sideOptions
	sandbox    string
	looks      []int
	count      int
	out        string
	seed       uint64
	args       []string // of the sandbox, both sides
	accept     bool
	quiet      bool
	judging    compareOptions // of the verdict
}

// sideOptions are what may differ between the sides beside the build.
type sideOptions struct {
	what string
	exec string
	args []string
	env  []string
}

func (a *app) abCommand() *cobra.Command {
	opt := new(abOptions)
	kinds := a.sandboxes()
	cmd := &cobra.Command{
		Use:   "ab --base BUILD --cand BUILD [CATEGORY...]",
		Short: "Measure two builds against each other, and gate on it",
		Long: `ab boots fresh sandboxes of two builds in pairs of random order, looks at the
results after 6, 10 and 16 boots a side, measures further only the categories
with an op that may be slower, and ends in the verdict and exit status of gate.

A BUILD is a directory with the parts of a build (` + strings.Join(buildParts(), ", ") + `),
a checkout, a guest binary, or a git ref, which is built in a worktree of its own;
for sandbox qemu also the directory of an image, as 'vm build' prints it, alone
or as ` + partImage + ` in the directory of a build.
A part that a side does not have is the same on both. What else may differ is
the sandbox: --base-arg and --cand-arg go to 'capsem-bench run' of their side,
--base-env and --cand-env are variables for it.

Every text is kept, in results/<time>-<id> or the directory of --out. A trial
that was interrupted goes on when the same command names its directory with
--out. A boot that crashed, or whose machine was unfit, is repeated with its
pair, two pairs a look at most.`,
		Example: `  capsem-bench ab --base main --cand .
  capsem-bench ab --base old/ --cand new/ --sandbox qemu --out results/v2
  capsem-bench ab --base . --cand . --sandbox command --base-exec 'ssh root@old {}' --cand-exec 'ssh root@new {}'
  capsem-bench ab --base . --cand . snapshot --looks 16 --cand-env ` + delayVariable + `=snapshots_create=200ms`,
		RunE: func(cmd *cobra.Command, args []string) error {
			categories, err := categories(args)
			if err != nil {
				return err
			}
			return a.ab(cmd.Context(), opt, kinds, categories)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return categoryNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := cmd.Flags()
	for _, s := range []struct {
		o           *sideOptions
		name, about string
	}{{&opt.base, "base", "the old build"}, {&opt.cand, "cand", "the new build"}} {
		f.StringVar(&s.o.what, s.name, "", s.about+": directory, guest binary or git ref")
		f.StringVar(&s.o.exec, s.name+"-exec", "", "the `COMMAND` that runs something in "+s.about+"'s guest (sandbox command)")
		f.StringArrayVar(&s.o.args, s.name+"-arg", nil, "an `ARGUMENT` of 'run' for "+s.about)
		f.StringArrayVar(&s.o.env, s.name+"-env", nil, "a variable `NAME=VALUE` for "+s.about)
	}
	f.StringVar(&opt.sandbox, "sandbox", kinds[0].name, "where to measure: "+kindNames(kinds))
	f.StringArrayVar(&opt.args, "arg", nil, "an `ARGUMENT` of 'run' for both sides")
	f.IntSliceVar(&opt.looks, "looks", []int{6, 10, 16}, "boots a side at which to look")
	f.IntVar(&opt.count, "count", 3, "rounds of every operation in a boot")
	f.Uint64Var(&opt.seed, "seed", 0, "of the order inside the pairs (default random)")
	f.StringVar(&opt.out, "out", "", "keep everything in `DIR`, or go on with what is there (default results/<time>-<id>)")
	f.BoolVar(&opt.accept, "accept-unfit", false, "measure on an unfit machine too, and say so as a doubt")
	f.BoolVarP(&opt.quiet, "quiet", "q", false, "no progress")
	opt.judging.flags(cmd)
	f.Float64Var(&opt.judging.margin, "margin", 0, "tolerate a slowdown of every operation by this `RATIO`, such as 0.02")
	return cmd
}

func (o *abOptions) check(kinds []sandboxKind) error {
	switch {
	case o.base.what == "" || o.cand.what == "":
		return usage("ab: want --base and --cand, as in 'capsem-bench ab --base main --cand .'")
	case o.count < 1 || o.count > maxCount:
		return usage("--count %d: want 1 to %d", o.count, maxCount)
	case !slices.ContainsFunc(kinds, func(k sandboxKind) bool { return k.name == o.sandbox }):
		return usage("--sandbox %q: want %s", o.sandbox, kindNames(kinds))
	case o.sandbox != "command" && (o.base.exec != "" || o.cand.exec != ""):
		return usage("--base-exec and --cand-exec are for --sandbox command")
	}
	for _, kv := range slices.Concat(o.base.env, o.cand.env) {
		if name, _, ok := strings.Cut(kv, "="); !ok || name == "" {
			return usage("%q: want a variable as NAME=VALUE", kv)
		}
	}
	if err := (&trials.Plan{Looks: o.looks, Rounds: 1}).Check(); err != nil {
		return usage("--%w", err)
	}
	if !slices.Contains(formats(), o.judging.format) {
		return usage("--format %s: want %s", o.judging.format, strings.Join(formats(), ", "))
	}
	o.judging.looks, o.judging.noMore, o.judging.unfit = o.looks, noMore(o.looks), o.accept
	if _, err := os.Stat(policyName); o.judging.policy == "" && err == nil {
		o.judging.policy = policyName
	}
	return nil
}

// ab runs a trial and gates on it.
func (a *app) ab(ctx context.Context, opt *abOptions, kinds []sandboxKind, categories []catalogue.Category) error {
	if err := opt.check(kinds); err != nil {
		return err
	}
	p := newProgress(a.term, opt.quiet)
	defer p.Close()
	t, err := a.newABTrial(ctx, opt, categories, func(what string) { p.step(what, 0) })
	if err != nil {
		return err
	}
	t.Notify = func(pr trials.Progress) { p.step(progressText(pr), pr.Each) }
	t.Looked = func(look int, d trials.Decision) {
		p.step("", 0)
		if !opt.quiet && len(d.Open) > 0 && look < len(opt.looks) {
			fmt.Fprintf(a.stderr, "After %d boots a side %s may be slower: measuring %s further.\n",
				opt.looks[look-1], plural(d.OpenOps, "op"), joinCategories(d.Open))
		}
	}
	res, err := trials.Run(ctx, t.Config)
	p.step("", 0)
	if err != nil {
		return t.failed(ctx, err)
	}
	_ = os.RemoveAll(t.builds())
	return a.abVerdict(opt, t, res)
}

// abTrial is a trial with what its boots need.
type abTrial struct {
	trials.Config
	a     *app
	opt   *abOptions
	sides map[string]*abSide
}

// abSide is one side made ready.
type abSide struct {
	*abBuild
	options sideOptions
}

func (t *abTrial) builds() string { return filepath.Join(t.Dir, "builds") }

// newABTrial finds and builds both sides and settles the plan.
func (a *app) newABTrial(ctx context.Context, opt *abOptions, categories []catalogue.Category, notify func(string)) (*abTrial, error) {
	t := &abTrial{a: a, opt: opt, sides: make(map[string]*abSide)}
	t.Dir = opt.out
	if t.Dir == "" {
		t.Dir = filepath.Join(resultsDir, newID(time.Now()))
	}
	t.Plan = trials.Plan{Sandbox: opt.sandbox, Looks: opt.looks, Rounds: opt.count, Seed: opt.seed, Settings: settings(os.Environ())}
	for _, c := range categories {
		t.Plan.Categories = append(t.Plan.Categories, string(c))
	}
	for _, s := range []struct {
		name string
		opt  sideOptions
		to   *trials.Build
	}{{trials.Base, opt.base, &t.Plan.Base}, {trials.Cand, opt.cand, &t.Plan.Cand}} {
		b, err := resolveBuild(ctx, s.opt.what, notify)
		if err != nil {
			return nil, err
		}
		side := &abSide{abBuild: b, options: s.opt}
		if err := side.complete(ctx, notify); err != nil {
			return nil, unfit(ctx, err)
		}
		digests, err := b.copyTo(filepath.Join(t.builds(), s.name))
		if err != nil {
			return nil, exit(exitUnfit, fmt.Errorf("keeping the %s build: %w", s.name, err))
		}
		*s.to = trials.Build{Name: b.name, Files: digests, Args: t.runArgs(side), Env: s.opt.env}
		t.sides[s.name] = side
	}
	t.Measure, t.Decide, t.First = t.measure, t.decide, t.first
	t.AcceptUnfit = opt.accept
	t.Examine = func(ctx context.Context) *fit.Report {
		return a.examine(ctx, fit.Options{Dir: t.Dir, Between: true})
	}
	return t, nil
}

// complete gives a side the parts that its build does not have: this command,
// and the binaries that run would find. They are found once, so that no boot
// spends time on it and all boots run the same.
func (s *abSide) complete(ctx context.Context, notify func(string)) error {
	if s.parts[partCommand] == "" {
		self, err := self()
		if err != nil {
			return err
		}
		s.parts[partCommand] = self
	}
	for part, artifact := range map[string]sandbox.Artifact{partGuest: sandbox.GuestBinary(), partTools: sandbox.GuestTools()} {
		if s.parts[part] != "" {
			continue
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
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "CAPSEM_BENCH_") && name != "CAPSEM_BENCH_TEST" {
			out[name] = value
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// runArgs are the arguments of the sandbox.
func (t *abTrial) runArgs(s *abSide) []string {
	args := slices.Concat(t.opt.args, s.options.args)
	if s.image != nil && t.opt.sandbox == "qemu" {
		args = append(args, "--image="+s.image.Dir())
	}
	if s.options.exec != "" {
		args = append(args, "--exec="+s.options.exec)
	}
	return args
}

// measure makes one boot: 'run' of the side's own command in a process of its
// own, so that its host services are as fresh as its guest.
func (t *abTrial) measure(ctx context.Context, b trials.Boot, text io.Writer) error {
	side := t.sides[b.Side]
	dir, err := os.MkdirTemp(abs(t.Dir), ".boot-")
	if err != nil {
		return fmt.Errorf("%w: %w", trials.ErrGiveUp, err)
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "run")
	args := append([]string{"run", "--quiet", "--sandbox=" + t.opt.sandbox, "--count=" + strconv.Itoa(t.opt.count), "--out=" + out}, t.runArgs(side)...)
	for _, c := range b.Categories {
		args = append(args, string(c))
	}
	env := slices.Concat(os.Environ(), side.options.env)
	for part, name := range map[string]string{partGuest: sandbox.GuestBinary().Env, partTools: sandbox.GuestTools().Env} {
		if file := side.parts[part]; file != "" {
			env = append(env, name+"="+file)
		}
	}
	var complaints tail
	child := sandbox.Child{Binary: side.parts[partCommand], Args: args, Env: env, Stdout: io.Discard, Stderr: &complaints}
	status, err := child.Run(ctx)
	if err != nil {
		return withTail(err, complaints.String())
	}
	copied := copyText(text, filepath.Join(out, textName))
	switch status {
	case exitOK, exitFailed:
		return copied
	case exitUsage:
		return withTail(fmt.Errorf("%w: 'capsem-bench run' of the %s side does not take its arguments", trials.ErrGiveUp, b.Side), complaints.String())
	}
	return withTail(fmt.Errorf("'capsem-bench run' ended with status %d", status), complaints.String())
}

func copyText(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// failed gives the end of a trial its exit status.
func (t *abTrial) failed(ctx context.Context, err error) error {
	var (
		crash   *trials.CrashError
		machine *trials.UnfitError
		given   *exitError
	)
	again := fmt.Sprintf("\nWhat was measured is in %s; the same command with --out %s goes on from there.", t.Dir, t.Dir)
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted." + again)}
	case errors.As(err, &given):
		return err
	case errors.As(err, &crash) && crash.Side == trials.Cand:
		return exit(exitFailed, err)
	case errors.As(err, &machine):
		return exit(exitUnfit, fmt.Errorf("%w%s", err, again))
	case errors.Is(err, trials.ErrChanged), errors.Is(err, trials.ErrForeign):
		return exit(exitUsage, err)
	}
	return exit(exitUnfit, err)
}

// progressText is the progress line before a boot. With the time of a boot
// behind it, it fits 80 columns.
func progressText(p trials.Progress) string {
	var b strings.Builder
	fmt.Fprintf(&b, "boot %d/%d %s", p.Done+1, p.Planned, p.Boot.Side)
	if p.OpenOps >= 0 {
		fmt.Fprintf(&b, ", %s open", plural(p.OpenOps, "op"))
	}
	if p.Left > 0 {
		fmt.Fprintf(&b, ", %s left", p.Left.Round(time.Second))
		if p.Longest > p.Left {
			fmt.Fprintf(&b, ", at most %s", p.Longest.Round(time.Second))
		}
	}
	return b.String()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func joinCategories(c []catalogue.Category) string {
	var names []string
	for _, x := range c {
		names = append(names, string(x))
	}
	return strings.Join(names, ", ")
}
