package snapshotscli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/record"
)

// Shared is the set-up that the operations of one size share: a tree of files,
// and a checkpoint that has it. An operation asks for what it needs; what the
// one before it has left is used again, so in a whole run each size makes one
// tree and one checkpoint, and one operation alone works as well.
//
// Results are verified by the answers in hand where these can tell, because a
// further call of the command costs as much as the one that is measured.
type Shared struct {
	cli  *CLI
	root string

	tree *Tree
	cp   Checkpoint   // of the tree; its ID is "" without one
	drop func() error // deletes cp
	gone *atomic.Bool // cp was deleted
	max  *int         // manual slots there are
	used int          // of them taken by others; -1: unknown
	free bool         // used was looked up

	deleted string // the checkpoint that was deleted last
}

// Share returns the set-up for a workspace. The caller closes it.
func Share(cli *CLI, root string) *Shared { return &Shared{cli: cli, root: root} }

// Fresh sets up for create: a tree that is new and no checkpoint.
func (s *Shared) Fresh(ctx context.Context, files int) error {
	if err := s.lookUpFree(ctx); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	return s.plant(files)
}

// Taken sets up for the other operations: a tree and a checkpoint of it.
func (s *Shared) Taken(ctx context.Context, files int) error {
	if err := s.lookUpFree(ctx); err != nil {
		return err
	}
	if s.tree == nil || s.tree.Files != files {
		if err := s.Close(); err != nil {
			return err
		}
		if err := s.plant(files); err != nil {
			return err
		}
	}
	if s.cp.ID != "" {
		return nil
	}
	return s.Create(ctx, s.cli)
}

func (s *Shared) plant(files int) (err error) {
	s.tree, err = NewTree(s.root, files)
	return err
}

// lookUpFree keeps away from a user's own snapshots, once a process: some
// Capsem versions give a slot that is taken to the next create.
func (s *Shared) lookUpFree(ctx context.Context) error {
	if s.free {
		return nil
	}
	list, err := s.cli.List(ctx)
	if err != nil {
		return err
	}
	shared := os.Getenv(catalogue.EnvShared) == "1"
	switch used, known := list.Used(); {
	case shared && !known:
		s.used = -1
	case !known:
		return fmt.Errorf("snapshots list does not say how many manual snapshots there are; %s=1 goes on", catalogue.EnvShared)
	case used > 0 && !shared:
		return guest.SkipError(fmt.Sprintf(
			"the workspace has %d manual snapshots, which some Capsem versions overwrite; delete them or set %s=1", used, catalogue.EnvShared))
	default:
		s.used = used
	}
	s.free, s.max = true, list.ManualMax
	return nil
}

// Create makes the checkpoint with the given CLI, which may be a timed one, and
// sees to its removal. The answer says how many slots are left: it tells a
// create that took none, and a delete before it that gave none back.
func (s *Shared) Create(ctx context.Context, cli *CLI) error {
	name := fmt.Sprintf("bench_%d_%s", s.tree.Files, strings.ToLower(rand.Text()[:8]))
	cp, err := cli.Create(ctx, name)
	if cp.ID != "" {
		gone := new(atomic.Bool) // read when a signal ends the process
		s.cp, s.gone = cp, gone
		s.drop = guest.OnExit(cp.ID+" "+name, func() error {
			if gone.Load() {
				return nil
			}
			return s.dropCheckpoint(ctx, cp.ID)
		})
	}
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err() // create outlives an interruption
	case s.max == nil || s.used < 0 || cp.Available == nil || os.Getenv(catalogue.EnvShared) == "1":
		return nil // nobody says, or others take slots too
	}
	if want := *s.max - s.used - 1; *cp.Available != want {
		err = fmt.Errorf("%s was made and %d manual slots are left; want %d", cp.ID, *cp.Available, want)
		if s.deleted != "" {
			err = fmt.Errorf("%w; the deletion of %s may not have been one", err, s.deleted)
		}
	}
	return err
}

// dropTimeout is short: after a signal a pass has seconds to clean up.
const dropTimeout = 2 * time.Second

// dropCheckpoint deletes a checkpoint by the id that create gave us. The
// context of the run may be over already.
func (s *Shared) dropCheckpoint(run context.Context, id string) error {
	ctx := context.WithoutCancel(run)
	if run.Err() != nil {
		short, cancel := context.WithTimeout(ctx, dropTimeout)
		defer cancel()
		ctx = short
	}
	return s.cli.Delete(ctx, id)
}

