package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
)

// floorOptions are the flags of vm floor.
type floorOptions struct {
	machineOptions
	runs  int
	limit float64
	warm  bool
}

func (a *app) vmFloorCommand() *cobra.Command {
	opt := new(floorOptions)
	cmd := &cobra.Command{
		Use:   "floor",
		Short: "Say what a VM costs beyond the emptiest one",
		Long: `floor runs 'vm exec -- true' and, in turn with it, a VM with the same kernel whose
init only powers off: no disk, no module, no service. It prints what every
stage of the first took, and how often the second, the floor, goes into it:
medians of several runs. The host's page cache is dropped before each, which
only root can; without root the runs are warm, and the table says so.`,
		Example: "  capsem-bench vm floor\n  capsem-bench vm floor --runs 9 --limit 2",
		Args:    atMostArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opt.check(); err != nil {
				return err
			}
			if opt.runs < 1 || opt.runs > 1000 {
				return usage("--runs %d: want 1 to 1000", opt.runs)
			}
			if opt.limit < 0 {
				return usage("--limit %v: want a ratio, such as 2", opt.limit)
			}
			return a.vmFloor(cmd.Context(), opt)
		},
	}
	f := cmd.Flags()
	opt.flags(f)
	f.IntVar(&opt.runs, "runs", 5, "how often each is run")
	f.Float64Var(&opt.limit, "limit", 0, "end with status 1 if the ratio is above `RATIO`; 0 is no limit")
	f.BoolVar(&opt.warm, "warm", false, "leave the host's page cache as it is")
	return cmd
}

// floorTimes are the measured times: of whole runs, and of each stage.
type floorTimes struct {
	floor, exec []time.Duration
	order       []string // of the stages
	stages      map[string][]time.Duration
	cold        bool // the cache was dropped before every one
}

func (a *app) vmFloor(ctx context.Context, opt *floorOptions) error {
	p := newProgress(a.term, false)
	defer p.Close()
	notify := func(what string) { p.step(what, 0) }
	machine, err := a.machine(ctx, &opt.machineOptions, notify)
	if err != nil {
		return unfit(ctx, err)
	}
	t := floorTimes{stages: make(map[string][]time.Duration), cold: !opt.warm}
	for i := range opt.runs {
		notify(fmt.Sprintf("%d of %d: an empty VM", i+1, opt.runs))
		t.cold = t.cold && dropCaches() == nil
		d, err := qemu.Floor(ctx, machine)
		if err != nil {
			return unfit(ctx, err)
		}
		t.floor = append(t.floor, d)
		notify(fmt.Sprintf("%d of %d: vm exec -- true", i+1, opt.runs))
		t.cold = t.cold && dropCaches() == nil
		if err := t.runExec(ctx, opt, machine.Accel); err != nil {
			return unfit(ctx, err)
		}
	}
	notify("")
	if _, err := fmt.Fprintln(a.stdout, t.table(machine)); err != nil {
		return exit(exitUnfit, err)
	}
	if ratio := t.ratio(); opt.limit > 0 && ratio > opt.limit {
		return exit(exitFailed, fmt.Errorf("vm exec takes %.2f times the floor, the limit is %v", ratio, opt.limit))
	}
	return nil
}

// dropCaches makes the next run read everything from the disk (proc(5)).
func dropCaches() error {
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}

// runExec runs the command as people do, from start to exit, and adds what
// it says of its stages. What is before and after them is "process".
func (t *floorTimes) runExec(ctx context.Context, opt *floorOptions, accel qemu.Accel) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "vm", "exec", "--stages", "--profile", opt.profile, "--arch", opt.arch,
		"--accel", string(accel), "--cpus", strconv.Itoa(opt.cpus), "--memory", strconv.Itoa(opt.memory), "--", "true")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var said bytes.Buffer
	cmd.Stderr = &said
	begin := time.Now()
	err = cmd.Run()
	took := time.Since(begin)
	if err != nil {
		return fmt.Errorf("vm exec -- true: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	list, err := qemu.ReadStages(said.String())
	if err != nil {
		return err
	}
	t.exec = append(t.exec, took)
	for _, s := range list {
		took -= s.Took
	}
	for _, s := range append(list, qemu.StageTime{Name: "process", Took: took}) {
		if t.stages[s.Name] == nil {
			t.order = append(t.order, s.Name)
		}
		t.stages[s.Name] = append(t.stages[s.Name], s.Took)
	}
	return nil
}

func (t *floorTimes) ratio() float64 { return float64(median(t.exec)) / float64(median(t.floor)) }

// median is the middle one, or the mean of the two in the middle.
func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return (d[(len(d)-1)/2] + d[len(d)/2]) / 2
}

func (t *floorTimes) table(machine qemu.Options) string {
	w := table.NewWriter()
	w.SetStyle(table.StyleLight)
	w.Style().Format.Header = text.FormatDefault
	w.Style().Format.Footer = text.FormatDefault
	cache := "cold"
	if !t.cold {
		cache = "warm"
	}
	w.SetTitle("vm exec -- true, %s, %s, %s, medians of %d", machine.Image.Arch, machine.Accel, cache, len(t.exec))
	w.AppendHeader(table.Row{"stage", "median", "least", "most"})
	w.SetColumnConfigs([]table.ColumnConfig{
		{Number: 2, Align: text.AlignRight, AlignFooter: text.AlignRight},
		{Number: 3, Align: text.AlignRight},
		{Number: 4, Align: text.AlignRight},
	})
	row := func(name string, d []time.Duration) {
		w.AppendRow(table.Row{name, inSeconds(median(d)), inSeconds(slices.Min(d)), inSeconds(slices.Max(d))})
	}
	for _, name := range t.order {
		row(name, t.stages[name])
	}
	w.AppendSeparator()
	row("vm exec -- true", t.exec)
	row("floor", t.floor)
	w.AppendRow(table.Row{"ratio", fmt.Sprintf("%.2f", t.ratio())})
	return w.Render()
}

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
