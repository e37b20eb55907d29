package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/lifecycle"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/capsem/capsem-bench/sandbox/command"
	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/capsem/capsem-bench/sandbox/remote"
)

// This file has the makers of VMs: those of QEMU, and those of templates.

// machineMaker makes VMs of our own.
type machineMaker struct {
	machine qemu.Options
	guest   string // the guest binary
	self    string // this command
	dir     string // of the results, beside which the workspaces are
	env     []string
}

// makesMachines makes ready what all VMs are made of.
func (a *app) makesMachines(ctx context.Context, opt *machineOptions, notify func(string)) (makeFunc, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	m, err := a.machine(ctx, opt, notify)
	if err != nil {
		return nil, err
	}
	guest, err := sandbox.GuestBinary().For(opt.arch).Find(ctx, notify)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	about := record.Run{Sandbox: "qemu", Accel: string(m.Accel), Image: m.Image.Digest}
	return func(b sandbox.Boot) (lifecycle.Maker, record.Run) {
		return &machineMaker{machine: m, guest: guest, self: self, dir: b.Dir, env: b.Env}, about
	}, nil
}

func (m *machineMaker) Floor(ctx context.Context) (time.Duration, error) {
	return qemu.Floor(ctx, m.machine)
}

func (m *machineMaker) Make(ctx context.Context, o lifecycle.Options) (lifecycle.VM, error) {
	slow, err := delays()
	if err != nil {
		return nil, err
	}
	machine := m.machine
	var made atomic.Pointer[time.Time] // when QEMU ran
	machine.OnStage = func(s qemu.StageTime) {
		if now := time.Now(); s.Name == stageMade {
			made.Store(&now)
		}
	}
	cfg := sandbox.VMConfig{Dir: m.dir, Machine: machine, Env: os.Environ(), Set: m.env, Wrap: slow.Listener}
	if o.Benchmarks {
		cfg.Binary = m.guest
	}
	if image, ok := o.Image.(*machineImage); ok {
		cfg.From = image.workspace
	}
	v := &machineVM{maker: m}
	v.birth.Begin = time.Now()
	if v.VM, err = sandbox.NewVM(ctx, cfg); err != nil {
		return nil, cmp.Or(context.Cause(ctx), err)
	}
	status, err := v.Exec(ctx, "true", nil, io.Discard)
	if err == nil && status != 0 {
		err = errors.New("the first command of the VM failed")
	}
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	v.birth.Provision = made.Load().Sub(v.birth.Begin)
	v.birth.Ready = time.Since(v.birth.Begin) - v.birth.Provision
	v.birth.Stages = v.BootStages()
	return v, nil
}

// stageMade is the stage by which a VM is made: all its processes run.
const stageMade = "qemu"

// machineVM is a VM of our own.
type machineVM struct {
	*sandbox.VM
	maker *machineMaker
	birth lifecycle.Birth
}

func (v *machineVM) Birth() lifecycle.Birth { return v.birth }

func (v *machineVM) Command() []string {
	return []string{v.maker.self, "vm", "exec", "--vm", v.Machine().Name(), "--", "true"}
}

func (v *machineVM) Connected() bool { return true }

func (v *machineVM) Exec(ctx context.Context, line string, stdin io.Reader, stdout io.Writer) (int, error) {
	return v.VM.Exec(ctx, remote.Command{Line: line, Stdin: stdin, Stdout: stdout})
}

func (v *machineVM) Memory() (m lifecycle.Memory, err error) {
	emulator, devices := v.Machine().PIDs()
	if m.Emulator, err = lifecycle.MemoryOf(emulator); err == nil {
		m.Companions, err = lifecycle.MemoryOf(devices...)
	}
	return m, err
}

func (v *machineVM) CanFork() error { return nil }

func (v *machineVM) Fork(ctx context.Context) (lifecycle.Image, error) {
	dir, err := scratch.New(v.maker.dir, forkPrefix)
	if err != nil {
		return nil, err
	}
	image := &machineImage{dir: dir, workspace: filepath.Join(dir.Path(), "workspace")}
	if err = os.Mkdir(image.workspace, 0o700); err == nil {
		f, ferr := v.VM.Fork(ctx, image.workspace)
		image.bytes, image.leftOut, err = f.Bytes, f.LeftOut, ferr
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return image, nil
}

// forkPrefix begins the name of a directory with a fork's workspace.
const forkPrefix = ".fork-"

// machineImage is the workspace of a fork, until a VM takes it.
type machineImage struct {
	dir       *scratch.Dir
	workspace string
	bytes     int64
	leftOut   int
}

func (i *machineImage) Bytes() int64 { return i.bytes }
func (i *machineImage) LeftOut() int { return i.leftOut }
func (i *machineImage) Close() error { return i.dir.Close() }

// guestMaker makes guests by templates.
type guestMaker struct{ cfg command.Config }

// makesGuests holds the templates to making guests.
func makesGuests(name string, cfg command.Config) (makeFunc, error) {
	err := cfg.Check()
	if err == nil && (cfg.Create == "" || cfg.Delete == "") {
		err = command.ErrNoHooks
	}
	if err != nil {
		return nil, usage("lifecycle --sandbox %s: %w", name, err)
	}
	return func(b sandbox.Boot) (lifecycle.Maker, record.Run) {
		boot := cfg
		boot.Env = append(slices.Clone(boot.Env), b.Env...)
		boot.Slot = cmp.Or(boot.Slot, b.Slot)
		return &guestMaker{boot}, record.Run{Sandbox: "command"}
	}, nil
}

func (m *guestMaker) Floor(context.Context) (time.Duration, error) {
	return 0, lifecycle.Unsupported("only sandbox qemu has an empty VM")
}

func (m *guestMaker) Make(ctx context.Context, o lifecycle.Options) (lifecycle.VM, error) {
	g, life, err := command.Make(ctx, m.cfg)
	if err != nil {
		return nil, err
	}
	if o.Benchmarks {
		if err := g.Equip(ctx); err != nil {
			return nil, errors.Join(err, g.Close())
		}
	}
	return &guestVM{g, life}, nil
}

// guestVM is a guest that templates made.
type guestVM struct {
	*command.Guest
	life command.Life
}

func (v *guestVM) Birth() lifecycle.Birth {
	return lifecycle.Birth{Begin: v.life.Begin, Provision: v.life.Provision, Ready: v.life.Ready}
}

func (v *guestVM) Command() []string { return v.ExecArgs("true") }
func (v *guestVM) Connected() bool   { return false }

func (v *guestVM) Memory() (lifecycle.Memory, error) {
	return lifecycle.Memory{}, lifecycle.Unsupported("the processes of a VM of this sandbox are not known")
}

func (v *guestVM) CanFork() error {
	return lifecycle.Unsupported("this sandbox has no template that copies a VM")
}

func (v *guestVM) Fork(context.Context) (lifecycle.Image, error) { return nil, v.CanFork() }
