// Package lifecycle measures VMs from the host: how long one takes to be made,
// to boot, to run a command and to be gone again, what a fork of it costs, what
// several do to each other, and how fast commands and bytes get in and out. It
// prints what it measures as benchmark text, one text a boot, so that all that
// reads the text of a guest reads this too.
//
// Times are those of this machine's clock. The phases are Capsem's, by its
// names (see package catalogue). What a sandbox cannot do is skipped, with the
// reason; a VM that cannot be made ends the measurement.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// A Maker makes the VMs of one sandbox.
type Maker interface {
	// Make makes a VM, at once with others if need be, and returns when a
	// command has run in it. The caller closes the VM.
	Make(ctx context.Context, o Options) (VM, error)
	// Floor boots the emptiest VM there is, to its end.
	Floor(ctx context.Context) (time.Duration, error)
}

// Options say what a VM begins with.
type Options struct {
	Image      Image // nil is an empty workspace
	Benchmarks bool  // the guest binary, for Run
}

// A VM runs.
type VM interface {
	Birth() Birth
	// Command is the program, with its arguments, that people run true in this VM by.
	Command() []string
	// Connected reports whether Exec uses one connection for all commands.
	Connected() bool
	// Exec runs a line of the guest's shell in its home.
	Exec(ctx context.Context, line string, stdin io.Reader, stdout io.Writer) (status int, err error)
	// Run runs the guest binary.
	Run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int, err error)
	// Memory is that of the host's processes that are the VM.
	Memory() (Memory, error)
	// CanFork says why Fork can do nothing, before anything is written for it.
	CanFork() error
	// Fork copies the VM's workspace as it is.
	Fork(ctx context.Context) (Image, error)
	// Close deletes the VM and waits until nothing of it is left.
	Close() error
}

// An Image is a copy of a VM, from which another is made once.
type Image interface {
	Bytes() int64
	LeftOut() int // files that it lacks
	Close() error
}

// A Birth is how long the making of a VM took.
type Birth struct {
	Begin            time.Time
	Provision, Ready time.Duration // see catalogue.OpProvision and OpExecReady
	Stages           []record.BootStage
}

// An Unsupported is the reason why a sandbox has no such thing.
type Unsupported string

func (u Unsupported) Error() string { return string(u) }

// A Plan is what is measured, and with which sizes.
type Plan struct {
	Parts    []catalogue.Category // of catalogue.HostCategories
	VMs      int                  // of parallel
	Category catalogue.Category   // that each of them runs
	Execs    int                  // commands one after another
	ExecMB   int                  // MiB through standard input and output
	Head     record.Run           // the machine and the sandbox
	Notify   func(what string)
}

// ops are the operations that a plan announces. The stages of a boot are the
// sandbox's and known when it is over.
func (p Plan) ops() []catalogue.Op {
	var out []catalogue.Op
	add := func(c catalogue.Category, ops ...catalogue.Op) {
		if slices.Contains(p.Parts, c) {
			out = append(out, ops...)
		}
	}
	for _, op := range []string{catalogue.OpProvision, catalogue.OpExecReady, catalogue.OpExec, catalogue.OpDelete, catalogue.OpTotal, catalogue.OpFloor} {
		add(catalogue.Lifecycle, catalogue.LifecycleOp(op))
	}
	for _, of := range []string{catalogue.MemoryEmulator, catalogue.MemoryCompanions, catalogue.MemoryGuest} {
		add(catalogue.Lifecycle, catalogue.MemoryOp(of))
	}
	for _, op := range []string{catalogue.OpFork, catalogue.OpImageSize, catalogue.OpBootProvision, catalogue.OpBootReady} {
		add(catalogue.Fork, catalogue.ForkOp(op))
	}
	add(catalogue.Parallel, catalogue.ParallelOp(1, catalogue.OpVM), catalogue.ParallelOp(p.VMs, catalogue.OpVM), catalogue.ParallelOp(p.VMs, catalogue.OpAll))
	add(catalogue.Exec, catalogue.ExecCountOp(catalogue.OpTrue, p.Execs), catalogue.ExecCountOp(catalogue.OpKept, p.Execs),
		catalogue.ExecBytesOp(catalogue.OpStdin, p.ExecMB), catalogue.ExecBytesOp(catalogue.OpStdout, p.ExecMB))
	return out
}

