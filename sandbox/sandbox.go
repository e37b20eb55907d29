// Package sandbox is where the guest binary runs: here on this machine, or
// here between the host services that a Capsem VM would have.
//
// A sandbox starts the guest binary as a child, hands its standard output on
// as it comes, and ends with it. What may be different between sandboxes is
// only the environment the child sees; what it measures and how is the guest
// binary's business, so figures of all sandboxes have the same names.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// stopGrace is how long a child may take to clean up after an interrupt: the
// guest binary gives its passes 5 s, and it has to print after that.
const stopGrace = 10 * time.Second

// A Child is one run of the guest binary.
type Child struct {
	Binary string
	Args   []string
	Env    []string // complete
	Dir    string
	Stdout io.Writer
	Stderr io.Writer
}

// Run starts the child and waits for it. When ctx ends it gets an interrupt,
// and is killed with its process group if it does not end within 10 s. It
// dies with this process in any case. The exit status is -1 when the child
// was killed; err is nil for any status that the child chose itself.
func (c Child) Run(ctx context.Context) (status int, err error) {
	cmd := exec.CommandContext(ctx, c.Binary, c.Args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, c.Stdout, c.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopGrace
	attach(cmd)
	if err := cmd.Start(); err != nil {
		return -1, fmt.Errorf("starting the guest binary: %w", err)
	}
	err = cmd.Wait()
	killGroup(cmd.Process.Pid) // what the child may have left behind
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil
	case ctx.Err() != nil:
		return -1, fmt.Errorf("the guest binary did not end within %v of an interrupt and was killed", stopGrace)
	}
	return -1, fmt.Errorf("running the guest binary: %w", err)
}
