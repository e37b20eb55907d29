package snapshot

import (
	"cmp"
	"context"
	"slices"
)

// An Op says what happened to a file.
type Op string

// The values of [Change.Op], and of [Difference.Op] but for New.
const (
	New      Op = "new"
	Created  Op = "created"
	Modified Op = "modified"
	Deleted  Op = "deleted"
)

// A Change is one file that differs between a snapshot and the one before.
type Change struct {
	Op   Op // New, Modified or Deleted
	Path string
	Size int64 // 0 for Deleted
}

// A Listed is a snapshot in a list.
type Listed struct {
	Info
	Changes []Change // since the snapshot before it, by path; New is all of the first
}

// A Listing is what [Store.List] returns.
type Listing struct {
	AutoMax, ManualMax, Available int
	Snapshots                     []Listed // newest first
}

// List returns all snapshots and what each changed.
func (s *Store) List(ctx context.Context) (Listing, error) {
	snaps, end, err := s.beginRead()
	if err != nil {
		return Listing{}, err
	}
	defer end()
	l := Listing{AutoMax: s.cfg.AutoMax, ManualMax: s.cfg.ManualMax, Available: s.cfg.ManualMax}
	for i, sn := range snaps {
		var older *snap
		if i+1 < len(snaps) {
			older = snaps[i+1]
		}
		if sn.Slot >= s.cfg.AutoMax {
			l.Available--
		}
		rows, err := s.since(ctx, sn, older)
		if err != nil {
			return Listing{}, failed(err, "failed to compare snapshots")
		}
		l.Snapshots = append(l.Snapshots, Listed{Info: sn.Info, Changes: rows})
	}
	return l, nil
}

// since compares a snapshot with an older one, or with nothing. Neither
// changes, so the result is kept.
func (s *Store) since(ctx context.Context, sn, older *snap) ([]Change, error) {
	s.mu.Lock()
	rows, base := sn.diffRows, sn.diffBase
	s.mu.Unlock()
	if rows != nil && base == older {
		return rows, nil
	}
	var before tree
	if older != nil {
		before = older.tree
	}
	rows = []Change{}
	err := each(before, sn.tree, func(x, y *entry) error {
		switch {
		case x != nil && x.absent != "" || y != nil && y.absent != "":
		case x == nil:
			rows = append(rows, Change{New, y.path, y.size})
		case y == nil:
			rows = append(rows, Change{Deleted, x.path, 0})
		default:
			same, err := s.equal(ctx, older, x, sn, y)
			if err != nil {
				return err
			}
			if !same {
				rows = append(rows, Change{Modified, y.path, y.size})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if older == nil || older.gone == "" {
		sn.diffBase, sn.diffRows = older, rows
	}
	return rows, nil
}

// A Difference is one file of the workspace that is not as in a snapshot.
type Difference struct {
	Op       Op // Created, Modified or Deleted
	Path     string
	Size     int64 // now; 0 for Deleted
	Snapshot Info
}

// Changes compares the workspace with all snapshots. Each path is in the
// result once, with the newest snapshot that differs from the workspace: a
// file that is as in the newest one, and in an older one is not, was created
// as seen from there. The result is nil if there is no snapshot.
func (s *Store) Changes(ctx context.Context) ([]Difference, error) {
	snaps, end, err := s.beginRead()
	if err != nil {
		return nil, err
	}
	defer end()
	if len(snaps) == 0 {
		return nil, nil
	}
	l, err := s.look(ctx)
	if err != nil {
		return nil, failed(err, "failed to read the workspace")
	}
	defer l.close()
	s.forget(l.tree)
	d := differ{store: s, live: l, reported: make(map[string]bool), rows: []Difference{}}
	for _, sn := range snaps {
		if err := each(l.tree, sn.tree, func(file, e *entry) error { return d.compare(ctx, sn, file, e) }); err != nil {
			return nil, failed(err, "failed to compare with %s", ID(sn.Slot))
		}
	}
	slices.SortFunc(d.rows, func(a, b Difference) int { return cmp.Compare(a.Path, b.Path) })
	return d.rows, nil
}

// A differ collects the differences of one call.
type differ struct {
	store    *Store
	live     *live
	reported map[string]bool
	rows     []Difference
}

// compare looks at one path of the workspace and a snapshot; either entry may
// be nil.
func (d *differ) compare(ctx context.Context, sn *snap, file, e *entry) error {
	row := Difference{Op: Modified, Snapshot: sn.Info}
	switch {
	case file != nil && file.absent != "" || e != nil && e.absent != "":
		return nil // nobody can tell
	case file == nil && d.live.hides(e.path):
		return nil
	case file == nil:
		row.Op, row.Path = Deleted, e.path
	case e == nil:
		row.Op, row.Path, row.Size = Created, file.path, file.size
	default:
		row.Path, row.Size = file.path, file.size
	}
	if d.reported[row.Path] {
		return nil
	}
	if row.Op == Modified {
		same, err := d.store.unchanged(ctx, d.live, file, sn, e)
		if same || err != nil {
			return err
		}
	}
	d.reported[row.Path] = true
	d.rows = append(d.rows, row)
	return nil
}

// A Status says what a snapshot did to a file.
type Status string

// The statuses of a [Version].
const (
	StatusNew       Status = "new"
	StatusModified  Status = "modified"
	StatusUnchanged Status = "unchanged"
	StatusDeleted   Status = "deleted"
)

// A Version is a file in one snapshot, compared with the one before.
type Version struct {
	Snapshot Info
	Size     int64 // 0 if deleted
	Status   Status
}

// A History is what [Store.History] returns.
type History struct {
	Path     string
	Exists   bool // in the workspace
	Size     int64
	Versions []Version // newest first, without snapshots that never had it
}

// History returns the versions of one file.
func (s *Store) History(ctx context.Context, path string) (History, error) {
	path, err := CleanPath(path)
	if err != nil {
		return History{}, err
	}
	snaps, end, err := s.beginRead()
	if err != nil {
		return History{}, err
	}
	defer end()
	h := History{Path: path, Versions: []Version{}}
	file, err := s.stat(path)
	if err != nil {
		return History{}, err
	}
	if file != nil {
		h.Exists, h.Size = true, file.size
	}
	var older *snap
	for _, sn := range slices.Backward(snaps) {
		v, err := s.versionOf(ctx, path, sn, older)
		if err != nil {
			return History{}, failed(err, "failed to compare snapshots")
		}
		if v != nil {
			h.Versions = append(h.Versions, *v)
		}
		older = sn
	}
	slices.Reverse(h.Versions)
	return h, nil
}

// versionOf is nil if neither snapshot has the file.
func (s *Store) versionOf(ctx context.Context, path string, sn, older *snap) (*Version, error) {
	v := &Version{Snapshot: sn.Info}
	before, e := older.find(path), sn.find(path)
	switch {
	case e != nil && e.absent != "" || before != nil && before.absent != "":
		return nil, nil
	case e == nil && before == nil:
		return nil, nil
	case e == nil:
		v.Status = StatusDeleted
		return v, nil
	case before == nil:
		v.Status = StatusNew
	default:
		same, err := s.equal(ctx, older, before, sn, e)
		if err != nil {
			return nil, err
		}
		v.Status = StatusModified
		if same {
			v.Status = StatusUnchanged
		}
	}
	v.Size = e.size
	return v, nil
}
