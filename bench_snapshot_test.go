package capsembench

import (
	"cmp"
	"errors"
	"strconv"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/guest/snapshotscli"
	"github.com/capsem/capsem-bench/internal/record"
)

// BenchmarkSnapshot measures the calls of the snapshots command, each as the
// whole process. The operations of one size share a tree of files and, but for
// create, a checkpoint of it, which are made before the timer.
func BenchmarkSnapshot(b *testing.B) {
	root, rootErr := snapshotscli.WorkspaceRoot()
	cli, err := snapshotscli.Find()
	s := snapshot{cli, snapshotscli.Share(cli, root)}
	cases := map[string]func(p *guest.Pass, files int) error{
		"create": s.create, "list": s.list, "changes": s.changes, "revert": s.revert, "delete": s.delete,
	}
	suite := guest.Begin(b, record.Category{Category: string(catalogue.Snapshot), Directory: root})
	defer suite.CleanUp(s.shared.Close)
	for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{}), catalogue.Snapshot) {
		suite.Op(op, func(p *guest.Pass) error {
			if err := cmp.Or(err, rootErr); err != nil {
				return err
			}
			files, err := strconv.Atoi(op.Key("files"))
			if err != nil {
				return err
			}
			if err := p.Verify(cases[op.Key("op")](p, files)); err != nil {
				return err
			}
			p.Describe(func(s *record.Samples) { s.Files = int64(files) })
			p.Report("ns/op", float64(p.Elapsed()))
			return nil
		})
	}
}

type snapshot struct {
	cli    *snapshotscli.CLI
	shared *snapshotscli.Shared
}

func (s snapshot) create(p *guest.Pass, files int) error {
	if err := s.shared.Fresh(p.Context(), files); err != nil {
		return err
	}
	if err := s.shared.Create(p.Context(), s.cli.TimedBy(p.Time)); err != nil { // measured
		return err
	}
	if next := p.Next(); next.Key("op") == "list" {
		return nil // it looks for the checkpoint
	}
	return s.shared.CheckList(p)
}

func (s snapshot) list(p *guest.Pass, files int) error {
	if err := s.shared.Taken(p.Context(), files); err != nil {
		return err
	}
	list, err := s.cli.TimedBy(p.Time).List(p.Context()) // measured
	if err != nil {
		return err
	}
	if list.Cut != nil {
		return guest.InvalidError(list.Cut.Error())
	}
	return s.shared.CheckListed(p, list)
}

func (s snapshot) changes(p *guest.Pass, files int) error {
	if err := s.shared.Taken(p.Context(), files); err != nil {
		return err
	}
	size, err := s.shared.Modify()
	if err != nil {
		return err
	}
	rows, err := s.cli.TimedBy(p.Time).Changes(p.Context()) // measured
	var cut *snapshotscli.CutError
	if errors.As(err, &cut) {
		return guest.InvalidError(cut.Error())
	}
	if err != nil {
		return err
	}
	return s.shared.CheckModified(rows, size)
}

func (s snapshot) revert(p *guest.Pass, files int) error {
	if err := s.shared.Taken(p.Context(), files); err != nil {
		return err
	}
	if _, err := s.shared.Modify(); err != nil {
		return err
	}
	err := s.cli.TimedBy(p.Time).Revert(p.Context(), s.shared.Modified(), s.shared.Checkpoint()) // measured
	if err != nil {
		return err
	}
	return s.shared.CheckReverted(p.Context())
}

func (s snapshot) delete(p *guest.Pass, files int) error {
	if err := s.shared.Taken(p.Context(), files); err != nil {
		return err
	}
	if err := s.cli.TimedBy(p.Time).Delete(p.Context(), s.shared.Checkpoint()); err != nil { // measured
		return err
	}
	last := p.Next().Category != catalogue.Snapshot // else the next create tells
	return s.shared.CheckDeleted(p.Context(), last)
}
