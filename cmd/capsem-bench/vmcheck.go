package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/spf13/cobra"
)

// vmSetupCommand installs what VMs need.
func (a *app) vmSetupCommand() *cobra.Command {
	opt := new(machineOptions)
	var dry bool
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Install what VMs need, with the system's package manager",
		Long: `setup installs QEMU, virtiofsd, mmdebstrap and squashfs-tools with apt-get, as
root or by sudo. Where the kernel has no /dev/vhost-vsock it also fetches
vhost-device-vsock: from the system's suite if that has it, else from a newer
one of the same mirror, verified by Debian's keys and unpacked into the user's
cache directory. For the full profile it installs npm if there is none, for
another architecture its emulator.`,
		Example: "  capsem-bench vm setup\n  capsem-bench vm setup --profile full\n  capsem-bench vm setup --arch arm64 --dry-run",
		Args:    atMostArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opt.checkImage(); err != nil {
				return err
			}
			return a.vmSetup(cmd.Context(), opt, dry)
		},
	}
	opt.imageFlags(cmd.Flags())
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print the commands and change nothing")
	return cmd
}

func (a *app) vmSetup(ctx context.Context, opt *machineOptions, dry bool) error {
	missing := qemu.MissingPackages(qemu.Profile(opt.profile), qemu.Arch(opt.arch))
	for _, argv := range qemu.InstallCommands(missing, os.Geteuid() == 0) {
		if err := a.setupStep(ctx, argv, dry); err != nil {
			return err
		}
	}
	tools, err := qemu.FindTools()
	if err != nil && tools.Vsock == qemu.VhostUser && tools.VsockDevice == "" {
		fmt.Fprintln(a.stderr, "vhost-device-vsock: from a suite of Debian that has it, into the cache directory")
		if dry {
			return nil
		}
		p := newProgress(a.term, false)
		path, err := qemu.FetchVsockDevice(ctx, opt.mirror, func(what string) { p.step(what, 0) })
		p.Close()
		if err != nil {
			return unfit(ctx, err)
		}
		fmt.Fprintln(a.stderr, "installed", path)
	}
	if dry {
		return nil
	}
	if _, err := qemu.FindTools(); err != nil {
		return exit(exitUnfit, err)
	}
	fmt.Fprintln(a.stderr, "everything is installed; 'capsem-bench vm doctor' tries it")
	return nil
}

// setupStep runs a command that changes the machine, or only prints it.
func (a *app) setupStep(ctx context.Context, argv []string, dry bool) error {
	fmt.Fprintln(a.stderr, strings.Join(argv, " "))
	if dry {
		return nil
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stderr, a.stderr
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return exit(exitUnfit, fmt.Errorf("%w; 'capsem-bench vm setup --dry-run' prints what has to be run as root", err))
	}
	if err != nil {
		return unfit(ctx, fmt.Errorf("%s: %w", strings.Join(argv, " "), err))
	}
	return nil
}

// vmDoctorCommand says whether VMs can run here.
func (a *app) vmDoctorCommand() *cobra.Command {
	opt := new(machineOptions)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say whether VMs run on this machine, by running one",
		Long: `doctor looks for the programs that VMs need and says how to get what is missing.
Then it boots: a guest that only says hello, with KVM, and a whole one, whose
vsock it measures. It builds the image if there is none. Exit status 3 means
that no VM runs here.`,
		Example: "  capsem-bench vm doctor",
		Args:    atMostArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opt.check(); err != nil {
				return err
			}
			return a.vmDoctor(cmd.Context(), opt)
		},
	}
	opt.flags(cmd.Flags())
	return cmd
}

// A vmCheck is one line of the doctor.
type vmCheck struct {
	name, state, value string
}

func (a *app) vmDoctor(ctx context.Context, opt *machineOptions) error {
	p := newProgress(a.term, false)
	closeProgress := sync.OnceFunc(p.Close)
	defer closeProgress()
	checks, missing := programChecks(opt)
	var verdict error
	if missing {
		verdict = fmt.Errorf("no VM runs here; '%s' installs what is missing", opt.setupCommand())
	} else {
		more, err := a.bootChecks(ctx, opt, func(what string) { p.step(what, 0) })
		if ctx.Err() != nil {
			return unfit(ctx, ctx.Err())
		}
		checks = append(checks, more...)
		if err != nil {
			checks = append(checks, vmCheck{"boot", "fails", err.Error()})
			verdict = errors.New("no VM runs here; the last check says why")
		}
	}
	closeProgress()
	var rows [][3]string
	for _, c := range checks {
		rows = append(rows, [3]string{c.name, c.state, termtext.Block(c.value)})
	}
	if _, err := fmt.Fprintln(a.stdout, statesTable(rows, a.term.width())); err != nil {
		return exit(exitUnfit, err)
	}
	return exit(exitUnfit, verdict)
}

// programChecks says which programs are there.
func programChecks(opt *machineOptions) (checks []vmCheck, missing bool) {
	for _, r := range qemu.Requirements(qemu.Profile(opt.profile), qemu.Arch(opt.arch)) {
		c := vmCheck{r.Program, "ok", r.Path}
		if r.Path == "" {
			missing = true
			c.state, c.value = "missing", "Debian package "+r.Package
		}
		checks = append(checks, c)
	}
	return checks, missing
}

// bootChecks boots guests and says what came of it.
func (a *app) bootChecks(ctx context.Context, opt *machineOptions, notify func(string)) ([]vmCheck, error) {
	image, err := qemu.Build(ctx, a.build(opt, notify))
	if err != nil {
		return nil, err
	}
	checks := []vmCheck{{"image", "ok", image.Dir()}}
	if err := image.Verify(); err != nil {
		return checks, err
	}
	guest, err := sandbox.GuestTools().For(opt.arch).Find(ctx, notify)
	if err != nil {
		return checks, err
	}
	notify("trying KVM")
	accel, reason, err := qemu.ChooseAccel(ctx, image, guest)
	if err != nil {
		return checks, err
	}
	kvm := vmCheck{"KVM", "ok", "runs a guest"}
	if accel == qemu.TCG {
		kvm = vmCheck{"KVM", "no", reason + "; guests are emulated, several times slower"}
	}
	checks = append(checks, kvm)
	machine, err := a.machine(ctx, opt, notify)
	if err != nil {
		return checks, err
	}
	machine.OnStage = booting(notify)
	dir, err := scratch.New(scratch.Temp(), "capsem-workspace-")
	if err != nil {
		return checks, err
	}
	defer dir.Close()
	begin := time.Now()
	v, err := newVM(ctx, dir.Path(), machine, "", nil)
	if err != nil {
		return checks, err
	}
	defer v.Close()
	checks = append(checks, vmCheck{"boot", "ok", fmt.Sprintf("%.1f s with %s", time.Since(begin).Seconds(), machine.Accel)})
	trip, err := v.RoundTrip(ctx)
	if err != nil {
		return checks, err
	}
	return append(checks, vmCheck{"vsock", "ok", fmt.Sprintf("%s, round trip %s", machine.Tools.Vsock, trip.Round(10*time.Microsecond))}), v.Close()
}
