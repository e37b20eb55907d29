package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/spf13/pflag"
)

// machineOptions are the flags of everything that boots a VM.
type machineOptions struct {
	profile, arch, accel, mirror string
	image                        string // a directory; "" builds or finds the profile's
	cpus, memory                 int
}

// imageFlags choose the image.
func (o *machineOptions) imageFlags(f *pflag.FlagSet) {
	f.StringVar(&o.profile, "profile", string(qemu.Minimal), "the VM's image: minimal, or full with node and the AI CLIs")
	f.StringVar(&o.arch, "arch", string(qemu.HostArch()), "the VM's architecture: amd64 or arm64")
	f.StringVar(&o.mirror, "mirror", "", "Debian mirror `URL` (default that of apt's configuration)")
}

func (o *machineOptions) flags(f *pflag.FlagSet) {
	o.imageFlags(f)
	f.StringVar(&o.image, "image", "", "boot the image in `DIR`, as 'vm build' prints it (default the profile's)")
	f.StringVar(&o.accel, "accel", "auto", "how the VM's instructions are run: auto, kvm, or tcg (emulated)")
	f.IntVar(&o.cpus, "cpus", 2, "the VM's processors")
	f.IntVar(&o.memory, "memory", 2048, "the VM's memory in `MiB`")
}

func (o *machineOptions) checkImage() error {
	switch qemu.Profile(o.profile) {
	case qemu.Minimal, qemu.Full:
	default:
		return usage("--profile %q: want minimal or full", o.profile)
	}
	switch qemu.Arch(o.arch) {
	case qemu.AMD64, qemu.ARM64:
	default:
		return usage("--arch %q: want amd64 or arm64", o.arch)
	}
	return nil
}

func (o *machineOptions) check() error {
	if err := o.checkImage(); err != nil {
		return err
	}
	switch o.accel {
	case "auto", string(qemu.KVM), string(qemu.TCG):
	default:
		return usage("--accel %q: want auto, kvm or tcg", o.accel)
	}
	if o.cpus < 1 || o.cpus > 64 {
		return usage("--cpus %d: want 1 to 64", o.cpus)
	}
	// Less than 512 MiB leaves the kernel and init no room.
	if o.memory < 512 || o.memory > 1<<20 {
		return usage("--memory %d: want 512 to 1048576 MiB", o.memory)
	}
	return nil
}

func (a *app) build(o *machineOptions, notify func(string)) qemu.BuildOptions {
	return qemu.BuildOptions{
		Profile: qemu.Profile(o.profile), Arch: qemu.Arch(o.arch), Mirror: o.mirror, Notify: notify,
		Warn: func(remark string) { fmt.Fprintln(a.stderr, "capsem-bench:", termtext.Cell(remark)) },
	}
}

// setupCommand is the command that installs what these options need.
func (o *machineOptions) setupCommand() string {
	return qemu.SetupCommand(qemu.Profile(o.profile), qemu.Arch(o.arch))
}

// programs finds the host's programs. A machine without them is the cause of
// whatever else fails, so nothing is built before this.
func (o *machineOptions) programs() (qemu.Tools, error) {
	program := qemu.Config{Arch: qemu.Arch(o.arch)}.Program()
	if _, err := exec.LookPath(program); err != nil {
		return qemu.Tools{}, fmt.Errorf("%s: %w; '%s' installs what is missing", program, qemu.ErrTool, o.setupCommand())
	}
	tools, err := qemu.FindTools()
	if err != nil {
		err = fmt.Errorf("%w; '%s' installs what is missing", err, o.setupCommand())
	}
	return tools, err
}

// machine makes ready what a VM boots from: emulator, image, the guest's
// programs, and the answer to whether KVM works. Remarks go to standard error.
func (a *app) machine(ctx context.Context, o *machineOptions, notify func(string)) (qemu.Options, error) {
	tools, err := o.programs()
	if err != nil {
		return qemu.Options{}, err
	}
	return a.machineWith(ctx, o, tools, notify)
}

func (a *app) machineWith(ctx context.Context, o *machineOptions, tools qemu.Tools, notify func(string)) (m qemu.Options, err error) {
	m = qemu.Options{CPUs: o.cpus, MemoryMB: o.memory, Tools: tools}
	if m.ProxyCommand, err = proxyCommand(); err != nil {
		return m, err
	}
	if m.Image, err = a.openImage(ctx, o, notify); err != nil {
		return m, err
	}
	if m.Guest, err = sandbox.GuestTools().For(o.arch).Find(ctx, notify); err != nil {
		return m, err
	}
	m.Accel = qemu.Accel(o.accel)
	if o.accel != "auto" {
		if m.Accel == qemu.TCG {
			a.warnEmulated("as --accel says")
		}
		return m, nil
	}
	notify("trying KVM")
	accel, reason, err := qemu.ChooseAccel(ctx, m.Image, m.Guest)
	if err != nil {
		return m, err
	}
	if m.Accel = accel; accel == qemu.TCG {
		a.warnEmulated(reason)
	}
	return m, nil
}

// openImage returns the image that was named, or the profile's.
func (a *app) openImage(ctx context.Context, o *machineOptions, notify func(string)) (*qemu.Image, error) {
	if o.image == "" {
		return qemu.Build(ctx, a.build(o, notify))
	}
	image, err := qemu.OpenImage(o.image)
	if err != nil {
		return nil, err
	}
	if image.Arch != qemu.Arch(o.arch) {
		return nil, usage("--image %s is for %s; want --arch %s", o.image, image.Arch, image.Arch)
	}
	return image, image.Verify()
}

func (a *app) warnEmulated(reason string) {
	fmt.Fprintf(a.stderr, "capsem-bench: the VM is emulated (TCG), several times slower than one with KVM: %s\n", termtext.Block(reason))
}

// qemuSandbox measures in VMs of our own.
func (a *app) qemuSandbox() sandboxKind {
	opt := new(machineOptions)
	return sandboxKind{
		name:    "qemu",
		unfit:   a.linuxOnly("--sandbox qemu"),
		decides: sandbox.Decides(),
		about:   "a VM with Capsem's topology, by QEMU; see 'capsem-bench vm doctor'",
		flags:   opt.flags,
		labels:  labelsOfCommand,
		prepare: func(ctx context.Context, notify func(string)) (openFunc, error) {
			if err := opt.check(); err != nil {
				return nil, err
			}
			machine, err := a.machine(ctx, opt, notify)
			if err != nil {
				return nil, err
			}
			guest, err := sandbox.GuestBinary().For(opt.arch).Find(ctx, notify)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, b sandbox.Boot) (sandbox.Sandbox, error) {
				db, err := b.Session()
				if err != nil {
					return nil, err
				}
				machine.OnStage = booting(b.Notify)
				v, err := newVM(ctx, b.Dir, machine, guest, db, b.Env...)
				if err != nil {
					return nil, err // not v: a nil *VM is a non-nil interface
				}
				return v, nil
			}, nil
		},
		makes: func(ctx context.Context, notify func(string)) (makeFunc, error) {
			return a.makesMachines(ctx, opt, notify)
		},
	}
}

// newVM boots a VM for the guest binary, or without it. env are further
// variables of the guest binary.
func newVM(ctx context.Context, dir string, machine qemu.Options, guest string, db *session.Writer, env ...string) (*sandbox.VM, error) {
	slow, err := delays()
	if err != nil {
		return nil, err
	}
	v, err := sandbox.NewVM(ctx, sandbox.VMConfig{
		Dir: dir, Machine: machine, Binary: guest, Env: os.Environ(), Set: env, Session: db, Wrap: slow.Listener,
	})
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return v, err
}
