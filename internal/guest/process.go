package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// maxOutput bounds what is kept of a program's standard output and error.
const maxOutput = 8 << 20

// killGrace is how long output pipes may stay open after the process ended: a
// grandchild that holds them is not waited for.
const killGrace = 2 * time.Second

// A Result is one finished process.
type Result struct {
	Start          time.Time
	Elapsed        time.Duration // from before fork to after wait
	User, Sys      time.Duration
	MaxRSS         int64 // bytes
	Stdout, Stderr []byte
}

// Exec runs a program in a process group of its own, with /dev/null as its
// input, and times it from before fork to after wait. After the limit the
// whole group is killed. A non-zero status is an error that quotes the last
// line of standard error. Output beyond 8 MiB is dropped.
//
// Output goes to unlinked files and not to pipes: no goroutine of ours
// competes with the program, and a grandchild that keeps them open is no
// reason to wait.
func Exec(ctx context.Context, limit time.Duration, dir string, argv ...string) (Result, error) {
	stdout, err := scratch()
	if err != nil {
		return Result{}, err
	}
	defer stdout.Close()
	stderr, err := scratch()
	if err != nil {
		return Result{}, err
	}
	defer stderr.Close()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, stdout, stderr, killGrace
	ownGroup(cmd)
	var r Result
	r.Start, r.Elapsed, err = Timed(cmd.Run)
	if ps := cmd.ProcessState; ps != nil {
		r.User, r.Sys, r.MaxRSS = ps.UserTime(), ps.SystemTime(), maxRSS(ps)
	}
	r.Stdout, r.Stderr = contents(stdout), contents(stderr)
	if err != nil {
		err = explain(ctx, err, limit, r.Stderr)
	}
	return r, err
}

// scratch makes a file that vanishes when it is closed.
func scratch() (*os.File, error) {
	f, err := os.CreateTemp("", ".capsem-bench-")
	if err != nil {
		return nil, fmt.Errorf("a file for a program's output: %w", err)
	}
	return f, os.Remove(f.Name())
}

func contents(f *os.File) []byte {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxOutput))
	if err != nil {
		return nil
	}
	return text
}

// explain says why a process failed in one line.
func explain(ctx context.Context, err error, limit time.Duration, stderr []byte) error {
	if cause := context.Cause(ctx); errors.Is(cause, context.DeadlineExceeded) {
		return fmt.Errorf("timed out after %v", limit)
	} else if cause != nil {
		return cause
	}
	if line := lastLine(stderr); line != "" {
		return fmt.Errorf("%w: %s", err, Printable(line, 200))
	}
	return err
}

func lastLine(text []byte) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(lines[len(lines)-1])
}
