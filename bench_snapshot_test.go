package capsembench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/record"
)

// BenchmarkSnapshot measures the calls of the snapshots command, each as the
// whole process. Every operation makes its own files and, but for create, its
// own checkpoint before the timer, and removes them after it.
func BenchmarkSnapshot(b *testing.B) {
	root, rootErr := guest.WorkspaceRoot()
	cli, cliErr := guest.FindSnapshotCLI()
	settings, err := guest.Settings()
	err = errors.Join(rootErr, err)
	if cliErr != nil {
		err = cliErr
	}
	timed := map[string]func(*snapshotPass, context.Context) (guest.Call, error){
		"create": (*snapshotPass).create, "list": (*snapshotPass).list, "changes": (*snapshotPass).changes,
		"revert": (*snapshotPass).revert, "delete": (*snapshotPass).delete,
	}
	suite := guest.Begin(b, record.Category{Category: string(catalogue.Snapshot), Directory: root})
	for _, op := range catalogue.Select(catalogue.Ops(settings), catalogue.Snapshot) {
		suite.Op(op, func(ctx context.Context) (s record.Samples, st record.Status, _ error) {
			if err != nil {
				return s, st, err
			}
			p := &snapshotPass{cli: cli}
			call, err := p.run(ctx, root, op, timed[op.Key("op")])
			st.Doubts = p.doubts
			return p.samples(call, err), st, err
		})
	}
}

// snapshotPass is one round of one operation.
type snapshotPass struct {
	cli    *guest.SnapshotCLI
	tree   *guest.Tree
	used   int // manual slots taken before ours; -1: unknown
	cp     guest.Checkpoint
	cpGone atomic.Bool  // cp was deleted already
	drop   func() error // deletes cp
	doubts []string
}

// run sets up, runs the operation and cleans up.
func (p *snapshotPass) run(ctx context.Context, root string, op catalogue.Op,
	timed func(*snapshotPass, context.Context) (guest.Call, error),
) (call guest.Call, err error) {
	files, err := strconv.Atoi(op.Key("files"))
	if err != nil {
		return call, err
	}
	if err := p.checkFree(ctx); err != nil {
		return call, err
	}
	if p.tree, err = guest.NewTree(root, files); err != nil {
		return call, err
	}
	defer func() { err = errors.Join(err, p.cleanUp()) }()
	if op.Key("op") != "create" {
		if _, err := p.take(ctx); err != nil {
			return call, err
		}
	}
	return timed(p, ctx)
}

// checkFree keeps away from a user's own snapshots: some Capsem versions give
// a slot that is taken to the next create.
func (p *snapshotPass) checkFree(ctx context.Context) error {
	list, _, err := p.cli.List(ctx)
	if err != nil {
		return err
	}
	shared := os.Getenv(guest.EnvShared) == "1"
	switch used, known := list.Used(); {
	case shared && !known:
		p.used = -1
	case !known:
		return fmt.Errorf("snapshots list does not say how many manual snapshots there are; %s=1 goes on", guest.EnvShared)
	case used > 0 && !shared:
		return guest.SkipError(fmt.Sprintf(
			"the workspace has %d manual snapshots, which some Capsem versions overwrite; delete them or set %s=1", used, guest.EnvShared))
	default:
		p.used = used
	}
	return nil
}

// take makes a checkpoint of ours and sees to its removal.
func (p *snapshotPass) take(ctx context.Context) (guest.Call, error) {
	name := fmt.Sprintf("bench_%d_%s", p.tree.Files, strings.ToLower(rand.Text()[:8]))
	cp, call, err := p.cli.Create(ctx, name)
	if cp.ID != "" {
		p.cp = cp
		p.drop = guest.OnExit(ctx, cp.ID+" "+name, func() error { return p.dropCheckpoint(ctx) })
	}
	if err == nil {
		err = ctx.Err() // create outlives an interruption
	}
	return call, err
}

// dropTimeout is short: after a signal a pass has seconds to clean up.
const dropTimeout = 2 * time.Second

// dropCheckpoint deletes the checkpoint by the id that create gave us. The
// context of the run may be over already.
func (p *snapshotPass) dropCheckpoint(run context.Context) error {
	if p.cpGone.Load() {
		return nil
	}
	ctx := context.WithoutCancel(run)
	if run.Err() != nil {
		short, cancel := context.WithTimeout(ctx, dropTimeout)
		defer cancel()
		ctx = short
	}
	_, err := p.cli.Delete(ctx, p.cp.ID)
	return err
}

func (p *snapshotPass) cleanUp() error {
	var err error
	if p.drop != nil {
		err = p.drop()
	}
	return errors.Join(err, p.tree.Remove())
}

