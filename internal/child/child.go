// Package child runs programs that end with this process. Each has a process
// group of its own, so that a terminal's interrupt reaches it once, through us,
// and the processes that it leaves can be killed with it.
package child

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Grace is how long a program may take to clean up after an interrupt: the
// guest binary gives its passes 5 s, and it has to print after that.
const Grace = 10 * time.Second

// A Command is one run of a program.
type Command struct {
	Name   string // in messages, such as "the guest binary"
	Binary string // its path
	Arg0   string // its name for itself; "" is Binary
	Args   []string
	Env    []string // complete; nil is ours
	Dir    string
	Stdin  io.Reader // nil is empty
	Stdout io.Writer
	Stderr io.Writer
	// Group has the interrupt reach the program's children too.
	Group bool
	// Leave has what the program started go on after it, unless ctx ended.
	Leave bool
	Grace time.Duration // after an interrupt; 0 is Grace
}

// Run starts the program and waits for it. When ctx ends it gets an interrupt,
// and is killed with its process group if it does not end within its grace. It dies
// with this process in any case. The exit status is -1 when the program was
// killed; err is nil for any status that it chose itself.
func (c Command) Run(ctx context.Context) (status int, err error) {
	cmd := exec.CommandContext(ctx, c.Binary, c.Args...)
	if c.Arg0 != "" {
		cmd.Args[0] = c.Arg0
	}
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, c.Stdin, c.Stdout, c.Stderr
	cmd.Cancel = func() error {
		if c.Group {
			return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		}
		return cmd.Process.Signal(os.Interrupt)
	}
	cmd.WaitDelay = cmp.Or(c.Grace, Grace)
	ended, err := Start(cmd, syscall.SIGTERM)
	if err != nil {
		return -1, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	err = <-ended
	if !c.Leave || ctx.Err() != nil {
		KillGroup(cmd.Process.Pid) // what the program may have left behind
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil
	case ctx.Err() != nil:
		return -1, fmt.Errorf("%s did not end within %v of an interrupt and was killed", c.Name, cmd.WaitDelay)
	}
	return -1, fmt.Errorf("running %s: %w", c.Name, err)
}

// Start starts a program in a process group of its own, to which the kernel
// sends a signal when this process ends, and returns a channel with its end.
//
// The kernel takes the thread that forked for the parent (prctl(2),
// PR_SET_PDEATHSIG), so that thread stays until the program has ended.
func Start(cmd *exec.Cmd, orphan syscall.Signal) (<-chan error, error) {
	return start(cmd, orphan, nil)
}

// StartConfined is Start for a program that gets no privileges beyond those of
// its user, whatever it runs (prctl(2), PR_SET_NO_NEW_PRIVS). dir is where it
// starts, also if its user could not follow the path there; nil is our
// directory.
func StartConfined(cmd *exec.Cmd, orphan syscall.Signal, dir *os.File) (<-chan error, error) {
	return start(cmd, orphan, func() error { return confine(dir) })
}

// start calls prepare, if there is one, on the thread that forks. What that
// does to the thread is for the program alone, so the thread ends with it.
func start(cmd *exec.Cmd, orphan syscall.Signal, prepare func() error) (<-chan error, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	endWithUs(cmd.SysProcAttr, orphan)
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		var err error
		if prepare == nil {
			defer runtime.UnlockOSThread()
		} else {
			err = prepare()
		}
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	return ended, <-started
}

// StopGroup asks a process group to end, waits, and kills what is left. ended
// is what Start returned.
func StopGroup(pid int, ended <-chan error, grace time.Duration) {
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(grace):
	}
	KillGroup(pid)
}

// KillGroup kills the process group of that number.
func KillGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
