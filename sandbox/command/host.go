package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// hostGrace is how long a program of a template may take to end after an
// interrupt, before it is killed with its process group: as long as the guest
// binary, which may be in that group.
const hostGrace = 10 * time.Second

// errNoProgram says that a template's program is not on this machine.
var errNoProgram = errors.New("not found on this machine")

// hostCommand is one call of a template's program.
type hostCommand struct {
	argv           []string
	stdin          io.Reader // nil is empty: ssh would read ours
	stdout, stderr io.Writer
}

// run runs the program. When ctx ends it is interrupted, and killed with its
// process group if that does not help. The status is -1 when it was killed;
// err is nil for any status that it chose itself.
func (c hostCommand) run(ctx context.Context) (status int, err error) {
	path, err := exec.LookPath(c.argv[0])
	if err != nil {
		return -1, fmt.Errorf("%s: %w", c.argv[0], errNoProgram)
	}
	cmd := exec.CommandContext(ctx, path, c.argv[1:]...)
	cmd.Args[0] = c.argv[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, c.stdout, c.stderr
	attach(cmd)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = hostGrace
	if err := cmd.Start(); err != nil {
		return -1, fmt.Errorf("starting %s: %w", c.argv[0], err)
	}
	err = cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it may have left behind
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return -1, context.Cause(ctx)
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil
	case errors.As(err, &exit):
		return -1, fmt.Errorf("%s: %s", c.argv[0], exit.Error())
	}
	return -1, fmt.Errorf("%s: %w", c.argv[0], err)
}

// maxSaid bounds what a command of ours may print in the guest.
const maxSaid = 64 << 10

// said keeps the beginning of what a program printed.
type said struct {
	b    bytes.Buffer
	over bool
}

func (s *said) Write(p []byte) (int, error) {
	room := maxSaid - s.b.Len()
	s.over = s.over || len(p) > room
	s.b.Write(p[:min(len(p), room)])
	return len(p), nil
}

// lastLine is the end of a complaint, to be quoted in an error. Whoever shows
// the error takes control characters out of it.
func (s *said) lastLine() string {
	text := strings.TrimSpace(s.b.String())
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	if len(text) > 300 {
		text = text[:300] + "..."
	}
	return text
}

// call runs a template's program within a limit, for what it prints.
func call(ctx context.Context, limit time.Duration, argv []string, stdin io.Reader) (stdout string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s did not end within %v", argv[0], limit))
	defer cancel()
	var out, errs said
	status, err := hostCommand{argv: argv, stdin: stdin, stdout: &out, stderr: &errs}.run(ctx)
	if err == nil && status != 0 {
		err = fmt.Errorf("%s: exit status %d", argv[0], status)
	}
	if err == nil && out.over {
		err = fmt.Errorf("%s: it printed more than %d KiB", argv[0], maxSaid>>10)
	}
	if line := errs.lastLine(); err != nil && line != "" {
		err = fmt.Errorf("%w: %s", err, line)
	}
	return out.b.String(), err
}

// environment is what the guest binary's settings are taken from: variables
// of ours with its prefix, and what the caller adds.
func environment(extra []string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, settingPrefix) && !hostOnly(kv) {
			env = append(env, kv)
		}
	}
	return append(env, extra...)
}

// settingPrefix begins the names of the guest binary's settings.
const settingPrefix = "CAPSEM_BENCH_"

// hostOnly reports a variable that names a file of this machine.
func hostOnly(kv string) bool { return strings.HasPrefix(kv, "CAPSEM_BENCH_TEST=") }
