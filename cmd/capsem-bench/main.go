// Command capsem-bench measures what it costs to run coding agents in a
// Capsem VM: disk, rootfs, startup, http, throughput and snapshot.
//
// In the guest it runs the benchmarks of the guest binary, capsem-bench.test;
// on the host it runs them in a sandbox. Either way one JSON document goes to
// standard output, and tables, progress and complaints go to standard error.
// It also converts, imports and inspects what was measured.
//
// Exit status: 0 ok, 1 what was measured failed, 2 usage or unreadable input,
// 3 the environment is unfit, 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/hostcheck"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnfit       = 3
	exitInterrupted = 130
)

func main() {
	os.Exit(newApp(os.Stdin, os.Stdout, os.Stderr).runUntilSignal(os.Args[1:]))
}

// runUntilSignal runs the command and returns its status. The first signal asks
// it to end, the next one ends the process.
func (a *app) runUntilSignal(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A closed pipe is an error of the write, so that clean-up still happens.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	done := make(chan int, 1)
	go func() { done <- a.run(ctx, args) }()
	return a.wait(ctx, stop, done)
}

// readersGrace is how long a command that only reads may go on after a signal.
// It may be blocked in a read, or busy, where no context is looked at.
const readersGrace = time.Second

// oneSignal is how long signals are one and the same: the kernel sends a child the
// signal of PR_SET_PDEATHSIG for each thread of a killed parent, milliseconds
// apart, and the second must not keep it from cleaning up.
const oneSignal = 500 * time.Millisecond

// wait returns the status of the command. After a signal the next one ends the
// process, and a command that leaves nothing behind ends soon whatever it does.
func (a *app) wait(ctx context.Context, stop context.CancelFunc, done <-chan int) int {
	defer stop()
	select {
	case status := <-done:
		return status
	case <-ctx.Done():
	}
	time.AfterFunc(oneSignal, stop)
	if !a.reads.Load() {
		return <-done
	}
	select {
	case status := <-done:
		return status
	case <-time.After(readersGrace):
		fmt.Fprintln(a.stderr, "capsem-bench: interrupted")
		return exitInterrupted
	}
}

// An exitError ends the command with a status. A nil err prints nothing.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exit gives an error a status; nil stays nil.
func exit(status int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{status, err}
}

// newApp is the command on the given streams.
func newApp(stdin io.Reader, stdout, stderr io.Writer) *app {
	return &app{stdin: stdin, stdout: stdout, stderr: stderr, term: newTerm(stderr), examine: examine, grace: execGrace, system: runtime.GOOS}
}

// examine looks at the machine, with what boots have found out about KVM.
func examine(ctx context.Context, o hostcheck.Options) *hostcheck.Report {
	o.NoKVM = qemu.NoKVM()
	return hostcheck.Examine(ctx, o)
}

func (a *app) run(ctx context.Context, args []string) int {
	sandbox.Sweep()
	help := &sticky{w: a.stdout} // cobra drops the errors of what it prints
	root := newRoot(a)
	root.SetArgs(normalize(args))
	root.SetIn(a.stdin)
	root.SetOut(help)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	var e *exitError
	if help.err != nil && !errors.As(err, &e) {
		err = exit(exitUnfit, written(help.err))
	}
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		if e.err != nil {
			fmt.Fprintln(a.stderr, "capsem-bench:", termtext.Block(e.err.Error()))
			if advice := fullDisk(e.err); advice != "" {
				fmt.Fprintln(a.stderr, "  "+termtext.Block(advice))
			}
		}
		return e.status
	case ctx.Err() != nil:
		return exitInterrupted
	}
	// What cobra itself complains about is wrong usage; one line is enough.
	line, _, _ := strings.Cut(err.Error(), "\n")
	fmt.Fprintf(a.stderr, "capsem-bench: %s; see 'capsem-bench --help'\n", termtext.Block(line))
	return exitUsage
}

// normalize lets the flags of go test's habit, -count 3 and -json F, be
// written with one dash.
func normalize(args []string) []string {
	long := []string{"count", "json", "out", "quiet", "verbose", "help", "version"}
	out := slices.Clone(args)
	for i, a := range out {
		if a == "--" {
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(a, "-"), "=")
		if strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && slices.Contains(long, name) {
			out[i] = "-" + a
		}
	}
	return out
}

// app is what all subcommands share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	term           *term
	color          string                                                     // --color: auto, always or never
	reads          atomic.Bool                                                // nothing is to be cleaned up after what runs
	examine        func(context.Context, hostcheck.Options) *hostcheck.Report // looks at the machine
	grace          time.Duration                                              // see execGrace
	system         string                                                     // runtime.GOOS
}

// linuxOnly refuses what measures this machine, or boots VMs of ours, where it is
// no Linux: the benchmarks are of Linux, and QEMU gets a Linux host's devices.
func (a *app) linuxOnly(what string) error {
	if a.system == "linux" {
		return nil
	}
	return exit(exitUnfit, fmt.Errorf("%s needs Linux, and this is %s; from here 'capsem-bench run --sandbox capsem' measures Capsem's VMs, and --sandbox command any Linux guest",
		what, a.system))
}

// usage is the error of wrong usage. It says what would be right.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// atMostArgs and minArgs give cobra's complaints our status and wording.
func atMostArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("%s: want %s, got %q; see '%s --help'", cmd.Name(), what, args, cmd.CommandPath())
		}
		return nil
	}
}

// useLine is how the command is called, for complaints.
func useLine(cmd *cobra.Command) string { return strings.TrimSuffix(cmd.UseLine(), " [flags]") }

func minArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return usage("%s: want %s, as in '%s'", cmd.Name(), what, useLine(cmd))
		}
		return nil
	}
}

func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage("%s: want %s, as in '%s'", cmd.Name(), what, useLine(cmd))
		}
		return nil
	}
}
