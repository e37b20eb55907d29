package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/capsem/capsem-bench/sandbox/remote"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

// vmCommand is everything about VMs but measuring in them.
func (a *app) vmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vm",
		Short: "Build, check and use the QEMU sandbox",
		Args:  atMostArgs(0, "a subcommand"),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.vmBuildCommand(), a.vmSetupCommand(), a.vmDoctorCommand(), a.vmExecCommand(), a.vmShellCommand(), a.vmFloorCommand(), a.vmPruneCommand())
	return cmd
}

func (a *app) vmBuildCommand() *cobra.Command {
	opt := new(machineOptions)
	var fresh bool
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build a VM's image, unless it is there",
		Long: `build makes the rootfs from Debian's packages, takes the kernel from Debian too,
and keeps both in the user's cache directory. It prints the image's directory.
The same package versions give the same digest, which goes into every result;
manifest.json in the directory names them. The profiles:

  minimal  python3, curl and certificates
  full     also node, and the claude, gemini and codex CLIs under /opt/ai-clis`,
		Example: "  capsem-bench vm build\n  capsem-bench vm build --profile full\n  capsem-bench vm build --fresh",
		Args:    atMostArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opt.checkImage(); err != nil {
				return err
			}
			p := newProgress(a.term, false)
			defer p.Close()
			build := opt.build(func(what string) { p.step(what, 0) })
			build.Fresh = fresh
			begin := time.Now()
			image, err := qemu.Build(cmd.Context(), build)
			if err != nil {
				return unfit(cmd.Context(), err)
			}
			p.step("", 0)
			fmt.Fprintf(a.stderr, "%s image for %s: %s, %d packages, %s, %s (%.0f s)\n", image.Profile, image.Arch,
				humanize.IBytes(uint64(image.Size)), len(image.Packages), image.Manifest.Kernel, image.Digest, time.Since(begin).Seconds())
			_, err = fmt.Fprintln(a.stdout, image.Dir())
			return exit(exitUnfit, err)
		},
	}
	opt.imageFlags(cmd.Flags())
	cmd.Flags().BoolVar(&fresh, "fresh", false, "build it anew, with today's packages")
	return cmd
}

func (a *app) vmExecCommand() *cobra.Command {
	opt := new(execOptions)
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run one command in a fresh VM",
		Long: `exec boots a VM, runs the command in its workspace as root, and powers it off.
Standard input, output and error, signals and the exit status are the
command's; status 3 with a message says that there was no VM to run it in, or
that it broke down. capsem-bench is in the VM's PATH.`,
		Example: "  capsem-bench vm exec -- uname -a\n  capsem-bench vm exec --stages -- true\n" +
			"  tar c . | capsem-bench vm exec -- tar xv",
		Args: minArgs(1, "a command"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.execInVM(cmd.Context(), opt, shell.Join(args...), false)
		},
	}
	opt.flags(cmd)
	return cmd
}

func (a *app) vmShellCommand() *cobra.Command {
	opt := new(execOptions)
	cmd := &cobra.Command{
		Use:     "shell",
		Short:   "Open a shell in a fresh VM",
		Long:    "shell boots a VM, opens a login shell in it, and powers it off when that ends. ~. at the start of a line ends it at once.",
		Example: "  capsem-bench vm shell --memory 4096",
		Args:    atMostArgs(0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.execInVM(cmd.Context(), opt, "", true) },
	}
	opt.flags(cmd)
	return cmd
}

// execOptions are the flags of exec and shell.
type execOptions struct {
	machineOptions
	stages bool
	out    string
	tools  bool
}

func (o *execOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	o.machineOptions.flags(f)
	f.BoolVar(&o.stages, "stages", false, "print how long each step took")
	f.StringVar(&o.out, "out", "", "keep the session database in `DIR`, and the text of what capsem-bench measures in the VM")
	f.BoolVar(&o.tools, "tools", true, "have capsem-bench in the VM")
}