func (p *snapshotPass) create(ctx context.Context) (guest.Call, error) {
	call, err := p.take(ctx)
	if err != nil {
		return call, err
	}
	list, _, err := p.cli.List(ctx)
	if err != nil {
		return call, err
	}
	return call, p.checkListed(list)
}

func (p *snapshotPass) list(ctx context.Context) (guest.Call, error) {
	list, call, err := p.cli.List(ctx)
	if err != nil {
		return call, err
	}
	if list.Cut != nil {
		return call, guest.InvalidError(list.Cut.Error())
	}
	return call, p.checkListed(list)
}

// checkListed holds a list to the checkpoint that was made. Of a cut list
// only the number of slots can be held to it.
func (p *snapshotPass) checkListed(list *guest.SnapshotList) error {
	if list.Cut != nil {
		return p.checkUsed(list, p.used+1)
	}
	e, ok := list.Find(p.cp.ID)
	switch {
	case !ok:
		return fmt.Errorf("%s was made and is not listed", p.cp.ID)
	case e.Name != p.cp.Name || e.Origin != "manual":
		return fmt.Errorf("%s is listed as %s snapshot %q; want manual %q", e.Checkpoint,
			guest.Printable(e.Origin, 20), guest.Printable(e.Name, 80), p.cp.Name)
	case e.FilesCount < int64(p.tree.Files):
		return fmt.Errorf("%s is listed with %d files; %d were made", e.Checkpoint, e.FilesCount, p.tree.Files)
	}
	if others := e.FilesCount - int64(p.tree.Files); others > manyOthers {
		p.doubts = append(p.doubts, fmt.Sprintf("the workspace has more than %d files besides those of the benchmark", manyOthers))
	}
	return nil
}

// manyOthers is when the rest of the workspace begins to cost more than the
// largest tree of ours.
const manyOthers = 500

func (p *snapshotPass) checkUsed(list *guest.SnapshotList, want int) error {
	used, known := list.Used()
	if known = known || list.ManualMax != nil; known && p.used >= 0 && used != want {
		return fmt.Errorf("%d manual slots are taken; want %d", used, want)
	}
	return nil
}

func (p *snapshotPass) changes(ctx context.Context) (guest.Call, error) {
	size, err := p.tree.Modify(0)
	if err != nil {
		return guest.Call{}, err
	}
	rows, call, err := p.cli.Changes(ctx)
	var cut *guest.CutError
	if errors.As(err, &cut) {
		return call, guest.InvalidError(cut.Error())
	}
	if err != nil {
		return call, err
	}
	return call, p.checkModified(rows, size)
}

// checkModified looks for the one file that was modified. An automatic
// snapshot may have come between create and the change; then the change is
// told against that.
func (p *snapshotPass) checkModified(rows []guest.Change, size int64) error {
	path := p.tree.Rel(0)
	err := fmt.Errorf("changes does not name %s, which was modified", path)
	for _, row := range rows {
		switch {
		case row.Path != path:
		case row.Op == "modified" && row.Size != nil && *row.Size == size && (row.Checkpoint == p.cp.ID || row.Origin == "auto"):
			return nil
		default:
			err = fmt.Errorf("changes says %s is %s against %s; want modified against %s", path,
				guest.Printable(row.Op, 20), guest.Printable(row.Checkpoint, 20), p.cp.ID)
		}
	}
	return err
}

func (p *snapshotPass) revert(ctx context.Context) (guest.Call, error) {
	if _, err := p.tree.Modify(0); err != nil {
		return guest.Call{}, err
	}
	call, err := p.cli.Revert(ctx, p.tree.Rel(0), p.cp.ID)
	if err != nil {
		return call, err
	}
	return call, p.tree.CheckOriginal(ctx, 0)
}

func (p *snapshotPass) delete(ctx context.Context) (guest.Call, error) {
	call, err := p.cli.Delete(ctx, p.cp.ID)
	if err != nil {
		return call, err
	}
	p.cpGone.Store(true)
	list, _, err := p.cli.List(ctx)
	if err != nil {
		return call, err
	}
	if list.Cut != nil {
		return call, p.checkUsed(list, p.used)
	}
	if e, ok := list.Find(p.cp.ID); ok && e.Name == p.cp.Name {
		return call, fmt.Errorf("%s was deleted and is still listed", p.cp.ID)
	}
	return call, nil
}

// samples are the values of one call.
func (p *snapshotPass) samples(call guest.Call, err error) record.Samples {
	s := record.Samples{StartNS: call.Start.UnixNano(), ElapsedNS: int64(call.Elapsed)}
	if call.Elapsed == 0 {
		return record.Samples{}
	}
	if err != nil {
		s.Failed = 1
		return s
	}
	s.Count, s.Files = 1, int64(p.tree.Files)
	s.Values = []int64{int64(call.Elapsed)}
	s.Metrics = map[string]float64{"ns/op": float64(call.Elapsed)}
	return s
}
