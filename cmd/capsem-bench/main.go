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
	"slices"
	"strings"
	"syscall"

	"github.com/capsem/capsem-bench/internal/fit"
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A closed pipe is an error of the write, so that clean-up still happens.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
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

// run is the whole command.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, term: newTerm(stderr), examine: examine}
	return a.run(ctx, args)
}

// examine looks at the machine, with what boots have found out about KVM.
func examine(ctx context.Context, o fit.Options) *fit.Report {
	o.NoKVM = qemu.NoKVM()
	return fit.Examine(ctx, o)
}

func (a *app) run(ctx context.Context, args []string) int {
	root := newRoot(a)
	root.SetArgs(normalize(args))
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		if e.err != nil {
			fmt.Fprintln(a.stderr, "capsem-bench:", clean(e.err.Error()))
		}
		return e.status
	case ctx.Err() != nil:
		return exitInterrupted
	}
	// What cobra itself complains about is wrong usage; one line is enough.
	line, _, _ := strings.Cut(err.Error(), "\n")
	fmt.Fprintf(a.stderr, "capsem-bench: %s; see 'capsem-bench --help'\n", clean(line))
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
	examine        func(context.Context, fit.Options) *fit.Report // looks at the machine
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