// execInVM runs one command, or a login shell, in a fresh VM.
func (a *app) execInVM(ctx context.Context, opt *execOptions, line string, terminal bool) error {
	if err := opt.check(); err != nil {
		return err
	}
	begin := time.Now()
	p := newProgress(a.term, false)
	closeProgress := sync.OnceFunc(p.Close)
	defer closeProgress()
	notify := func(what string) { p.step(what, 0) }
	machine, guest, err := a.guestPrograms(ctx, opt, notify)
	if err != nil {
		return unfit(ctx, err)
	}
	machine.Begin, machine.OnStage = begin, booting(notify)
	dir, err := scratch.New(scratch.Temp(), "capsem-workspace-")
	if err != nil {
		return exit(exitUnfit, err)
	}
	defer dir.Close()
	db, closeDB, err := a.execSession(opt.out)
	if err != nil {
		return err
	}
	defer closeDB()
	v, err := newVM(ctx, dir.Path(), machine, guest, db, keepsResults(opt.out)...)
	if err != nil {
		return unfit(ctx, err)
	}
	closeProgress()
	texts := newGuestTexts(ctx, v, opt.out)
	status, err := a.execCommand(ctx, v, line, terminal)
	stages := v.Machine().Stages()
	stages.Mark("command")
	if err == nil {
		texts.fetch(ctx)
	}
	err = errors.Join(err, texts.close())
	err = errors.Join(err, v.Close())
	stages.Mark("close")
	if opt.stages {
		stages.Write(a.stderr)
	}
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted")}
	case err != nil:
		return exit(exitUnfit, err)
	case status != 0:
		return &exitError{status, nil}
	}
	return nil
}

// guestPrograms is the machine with capsem-bench in it.
func (a *app) guestPrograms(ctx context.Context, opt *execOptions, notify func(string)) (machine qemu.Options, guest string, err error) {
	if machine, err = a.machine(ctx, &opt.machineOptions, notify); err != nil || !opt.tools {
		return machine, "", err
	}
	if guest, err = sandbox.GuestBinary().For(opt.arch).Find(ctx, notify); err != nil {
		return machine, "", err
	}
	command, err := sandbox.GuestCommand().For(opt.arch).Find(ctx, notify)
	if err != nil {
		return machine, "", err
	}
	machine.Programs = map[string]string{"capsem-bench": command}
	return machine, guest, nil
}

// execCommand runs the command with our standard streams, or a shell on our
// terminal. Signals are the command's while it runs; the context, which the
// same signals end, is for before and after.
func (a *app) execCommand(ctx context.Context, v *sandbox.VM, line string, terminal bool) (int, error) {
	cmd := remote.Command{Line: line, Stdin: a.stdin, Stdout: a.stdout, Stderr: a.stderr}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if terminal {
		in, okIn := a.stdin.(*os.File)
		out, okOut := a.stdout.(*os.File)
		if !okIn || !okOut {
			return 0, usage("vm shell needs a terminal; 'capsem-bench vm exec' does not")
		}
		t, restore, err := remote.OpenTerminal(in, out)
		if err != nil {
			return 0, usage("vm shell needs a terminal (%v); 'capsem-bench vm exec' does not", err)
		}
		defer restore()
		cmd.Terminal, cmd.Stdin = t, remote.Escape(in, cancel)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	cmd.Signals = signals
	return v.Exec(ctx, cmd)
}

// execSession makes a session database in a new directory, if one is wanted.
func (a *app) execSession(out string) (*session.Writer, func(), error) {
	if out == "" {
		return nil, func() {}, nil
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, nil, exit(exitUnfit, err)
	}
	for _, name := range []string{sessionName, textName} {
		if _, err := os.Lstat(filepath.Join(out, name)); err == nil {
			return nil, nil, usage("--out %s: it has %s already; choose a new directory", out, name)
		}
	}
	f := newSessionFile(filepath.Join(out, sessionName))
	w, err := f.open()
	if err != nil {
		return nil, nil, exit(exitUnfit, err)
	}
	return w, func() { f.close(a.stderr) }, nil
}