// Measure makes VMs with m and prints what they cost. The status is 1 if
// something failed that was measured; err says that no VM could be made, or that
// ctx ended.
func Measure(ctx context.Context, m Maker, p Plan, out io.Writer) (status int, err error) {
	if p.Notify == nil {
		p.Notify = func(string) {}
	}
	r := &run{maker: m, plan: p, text: &text{w: out}}
	begin := time.Now()
	r.text.head(p)
	for _, part := range []struct {
		category catalogue.Category
		measure  func(context.Context) error
	}{{catalogue.Lifecycle, r.life}, {catalogue.Fork, r.fork}, {catalogue.Parallel, r.parallel}, {catalogue.Exec, r.exec}} {
		if err == nil && slices.Contains(p.Parts, part.category) {
			r.text.category(part.category, p)
			err = part.measure(ctx)
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	status = r.text.end(begin, err, ctx.Err() != nil)
	return status, err
}

// run is a measurement under way.
type run struct {
	maker Maker
	plan  Plan
	text  *text
}

func (r *run) make(ctx context.Context, what string, o Options) (VM, error) {
	r.plan.Notify(what)
	v, err := r.maker.Make(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return v, nil
}

// life is one VM from its making to its end.
func (r *run) life(ctx context.Context) (err error) {
	r.text.op(catalogue.LifecycleOp(catalogue.OpFloor), func() (record.Samples, error) {
		r.plan.Notify("an empty VM")
		begin := time.Now()
		d, err := r.maker.Floor(ctx)
		return took(begin, d), err
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v, err := r.make(ctx, "making a VM", Options{})
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			err = errors.Join(err, v.Close())
		}
	}()
	b := v.Birth()
	r.text.took(catalogue.LifecycleOp(catalogue.OpProvision), b.Begin, b.Provision)
	at := b.Begin
	for _, s := range b.Stages {
		if op, ok := catalogue.Lookup(catalogue.StageOp(s.Name).Name); ok {
			r.text.took(op, at, time.Duration(s.TookNS))
		}
		at = at.Add(time.Duration(s.TookNS))
	}
	r.text.took(catalogue.LifecycleOp(catalogue.OpExecReady), b.Begin.Add(b.Provision), b.Ready)
	var execTook time.Duration
	r.text.op(catalogue.LifecycleOp(catalogue.OpExec), func() (record.Samples, error) {
		r.plan.Notify("a command in the VM")
		begin := time.Now()
		d, err := program(v.Command())(ctx)
		execTook = d
		return took(begin, execTook), err
	})
	r.memory(ctx, v)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.plan.Notify("deleting the VM")
	closed = true
	begin := time.Now()
	err = v.Close()
	deleteTook := time.Since(begin)
	r.text.op(catalogue.LifecycleOp(catalogue.OpDelete), func() (record.Samples, error) { return took(begin, deleteTook), err })
	if err == nil {
		r.text.took(catalogue.LifecycleOp(catalogue.OpTotal), b.Begin, b.Provision+b.Ready+execTook+deleteTook)
	}
	return nil
}

// memory is what the VM takes, on the host and inside.
func (r *run) memory(ctx context.Context, v VM) {
	now := time.Now()
	part := func(of string, metrics map[string]float64, err error) {
		r.text.op(catalogue.MemoryOp(of), func() (record.Samples, error) {
			return record.Samples{StartNS: now.UnixNano(), ElapsedNS: 1, Count: 1, Metrics: metrics}, err
		})
	}
	m, err := v.Memory()
	part(catalogue.MemoryEmulator, m.Emulator.metrics(), err)
	part(catalogue.MemoryCompanions, m.Companions.metrics(), err)
	meminfo, err := said(ctx, v, "cat /proc/meminfo")
	var used int64
	if err == nil {
		used, err = memoryInUse([]byte(meminfo))
	}
	part(catalogue.MemoryGuest, map[string]float64{"size-B": float64(used)}, err)
}

// took are the samples of one operation that took a time.
func took(begin time.Time, d time.Duration) record.Samples {
	d = max(d, 1)
	return record.Samples{
		StartNS: begin.UnixNano(), ElapsedNS: int64(d), Count: 1, Values: []int64{int64(d)},
		Metrics: map[string]float64{"ns/op": float64(d)},
	}
}
