package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
)

// vmCommand is everything about VMs but measuring in them.
func (a *app) vmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vm",
		Short: "Build, check and use the QEMU sandbox",
		Example: `  capsem-bench vm setup
  capsem-bench vm doctor
  capsem-bench vm exec -- uname -a`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.vmBuildCommand(), a.vmSetupCommand(), a.vmDoctorCommand(), a.vmExecCommand(), a.vmShellCommand(),
		a.vmListCommand(), a.vmCopyCommand(), a.vmProxyCommand(), a.vmSSHConfigCommand(), a.vmFloorCommand(), a.vmPruneCommand())
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
			build := a.build(opt, func(what string) { p.step(what, 0) })
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
	cmd.Flags().BoolVar(&fresh, "fresh", false, "build it again, with today's packages")
	return cmd
}

func (a *app) vmExecCommand() *cobra.Command {
	opt := new(execOptions)
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run one command in a fresh VM, or in one that runs",
		Long: `exec boots a VM, runs the command in its workspace as root, and powers it off;
with --vm it runs the command in a VM that another command has booted.
Standard input, output and error, signals and the exit status are the
command's; status 3 with a message says that there was no VM to run it in, or
that it broke down. capsem-bench is in the VM's PATH.`,
		Example: "  capsem-bench vm exec -- uname -a\n  capsem-bench vm exec --stages -- true\n" +
			"  tar c . | capsem-bench vm exec -- tar xv\n  capsem-bench vm exec --vm vm1 --terminal -- top",
		Args: minArgs(1, "a command"),
		RunE: func(cmd *cobra.Command, args []string) error {
			// The command takes the shell's place, so that signals are its alone.
			return a.execInVM(cmd.Context(), cmd.Flags(), opt, "exec "+shell.Join(args...))
		},
	}
	opt.flags(cmd)
	cmd.Flags().BoolVarP(&opt.terminal, "terminal", "t", false, "give the command this terminal")
	return cmd
}

func (a *app) vmShellCommand() *cobra.Command {
	opt := &execOptions{terminal: true}
	cmd := &cobra.Command{
		Use:   "shell",
		Short: "Open a shell in a fresh VM, or in one that runs",
		Long: `shell boots a VM, opens a login shell in it, and powers it off when that ends;
with --vm it opens the shell in a VM that another command has booted, which
goes on. ~. at the start of a line ends it at once.`,
		Example: "  capsem-bench vm shell --memory 4096\n  capsem-bench vm shell --vm vm1",
		Args:    atMostArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.execInVM(cmd.Context(), cmd.Flags(), opt, "")
		},
	}
	opt.flags(cmd)
	return cmd
}

// execOptions are the flags of exec and shell.
type execOptions struct {
	machineOptions
	vm, name string
	terminal bool
	stages   bool
	out      string
	tools    bool
}

func (o *execOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.vm, "vm", "", "use the running VM of that `NAME`, see 'capsem-bench vm list'")
	f.StringVar(&o.name, "name", "", "`NAME` for the fresh VM (default vm1, vm2 and so on)")
	o.machineOptions.flags(f)
	f.BoolVar(&o.stages, "stages", false, "print how long each step took")
	f.StringVar(&o.out, "out", "", "keep the session database in `DIR`, and the text of what capsem-bench measures in the VM")
	f.BoolVar(&o.tools, "tools", true, "have capsem-bench in the VM")
}

// check also complains about flags for a fresh VM where a running one is used.
func (o *execOptions) check(f *pflag.FlagSet) (err error) {
	if o.vm != "" {
		f.Visit(func(flag *pflag.Flag) {
			if err == nil && flag.Name != "vm" && flag.Name != "terminal" {
				err = usage("--%s is for a fresh VM, and --vm names one that runs", flag.Name)
			}
		})
		return err
	}
	if o.name != "" {
		if err := qemu.CheckName(o.name); err != nil {
			return usage("--name: %w", err)
		}
	}
	return o.machineOptions.check()
}

// execInVM runs one command, or a login shell, in a VM.
func (a *app) execInVM(ctx context.Context, f *pflag.FlagSet, opt *execOptions, line string) error {
	if err := opt.check(f); err != nil {
		return err
	}
	if opt.terminal {
		if _, _, err := a.terminal(); err != nil {
			return err
		}
	}
	if opt.vm != "" {
		return a.execInRunning(ctx, opt, line)
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
	machine.Name, machine.Begin, machine.OnStage = opt.name, begin, booting(notify)
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
	status, err := a.execCommand(ctx, v.Exec, line, opt.terminal)
	stages := v.Machine().Stages()
	stages.Mark("command")
	if err == nil {
		texts.fetch(ctx)
	}
	err = errors.Join(err, texts.close())
	if opt.out != "" {
		defer a.keptIn(opt.out)
	}
	err = errors.Join(err, v.Close())
	stages.Mark("close")
	if opt.stages {
		stages.Write(a.stderr)
	}
	return commandEnd(ctx, status, err)
}

// keptIn says where what was kept lies.
func (a *app) keptIn(dir string) {
	var files []string
	for _, name := range []string{textName, sessionName} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			files = append(files, name)
		}
	}
	if len(files) > 0 {
		fmt.Fprintf(a.stderr, "Results in %s: %s\n", dir, strings.Join(files, ", "))
	}
}

// commandEnd is how a command in a VM went: its own status, if it came to one.
func commandEnd(ctx context.Context, status int, err error) error {
	switch {
	case errors.Is(err, remote.ErrLeft):
		return exit(exitInterrupted, err)
	case errors.Is(err, syscall.EPIPE):
		return nil // as for every command whose reader has seen enough
	case err != nil && ctx.Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted")}
	case err != nil:
		return unfit(ctx, err)
	case status != 0:
		return &exitError{status, nil}
	}
	return nil
}

// guestPrograms is the machine with capsem-bench in it. What has to be built
// is built at once, which takes little longer than one program does.
func (a *app) guestPrograms(ctx context.Context, opt *execOptions, notify func(string)) (machine qemu.Options, guest string, err error) {
	tools, err := opt.programs()
	if err != nil {
		return machine, "", err
	}
	var command string
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		machine, err = a.machineWith(ctx, &opt.machineOptions, tools, notify)
		return err
	})
	if opt.tools {
		g.Go(func() (err error) {
			guest, err = sandbox.GuestBinary().For(opt.arch).Find(ctx, notify)
			return err
		})
		g.Go(func() (err error) {
			command, err = sandbox.GuestCommand().For(opt.arch).Find(ctx, notify)
			return err
		})
	}
	if err = g.Wait(); err == nil && opt.tools {
		machine.Programs = map[string]string{"capsem-bench": command}
	}
	return machine, guest, err
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
