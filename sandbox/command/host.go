package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/capsem/capsem-bench/internal/bounded"
	"github.com/capsem/capsem-bench/internal/child"
)

// errNoProgram says that a template's program is not on this machine.
var errNoProgram = errors.New("not found on this machine")

// hostCommand is one call of a template's program.
type hostCommand struct {
	argv           []string
	stdin          io.Reader // nil is empty: ssh would read ours
	stdout, stderr io.Writer
	leave          bool // what the program started goes on after it
}

// run runs the program. When ctx ends its process group is interrupted, the
// guest binary may be in that, and killed if that does not help. The status is -1 when it was killed;
// err is nil for any status that it chose itself.
func (c hostCommand) run(ctx context.Context) (status int, err error) {
	path, err := exec.LookPath(c.argv[0])
	if err != nil {
		return -1, fmt.Errorf("%s: %w", c.argv[0], errNoProgram)
	}
	status, err = child.Command{
		Name: c.argv[0], Binary: path, Arg0: c.argv[0], Args: c.argv[1:],
		Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr, Group: true, Leave: c.leave,
	}.Run(ctx)
	if ctx.Err() != nil {
		return -1, context.Cause(ctx)
	}
	return status, err
}

// maxSaid bounds what a command of ours may print in the guest.
const maxSaid = 64 << 10

// call runs a template's program within a limit, for what it prints.
func call(ctx context.Context, limit time.Duration, argv []string, stdin io.Reader) (stdout string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s did not end within %v", argv[0], limit))
	defer cancel()
	out, errs := &bounded.Head{Max: maxSaid}, &bounded.Head{Max: maxSaid}
	status, err := hostCommand{argv: argv, stdin: stdin, stdout: out, stderr: errs}.run(ctx)
	if err == nil && status != 0 {
		err = fmt.Errorf("%s: exit status %d", argv[0], status)
	}
	if err == nil && out.Cut() {
		err = fmt.Errorf("%s: it printed more than %d KiB", argv[0], maxSaid>>10)
	}
	if line := bounded.LastLine(errs.String()); err != nil && line != "" {
		err = fmt.Errorf("%w: %s", err, line)
	}
	return out.String(), err
}
