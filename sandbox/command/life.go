package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/capsem/capsem-bench/internal/bounded"
)

// ErrNoHooks says that the templates make no guest of their own.
var ErrNoHooks = errors.New("no --create and --delete, and a guest that is there already is not made")

// A Life is how long the making of a guest took.
type Life struct {
	Begin     time.Time
	Provision time.Duration // --prepare and --create
	Ready     time.Duration // --ready, and until a command has ended
}

// Make makes a guest by its templates and waits until a command runs in it.
// Nothing is copied into it; Equip does that. The caller closes it.
func Make(ctx context.Context, cfg Config) (_ *Guest, life Life, err error) {
	g, err := newGuest(cfg)
	if err != nil {
		return nil, life, err
	}
	if g.t.create == nil {
		return nil, life, ErrNoHooks
	}
	defer func() {
		if err != nil && g.created {
			err = errors.Join(err, g.Close())
		}
	}()
	life.Begin = time.Now()
	if err := g.create(ctx); err != nil {
		return nil, life, err
	}
	life.Provision = time.Since(life.Begin)
	if err := g.ready(ctx); err != nil {
		return nil, life, err
	}
	if g.t.ready == nil { // then a command says when
		err = g.wait(ctx, g.t.runArgs("true"))
	} else {
		_, err = call(ctx, stepTimeout, g.t.runArgs("true"), nil)
	}
	life.Ready = time.Since(life.Begin) - life.Provision
	return g, life, err
}

// Equip copies the benchmarks into a guest of Make, for Run.
func (g *Guest) Equip(ctx context.Context) error { return g.equip(ctx) }

// ExecArgs is the program, with its arguments, that runs a line in the guest.
func (g *Guest) ExecArgs(line string) []string { return g.t.runArgs(line) }

// Exec runs a line in the guest.
func (g *Guest) Exec(ctx context.Context, line string, stdin io.Reader, stdout io.Writer) (status int, err error) {
	complaint := &bounded.Head{Max: maxSaid}
	status, err = hostCommand{argv: g.t.runArgs(line), stdin: stdin, stdout: stdout, stderr: complaint}.run(ctx)
	if last := bounded.LastLine(complaint.String()); err != nil && last != "" {
		err = fmt.Errorf("%w: %s", err, last)
	}
	return status, err
}
