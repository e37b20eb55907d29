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
// whole group is killed, and also when it prints more than 8 MiB. A non-zero
// status is an error that quotes the last line of standard error.
//
// Output goes to files without a name and not to pipes: no goroutine of ours
// competes with the program, and a grandchild that keeps them open is no
// reason to wait.
func Exec(ctx context.Context, limit time.Duration, dir string, argv ...string) (r Result, err error) {
	stdout, err := scratch()
	if err != nil {
		return r, err
	}
	defer stdout.Close()
	stderr, err := scratch()
	if err != nil {
		return r, err
	}
	defer stderr.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("timed out after %v", limit))
	defer cancel()
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	go guardOutput(ctx, kill, stdout, stderr)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, stdout, stderr, killGrace
	ownGroup(cmd)
	r.Start, r.Elapsed, err = Timed(cmd.Run)
	cause := context.Cause(ctx)
	if ps := cmd.ProcessState; ps != nil {
		r.User, r.Sys, r.MaxRSS = ps.UserTime(), ps.SystemTime(), maxRSS(ps)
	}
	r.Stdout, r.Stderr = contents(stdout), contents(stderr)
	switch line := lastLine(r.Stderr); {
	case err == nil:
		return r, nil
	case cause != nil:
		return r, cause
	case line != "":
		return r, fmt.Errorf("%w: %s", err, Printable(line, maxQuote))
	}
	return r, err
}

// maxQuote bounds what an error quotes of a program's own words.
const maxQuote = 200

// guardInterval is short enough that even a program that prints gigabytes a
// second cannot fill the memory of a guest.
const guardInterval = 50 * time.Millisecond

// guardOutput kills a program that prints without end.
func guardOutput(ctx context.Context, kill context.CancelCauseFunc, outputs ...*os.File) {
	tick := time.NewTicker(guardInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, f := range outputs {
			if info, err := f.Stat(); err == nil && info.Size() > maxOutput {
				kill(fmt.Errorf("printed more than %d bytes", maxOutput))
			}
		}
	}
}

// scratch makes a file that is in memory, or at least has no name.
func scratch() (*os.File, error) {
	if f, err := memoryFile(); err == nil {
		return f, nil
	}
	f, err := os.CreateTemp("", ".capsem-bench-")
	if err != nil {
		return nil, fmt.Errorf("a file for a program's output: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func contents(f *os.File) []byte {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxOutput))
	if err != nil {
		return nil
	}
	return text
}

func lastLine(text []byte) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(lines[len(lines)-1])
}
