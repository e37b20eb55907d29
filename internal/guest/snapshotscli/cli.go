// Package snapshotscli calls the snapshots command of a Capsem guest and reads
// its answers, and makes the tree of files in the workspace that the snapshots
// are taken of.
//
// The command exits with status 0 for answers that are no success, so each
// answer is held to its shape and compared with what was asked for.
package snapshotscli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/guest/procstart"
	"github.com/capsem/capsem-bench/internal/record"
)

// createGrace is how long a create that is under way may still run when the
// run is interrupted: killed earlier it may leave a checkpoint on the host
// whose id nobody learns. It is half of the time that a pass has to clean up.
const createGrace = 2500 * time.Millisecond

// A CLI calls `snapshots <verb> ... --json` and reads its answers. Each call is
// one process and one tool call through the gateway.
//
// The command prints the text of the tool's answer as JSON, and one that is
// no JSON as a JSON string, with exit status 0 in both cases. So every answer
// is held to its shape: a sentence or a cut list is never taken for success.
type CLI struct {
	path    string
	timeout time.Duration
	timer   func(run func() error) error // nil: the call is not timed
}

// Find looks for the command in PATH; without it the category is skipped.
func Find() (*CLI, error) {
	path, err := exec.LookPath(contract.Snapshots)
	if err != nil {
		return nil, guest.SkipError("no snapshots command in PATH; it belongs to a Capsem guest")
	}
	return &CLI{path: path, timeout: guest.SnapshotTimeout()}, nil
}

// TimedBy returns the CLI with its calls timed, from before fork until the
// process has ended: guest.Pass.Time is such a timer.
func (c *CLI) TimedBy(timer func(run func() error) error) *CLI {
	timed := *c
	timed.timer = timer
	return &timed
}

// A Checkpoint is what create answers. Available is how many manual slots are
// left, nil if the answer does not say.
type Checkpoint struct {
	ID        string `json:"checkpoint"`
	Name      string `json:"name"`
	Available *int   `json:"available"`
}

// Create makes a manual snapshot and checks that the answer echoes the name
// and has a checkpoint id. It is the one call that an interruption does not
// kill at once. With an error the id is set if the answer had one.
func (c *CLI) Create(ctx context.Context, name string) (Checkpoint, error) {
	ctx, cancel := withGrace(ctx, createGrace)
	defer cancel()
	var cp Checkpoint
	if err := c.call(ctx, &cp, "create", name); err != nil {
		return Checkpoint{}, err
	}
	switch {
	case !isCheckpointID(cp.ID):
		return Checkpoint{}, fmt.Errorf("create answered the checkpoint %q; want cp-<number>", record.Printable(cp.ID, 40))
	case cp.Name != name:
		return cp, fmt.Errorf("create answered the name %q; want %q", record.Printable(cp.Name, 80), name)
	}
	return cp, nil
}

// List lists the snapshots. A cut list is no error, for the numbers in it
// are of use; see Cut.
func (c *CLI) List(ctx context.Context) (*List, error) {
	l := new(List)
	err := c.call(ctx, l, "list")
	var cut *cutText
	switch {
	case errors.As(err, &cut):
		return &List{Cut: cut.CutError, listNumbers: frontNumbers(cut.text)}, nil
	case errors.Is(err, ErrNoCheckpoints):
		return new(List), nil
	}
	return l, err
}

// Changes lists what differs from the snapshots. Errors: *CutError,
// ErrNoCheckpoints.
func (c *CLI) Changes(ctx context.Context) (rows []Change, err error) {
	err = c.call(ctx, &rows, "changes")
	return rows, err
}

// Revert brings one file back, its path relative to the workspace, and checks
// that the answer says so.
func (c *CLI) Revert(ctx context.Context, path, checkpoint string) error {
	var a struct {
		Action, Checkpoint, Path string
		Reverted                 bool
	}
	if err := c.call(ctx, &a, "revert", path, checkpoint); err != nil {
		return err
	}
	if !a.Reverted || a.Action != "restored" || a.Checkpoint != checkpoint || a.Path != path {
		return fmt.Errorf("revert answered action %q, checkpoint %q, path %q; want %q, %q, %q", record.Printable(a.Action, 40),
			record.Printable(a.Checkpoint, 40), record.Printable(a.Path, 120), "restored", checkpoint, path)
	}
	return nil
}

// Delete removes a manual snapshot and checks that the answer says so.
func (c *CLI) Delete(ctx context.Context, checkpoint string) error {
	var a struct {
		Checkpoint string
		Deleted    bool
	}
	if err := c.call(ctx, &a, "delete", checkpoint); err != nil {
		return err
	}
	if !a.Deleted || a.Checkpoint != checkpoint {
		return fmt.Errorf("delete answered checkpoint %q, deleted %t; want %q", record.Printable(a.Checkpoint, 40), a.Deleted, checkpoint)
	}
	return nil
}

// argv builds the command line of one call.
func (c *CLI) argv(verb string, args ...string) []string {
	return append(append([]string{c.path, verb}, args...), "--json")
}

// call runs one process and reads its answer into a struct or a slice.
func (c *CLI) call(ctx context.Context, answer any, verb string, args ...string) error {
	cmd, err := procstart.New(ctx, c.timeout, "", c.argv(verb, args...)...)
	if err != nil {
		return fmt.Errorf("snapshots %s: %w", verb, err)
	}
	if c.timer == nil {
		_ = cmd.Run() // Close has its error
	} else {
		_ = c.timer(cmd.Run)
	}
	r, err := cmd.Close()
	if err == nil {
		err = readAnswer(r.Stdout, answer)
	}
	if err != nil {
		return fmt.Errorf("snapshots %s: %w", verb, err)
	}
	return nil
}

// withGrace returns a context that ends when ctx has been done for the given
// time, with the same cause.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { cancel(context.Cause(ctx)) })
	})
	return late, func() {
		stop()
		cancel(nil)
	}
}