// Close removes what there is. It may be called again.
func (s *Shared) Close() error {
	var err error
	if s.drop != nil {
		err = s.drop()
	}
	if s.tree != nil {
		err = errors.Join(err, s.tree.Remove())
	}
	s.tree, s.cp, s.drop = nil, Checkpoint{}, nil
	return err
}

// manyOthers is when the rest of the workspace begins to cost more than the
// largest tree of ours.
const manyOthers = 500

// Checkpoint is the ID of the checkpoint.
func (s *Shared) Checkpoint() string { return s.cp.ID }

// CheckList looks for the checkpoint in a list that was asked for now.
func (s *Shared) CheckList(p *guest.Pass) error {
	l, err := s.cli.List(p.Context())
	if err != nil {
		return err
	}
	return s.CheckListed(p, l)
}

// CheckListed compares a list with the checkpoint that was made. In a cut list
// only the number of slots can be compared.
func (s *Shared) CheckListed(p *guest.Pass, l *List) error {
	if l.Cut != nil {
		return s.checkUsed(l, s.used+1)
	}
	e, ok := l.Find(s.cp.ID)
	switch {
	case !ok:
		return fmt.Errorf("%s was made and is not listed", s.cp.ID)
	case e.Name != s.cp.Name || e.Origin != "manual":
		return fmt.Errorf("%s is listed as %s snapshot %q; want manual %q", e.Checkpoint,
			record.Printable(e.Origin, 20), record.Printable(e.Name, 80), s.cp.Name)
	case e.FilesCount < int64(s.tree.Files):
		return fmt.Errorf("%s is listed with %d files; %d were made", e.Checkpoint, e.FilesCount, s.tree.Files)
	}
	if others := e.FilesCount - int64(s.tree.Files); others > manyOthers {
		p.Doubt("the workspace has more than %d files besides those of the benchmark", manyOthers)
	}
	return nil
}

func (s *Shared) checkUsed(l *List, want int) error {
	used, known := l.Used()
	if known = known || l.ManualMax != nil; known && s.used >= 0 && used != want {
		return fmt.Errorf("%d manual slots are taken; want %d", used, want)
	}
	return nil
}

// Modify changes one file of the tree and returns its new size.
func (s *Shared) Modify() (size int64, err error) { return s.tree.Modify(0) }

// Modified is the path of that file, relative to the workspace.
func (s *Shared) Modified() string { return s.tree.Rel(0) }

// CheckReverted waits until that file has its first content again.
func (s *Shared) CheckReverted(ctx context.Context) error { return s.tree.CheckOriginal(ctx, 0) }

// CheckModified looks for the one file that was modified. An automatic
// snapshot may have come between create and the change; then the change is
// reported against that.
func (s *Shared) CheckModified(rows []Change, size int64) error {
	path := s.tree.Rel(0)
	err := fmt.Errorf("changes does not name %s, which was modified", path)
	for _, row := range rows {
		switch {
		case row.Path != path:
		case row.Op == "modified" && row.Size != nil && *row.Size == size && (row.Checkpoint == s.cp.ID || row.Origin == "auto"):
			return nil
		default:
			err = fmt.Errorf("changes says %s is %s against %s; want modified against %s", path,
				record.Printable(row.Op, 20), record.Printable(row.Checkpoint, 20), s.cp.ID)
		}
	}
	return err
}

// CheckDeleted takes note that the checkpoint was deleted. With list it looks
// for it in a list: that is for a run in which no create follows, whose answer
// tells.
func (s *Shared) CheckDeleted(ctx context.Context, list bool) error {
	gone := s.cp
	s.gone.Store(true)
	_ = s.drop() // has nothing to do any more
	s.cp, s.drop, s.deleted = Checkpoint{}, nil, gone.ID
	if !list {
		return nil
	}
	l, err := s.cli.List(ctx)
	if err != nil {
		return err
	}
	if l.Cut != nil {
		return s.checkUsed(l, s.used)
	}
	if e, ok := l.Find(gone.ID); ok && e.Name == gone.Name {
		return fmt.Errorf("%s was deleted and is still listed", gone.ID)
	}
	return nil
}
