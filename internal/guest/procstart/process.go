// Package procstart starts programs and times them from before fork until they
// have ended, and finds the files that the start of a program reads.
//
// It forks and waits by bare system calls: the goroutines of os/exec compete
// with the program for the processor, which costs a tenth of a short start.
package procstart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
	"golang.org/x/sys/unix"
)

// MaxOutput bounds what a program may print on standard output and error.
const MaxOutput = 8 << 20

// maxQuote bounds what an error quotes of a program's own words.
const maxQuote = 200

// A Result is one finished process.
type Result struct {
	Start          time.Time
	Elapsed        time.Duration // from before fork to its end
	User, Sys      time.Duration
	MaxRSS         int64 // bytes
	Stdout, Stderr []byte
}

// A Command is one start of a program: New prepares it, Run is what is timed,
// and Close collects what came of it.
type Command struct {
	ctx     context.Context
	limit   time.Duration
	path    string
	argv    []string
	dir     string
	files   *stdio
	process process
	pid     int // 0: not started
	err     error
	result  Result
}

// New looks the program up and makes the files for its output. The caller
// calls Run once and then Close.
func New(ctx context.Context, limit time.Duration, dir string, argv ...string) (*Command, error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return nil, err
	}
	files, err := newStdio()
	if err != nil {
		return nil, err
	}
	return &Command{ctx: ctx, limit: limit, path: path, argv: argv, dir: dir, files: files}, nil
}

// Run starts the program in a process group of its own, with /dev/null as its
// input, and returns when it has ended. The whole group is killed when the
// context ends, after the limit, and when it prints more than 8 MiB. The error
// is that of the start; Close says how the program ended.
//
// Output goes to files without a name and not to pipes, which would need a
// goroutine each, and so that a grandchild that keeps them open is not waited
// for.
func (c *Command) Run() error {
	p := &c.process
	defer context.AfterFunc(c.ctx, func() { p.kill(context.Cause(c.ctx)) })()
	defer time.AfterFunc(c.limit, func() { p.kill(fmt.Errorf("timed out after %v", c.limit)) }).Stop()
	defer time.AfterFunc(guardInterval, func() { p.guard(c.files) }).Stop()
	attr := &syscall.ProcAttr{Dir: c.dir, Env: os.Environ(), Files: c.files.fds(), Sys: ownGroup()}
	c.result.Start = time.Now()
	pid, err := syscall.ForkExec(c.path, c.argv, attr)
	if err != nil {
		c.err = fmt.Errorf("%s: %w", c.path, err)
		return c.err
	}
	c.pid = pid
	p.started(pid)
	waitForEnd(pid)
	c.result.Elapsed = time.Since(c.result.Start)
	return nil
}

// Close collects the process and releases its files. A start that failed and a
// non-zero status are errors; the latter quotes the last line of standard error.
func (c *Command) Close() (Result, error) {
	defer c.files.close()
	if c.err != nil || c.pid == 0 {
		return c.result, c.err
	}
	status, ru, err := c.process.reap(c.pid)
	r := c.result
	r.User, r.Sys, r.MaxRSS = time.Duration(ru.Utime.Nano()), time.Duration(ru.Stime.Nano()), maxRSS(ru)
	r.Stdout, r.Stderr = contents(c.files.stdout), contents(c.files.stderr)
	if err != nil {
		return r, fmt.Errorf("waiting for %s: %w", c.path, err)
	}
	return r, c.process.verdict(status, r.Stderr)
}

// Exec is New, Run and Close.
func Exec(ctx context.Context, limit time.Duration, dir string, argv ...string) (Result, error) {
	c, err := New(ctx, limit, dir, argv...)
	if err != nil {
		return Result{}, err
	}
	_ = c.Run() // Close has its error
	return c.Close()
}

// A process is a running program that may be killed at any time. Once it is
// reaped its number may be another's, so no signal is sent then.
type process struct {
	mu    sync.Mutex
	pid   int // 0 before the start and after the end
	cause error
}

func (p *process) started(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid = pid
	if p.cause != nil { // killed before it began
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// kill ends the process group; the first cause is the one that counts.
func (p *process) kill(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause == nil {
		p.cause = cause
	}
	if p.pid != 0 {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	}
}

// reap collects a process that has ended.
func (p *process) reap(pid int) (status syscall.WaitStatus, ru syscall.Rusage, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid = 0
	err = unix.EINTR
	for errors.Is(err, unix.EINTR) {
		_, err = syscall.Wait4(pid, &status, 0, &ru)
	}
	return status, ru, err
}

// verdict is nil for exit status 0.
func (p *process) verdict(status syscall.WaitStatus, stderr []byte) error {
	var what string
	switch {
	case status.Exited() && status.ExitStatus() == 0:
		return nil
	case p.cause != nil:
		return p.cause
	case status.Signaled():
		what = "killed by " + unix.SignalName(status.Signal())
	default:
		what = fmt.Sprintf("exit status %d", status.ExitStatus())
	}
	if line := record.Printable(lastLine(stderr), maxQuote); line != "" {
		what += ": " + line
	}
	return errors.New(what)
}

// guardInterval is short enough that even a program that prints gigabytes a
// second cannot fill the memory of a guest.
const guardInterval = 50 * time.Millisecond

// guard kills a program that prints without end.
func (p *process) guard(files *stdio) {
	if files.size() > MaxOutput {
		p.kill(fmt.Errorf("printed more than %d bytes", MaxOutput))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pid != 0 {
		time.AfterFunc(guardInterval, func() { p.guard(files) })
	}
}

// stdio are the standard files of a program.
type stdio struct{ stdin, stdout, stderr *os.File }

func newStdio() (*stdio, error) {
	var s stdio
	var err [3]error
	s.stdin, err[0] = os.Open(os.DevNull)
	s.stdout, err[1] = scratch()
	s.stderr, err[2] = scratch()
	if err := errors.Join(err[:]...); err != nil {
		s.close()
		return nil, fmt.Errorf("files for a program's output: %w", err)
	}
	return &s, nil
}

func (s *stdio) fds() []uintptr { return []uintptr{s.stdin.Fd(), s.stdout.Fd(), s.stderr.Fd()} }

func (s *stdio) size() int64 {
	var n int64
	for _, f := range []*os.File{s.stdout, s.stderr} {
		if info, err := f.Stat(); err == nil {
			n = max(n, info.Size())
		}
	}
	return n
}

func (s *stdio) close() {
	for _, f := range []*os.File{s.stdin, s.stdout, s.stderr} {
		if f != nil {
			_ = f.Close()
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
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func contents(f *os.File) []byte {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, MaxOutput))
	if err != nil {
		return nil
	}
	return text
}

func lastLine(text []byte) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(lines[len(lines)-1])
}
