package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/fleet"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/digest"
	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/spf13/pflag"
)

// engineOptions say which machines measure a trial.
type engineOptions struct {
	name                        string // "" measures on this machine
	machines                    int
	arches                      []string
	partition, constraint, time string // of Slurm
}

func engines() []string { return []string{"local", "slurm"} }

func (o *engineOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.name, "engine", "", "have `NAME` measure on several machines: "+strings.Join(engines(), ", ")+"; see docs/fleet.md")
	o.archFlag(f)
	f.IntVar(&o.machines, "nodes", 0, "how many machines of the engine measure at once: `N`")
	f.StringVar(&o.partition, "partition", "", "slurm: the `NAME` of the partition")
	f.StringVar(&o.constraint, "constraint", "", "slurm: the `FEATURES` that a node needs")
	f.StringVar(&o.time, "time", "", "slurm: the `LIMIT` of a shard's time, as sbatch takes it")
}

func (o *engineOptions) archFlag(f *pflag.FlagSet) {
	f.StringSliceVar(&o.arches, "arch", nil, "of several machines: build both sides for machines of each `ARCHITECTURE`: amd64, arm64 (default this machine's)")
}

// abFleet runs a trial on the machines of an engine and gates on it. With the
// directory of a trial that is there it goes on with that, also beside another
// process that does.
func (a *app) abFleet(ctx context.Context, opt *abOptions, kinds []sandboxKind, categories []catalogue.Category) error {
	if !slices.Contains(engines(), opt.engine.name) { // before anything is built
		return usage("--engine %q: want one of %s", opt.engine.name, strings.Join(engines(), ", "))
	}
	if opt.out != "" && opt.base.none() && opt.cand.none() {
		return a.abAttach(ctx, opt)
	}
	if opt.engine.machines < 1 || opt.engine.machines > ab.MaxMachines {
		return usage("--nodes %d: want the number of machines, 1 to %d", opt.engine.machines, ab.MaxMachines)
	}
	if opt.maxTime != 0 {
		return usage("--max-time plans for one machine: with --engine give --looks and --count")
	}
	if opt.out == "" {
		opt.out = filepath.Join(resultsDir, newID(time.Now()))
	}
	t, err := a.abPlan(ctx, opt, kinds, categories)
	if err != nil {
		return err
	}
	return a.follow(ctx, t)
}

// abAttach goes on with the trial of a directory, by its plan.
func (a *app) abAttach(ctx context.Context, opt *abOptions) error {
	t, err := a.readABTrial(opt.out)
	if err != nil {
		return err
	}
	t.opt.engine, t.opt.quiet, t.opt.judging.format, t.opt.judging.all = opt.engine, opt.quiet, opt.judging.format, opt.judging.all
	return a.follow(ctx, t)
}

// follow has a trial measured look by look, and gates on it.
func (a *app) follow(ctx context.Context, t *abTrial) error {
	opt := t.opt
	f, err := t.follower(ctx)
	if err != nil {
		return err
	}
	p := newProgress(a.term, opt.quiet)
	defer p.Close()
	var before fleet.Counts
	f.Notify = func(c fleet.Counts) {
		p.step(countsText(c), 0)
		if c != before && !a.term.tty {
			t.say("%s", countsText(c))
		}
		before = c
	}
	t.Looked = func(look int, d ab.Decision) {
		p.step("", 0)
		if len(d.Open) > 0 && look < len(opt.looks) {
			t.say("After %d boots a side %s may be slower: measuring %s further.", opt.looks[look-1], termtext.Plural(d.OpenOps, "op"), joinCategories(d.Open))
		}
	}
	t.Elsewhere = func(ctx context.Context, s ab.Stage) error { return t.elsewhere(ctx, f, s) }
	res, err := ab.Run(ctx, t.Config)
	p.step("", 0)
	if err != nil {
		return errors.Join(t.failedElsewhere(ctx, err), t.stop(ctx, f))
	}
	return a.abVerdict(opt, t, res)
}

// elsewhere has the shards of a stage measured and merges them.
func (t *abTrial) elsewhere(ctx context.Context, f *fleet.Follower, s ab.Stage) error {
	if err := f.Measure(ctx, s.Number, t.shardsOf(s.Number)); err != nil {
		return err
	}
	return ab.MergeStage(&t.Plan, t.Dir, s)
}

// stopGrace is how long a scheduler may take to answer when jobs are cancelled.
const stopGrace = 30 * time.Second

// stop cancels what this process handed in, also after an interrupt.
func (t *abTrial) stop(ctx context.Context, f *fleet.Follower) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if err := f.Stop(ctx); err != nil {
		return fmt.Errorf("what was handed in may still run: %w", err)
	}
	return nil
}

// failedElsewhere gives the end of a trial on other machines its exit status.
func (t *abTrial) failedElsewhere(ctx context.Context, err error) error {
	var lost *fleet.LostError
	if ctx.Err() == nil && errors.As(err, &lost) {
		failures, readErr := ab.Failures(t.Dir)
		if readErr == nil && fleet.Crashed(failures) {
			return exit(exitFailed, err)
		}
		return exit(exitUnfit, fmt.Errorf("%w\nWhat was measured is in %s, and what its machines said in %s", err, t.Dir, filepath.Join(t.Dir, "jobs")))
	}
	return t.failed(ctx, err)
}

// pollEvery is how often a scheduler is asked: an answer costs it milliseconds.
const pollEvery = 2 * time.Second

// follower is what hands in the shards to the engine that was asked for.
func (t *abTrial) follower(ctx context.Context) (*fleet.Follower, error) {
	f := &fleet.Follower{Dir: t.Dir, Every: pollEvery}
	dir := abs(t.Dir)
	commands, err := t.keepCommands(ctx)
	if err != nil {
		return nil, err
	}
	switch t.opt.engine.name {
	case "local":
		if err := t.checkMachine(); err != nil {
			return nil, err
		}
		command := abs(commands[runtime.GOARCH])
		f.Every = pollEvery / 20
		f.Engine = &fleet.Local{Run: func(ctx context.Context, shard int) error {
			cmd := exec.CommandContext(ctx, command, "ab", "shard", dir, fmt.Sprint(shard))
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			return cmd.Run()
		}}
	default: // slurm
		if _, err := exec.LookPath("sbatch"); err != nil {
			return nil, exit(exitUnfit, fmt.Errorf("--engine slurm: %w; run it where jobs are submitted", err))
		}
		if err := os.MkdirAll(filepath.Join(dir, "jobs"), 0o755); err != nil {
			return nil, exit(exitUnfit, err)
		}
		name, err := t.jobName()
		if err != nil {
			return nil, err
		}
		e := t.opt.engine
		f.Engine = &fleet.Slurm{
			Dir: dir, Script: commands.script(abs) + " ab shard " + shell.Join(dir), Name: name,
			Partition: e.partition, Constraint: e.constraint, Time: e.time,
		}
	}
	return f, nil
}

// jobName is what a scheduler knows the trial by: it has the plan's digest.
func (t *abTrial) jobName() (string, error) {
	sum, err := digest.File(filepath.Join(t.Dir, ab.PlanName))
	if err != nil {
		return "", exit(exitUnfit, err)
	}
	return "capsem-bench-" + sum[:12], nil
}

// countsText is the progress line of a look on other machines.
func countsText(c fleet.Counts) string {
	text := fmt.Sprintf("look %d: %d of %s done, %d running, %d queued", c.Look, c.Done, termtext.Plural(c.All, "shard"), c.Running, c.Queued)
	if c.Lost > 0 {
		text += fmt.Sprintf(", %d lost and repeated", c.Lost)
	}
	return text
}
