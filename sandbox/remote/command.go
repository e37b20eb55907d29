package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// stopGrace is how long a command may take to end once ctx has: that of a
// guest binary, which cleans up for up to 5 s and prints after that.
const stopGrace = 10 * time.Second

// A Command is one run of a program in the guest.
type Command struct {
	Line     string    // for the guest's shell; "" starts a login shell
	Stdin    io.Reader // nil is empty
	Stdout   io.Writer // nil discards
	Stderr   io.Writer // nil discards; unused with a terminal
	Signals  <-chan os.Signal
	Terminal *Terminal     // nil is none
	Grace    time.Duration // between the interrupt and the kill when ctx ends; 0 is 10 s
}

// Run runs the command and waits for it. The status is that of the command, or
// 128 plus its number if a signal ended it, as a shell has it; err is nil for
// any of these. Signals are handed on to the command. When ctx ends, the
// command gets an interrupt, and is killed if it does not end within Grace; at
// once if the cause is ErrLeft.
//
// A goroutine that reads Stdin may remain until that read returns.
func (c *Client) Run(ctx context.Context, cmd Command) (status int, err error) {
	status, err = c.run(ctx, cmd)
	return status, c.why(err)
}

func (c *Client) run(ctx context.Context, cmd Command) (int, error) {
	r, err := c.start(ctx, cmd)
	if err != nil {
		return -1, err
	}
	defer r.session.Close()
	ended, grace := make(chan struct{}), cmp.Or(cmd.Grace, stopGrace)
	defer close(ended)
	if cmd.Terminal != nil {
		go cmd.Terminal.follow(r.session, ended)
	}
	go func() {
		if cmd.Stdin != nil {
			_, _ = io.Copy(r.stdin, cmd.Stdin)
		}
		_ = r.stdin.Close()
	}()
	go forward(r.session, cmd.Signals, ended)
	waited := make(chan error, 1)
	go func() { waited <- r.session.Wait() }()
	select {
	case err = <-waited:
	case <-ctx.Done():
		if cause := context.Cause(ctx); errors.Is(cause, ErrLeft) {
			return -1, cause
		}
		if err = stop(r.session, waited, grace); err == errKilled {
			return -1, fmt.Errorf("%w: the command did not end within %v of an interrupt and was killed", context.Cause(ctx), grace)
		}
	}
	if err := r.fault(); err != nil {
		return -1, fmt.Errorf("writing the command's output: %w", err)
	}
	return statusOf(err)
}

// start opens a session and starts the command in it, or gives up when ctx
// ends: each step waits for the guest's answer.
func (c *Client) start(ctx context.Context, cmd Command) (*running, error) {
	type outcome struct {
		r   *running
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := c.open(cmd)
		done <- outcome{r, err}
	}()
	select {
	case o := <-done:
		return o.r, o.err
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				_ = o.r.session.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

func (c *Client) open(cmd Command) (*running, error) {
	s, err := c.ssh.NewSession()
	if err != nil {
		return nil, fmt.Errorf("opening a session: %w", err)
	}
	r := &running{session: s}
	s.Stdout, s.Stderr = r.to(cmd.Stdout), r.to(cmd.Stderr)
	if r.stdin, err = s.StdinPipe(); err == nil && cmd.Terminal != nil {
		err = cmd.Terminal.request(s)
	}
	switch {
	case err != nil:
	case cmd.Line == "":
		err = s.Shell()
	default:
		err = s.Start(cmd.Line)
	}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("starting the command: %w", err)
	}
	return r, nil
}

// ErrLeft is the cause of a context with which a command is abandoned at once,
// without a signal.
var ErrLeft = errors.New("~. left the command")

var errKilled = errors.New("killed")

// stop interrupts a command and waits for it, as long as grace.
func stop(s *ssh.Session, waited <-chan error, grace time.Duration) error {
	go func() { _ = s.Signal(ssh.SIGINT) }() // may block on a guest that does not read
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-waited:
		return err
	case <-timer.C:
		go s.Close() // the server kills what belongs to the session
		return errKilled
	}
}

// running is a command under way.
type running struct {
	session *ssh.Session
	stdin   io.WriteCloser

	mu  sync.Mutex
	err error // of the first write of output that failed
}

func (r *running) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// to passes on what the command prints.
func (r *running) to(w io.Writer) io.Writer {
	if w == nil {
		return nil
	}
	return outputWriter{r, w}
}

// outputWriter ends a command whose output nobody takes: it would block.
type outputWriter struct {
	of *running
	w  io.Writer
}

func (o outputWriter) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		o.of.mu.Lock()
		if o.of.err == nil {
			o.of.err = err
		}
		o.of.mu.Unlock()
		_ = o.of.session.Close()
	}
	return n, err
}

// forward hands signals on until the command has ended.
func forward(s *ssh.Session, signals <-chan os.Signal, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case sig, ok := <-signals:
			if !ok {
				return
			}
			if name, ok := nameOf(sig); ok {
				_ = s.Signal(name)
			}
		}
	}
}

// A namedSignal has its name in the protocol (RFC 4254, section 6.10) and its
// number on Linux, where the command runs.
type namedSignal struct {
	name   ssh.Signal
	number int
	local  syscall.Signal // 0 where it is not for forwarding
}

func signals() []namedSignal {
	return []namedSignal{
		{ssh.SIGHUP, 1, syscall.SIGHUP},
		{ssh.SIGINT, 2, syscall.SIGINT},
		{ssh.SIGQUIT, 3, syscall.SIGQUIT},
		{ssh.SIGILL, 4, 0},
		{"TRAP", 5, 0},
		{ssh.SIGABRT, 6, 0},
		{"BUS", 7, 0},
		{ssh.SIGFPE, 8, 0},
		{ssh.SIGKILL, 9, 0},
		{ssh.SIGUSR1, 10, syscall.SIGUSR1},
		{ssh.SIGSEGV, 11, 0},
		{ssh.SIGUSR2, 12, syscall.SIGUSR2},
		{ssh.SIGPIPE, 13, 0},
		{ssh.SIGALRM, 14, 0},
		{ssh.SIGTERM, 15, syscall.SIGTERM},
		{"XCPU", 24, 0},
		{"XFSZ", 25, 0},
		{"SYS", 31, 0},
	}
}

func nameOf(sig os.Signal) (ssh.Signal, bool) {
	for _, s := range signals() {
		if s.local != 0 && s.local == sig {
			return s.name, true
		}
	}
	return "", false
}

// statusOf turns what Wait returned into a status.
func statusOf(err error) (int, error) {
	var exit *ssh.ExitError
	var missing *ssh.ExitMissingError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Signal() != "":
		for _, s := range signals() {
			if string(s.name) == exit.Signal() {
				return 128 + s.number, nil
			}
		}
		return 255, nil
	case errors.As(err, &exit):
		return exit.ExitStatus() & 0xff, nil
	case errors.As(err, &missing):
		return -1, errors.New("the connection to the guest ended before the command did")
	}
	return -1, err
}
