package snapshot

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// TakeAuto takes an automatic snapshot. It replaces the oldest when all slots
// of the ring are in use.
func (s *Store) TakeAuto(ctx context.Context) (Info, error) {
	end, err := s.beginChange(ctx)
	if err != nil {
		return Info{}, err
	}
	defer end()
	sn, err := s.take(ctx, Info{Slot: s.auto, Origin: Auto})
	if err != nil {
		return Info{}, err
	}
	s.auto = (s.auto + 1) % s.cfg.AutoMax
	return sn.Info, nil
}

// Create takes a snapshot with a name. It returns how many slots are still
// available. The slots are used in turn, and only free ones.
func (s *Store) Create(ctx context.Context, name string) (info Info, available int, err error) {
	if err := CheckName(name); err != nil {
		return Info{}, 0, err
	}
	end, err := s.beginChange(ctx)
	if err != nil {
		return Info{}, 0, err
	}
	defer end()
	slot, err := s.freeManual(s.manual)
	if err != nil {
		return Info{}, 0, err
	}
	sn, err := s.take(ctx, Info{Slot: slot, Origin: Manual, Name: name})
	if err != nil {
		return Info{}, 0, err
	}
	s.manual = s.nextManual(slot)
	return sn.Info, s.available(), nil
}

// take copies the workspace into a slot.
func (s *Store) take(ctx context.Context, in Info) (*snap, error) {
	if err := s.cloner.disk.room(0); err != nil {
		return nil, failed(err, "failed to create snapshot")
	}
	latest := s.newest()
	sn, err := s.build(in, func(dir string) (tree, LeftOut, error) {
		return s.cloner.cloneTree(ctx, s.cfg.Workspace, dir, latest, &s.memory)
	})
	if err != nil {
		return nil, failed(err, "failed to create snapshot")
	}
	if old := s.slots[in.Slot]; old != nil {
		if err := s.discard(old); err != nil {
			return nil, failed(errors.Join(err, s.drop(sn)), "failed to create snapshot")
		}
	}
	if err := s.publish(sn); err != nil {
		return nil, failed(err, "failed to create snapshot")
	}
	if sn.LeftOut != nil {
		s.cfg.Log.Warn("a snapshot lacks files of the workspace", "checkpoint", ID(sn.Slot), "files", sn.LeftOut.Count,
			"first", sn.LeftOut.First[0].Path, "reason", sn.LeftOut.First[0].Reason)
	}
	return sn, nil
}

// Delete removes a snapshot that has a name.
func (s *Store) Delete(ctx context.Context, slot int) error {
	end, err := s.beginChange(ctx)
	if err != nil {
		return err
	}
	defer end()
	sn := s.at(slot)
	switch {
	case sn == nil:
		return invalid("checkpoint %s not found", ID(slot))
	case sn.Origin == Auto:
		return invalid("cannot delete automatic snapshots (managed by scheduler)")
	}
	if err := s.discard(sn); err != nil {
		return failed(err, "failed to delete snapshot")
	}
	return nil
}

func (s *Store) at(slot int) *snap {
	if slot < 0 || slot >= len(s.slots) {
		return nil
	}
	return s.slots[slot]
}

// A Compacted is the result of [Store.Compact].
type Compacted struct {
	Info
	Deleted []int // the slots of the sources, each once, in the order asked for
}

// Compact merges snapshots into one in a free manual slot: of each file the
// latest version, also if a later snapshot did not have the file any more.
// Then it removes the sources, whatever their origin.
func (s *Store) Compact(ctx context.Context, slots []int, name string) (Compacted, error) {
	if err := CheckName(name); err != nil {
		return Compacted{}, err
	}
	end, err := s.beginChange(ctx)
	if err != nil {
		return Compacted{}, err
	}
	defer end()
	if len(slots) == 0 {
		return Compacted{}, failed(nil, "no snapshots to compact")
	}
	slot, err := s.freeManual(s.cfg.AutoMax)
	if err != nil {
		return Compacted{}, err
	}
	c := Compacted{Deleted: unique(slots)}
	for _, n := range c.Deleted {
		if s.at(n) == nil {
			return Compacted{}, failed(nil, "checkpoint %s not found", ID(n))
		}
	}
	sn, err := s.build(Info{Slot: slot, Origin: Manual, Name: name}, func(dir string) (tree, LeftOut, error) {
		t, err := s.merge(ctx, dir, c.Deleted)
		return t, LeftOut{}, err
	})
	if err != nil {
		return Compacted{}, failed(err, "failed to create snapshot")
	}
	if err := s.publish(sn); err != nil {
		return Compacted{}, failed(err, "failed to create snapshot")
	}
	c.Info = sn.Info
	for _, n := range c.Deleted {
		if err := s.discard(s.at(n)); err != nil {
			return c, failed(err, "failed to delete snapshot %s", ID(n))
		}
	}
	return c, nil
}

func unique(slots []int) (out []int) {
	for _, n := range slots {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// merge links the latest version of each file into dir.
func (s *Store) merge(ctx context.Context, dir string, slots []int) (_ tree, err error) {
	root, err := openDir(unix.AT_FDCWD, dir, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	sources := slices.DeleteFunc(s.newestFirst(), func(sn *snap) bool { return !slices.Contains(slots, sn.Slot) })
	m := merger{root: root, seen: make(map[string]bool), dirs: make(map[string]bool), memory: &s.memory}
	defer func() {
		if err != nil {
			s.memory.give(m.taken)
			s.cloner.disk.give(m.copied)
		}
	}()
	for _, sn := range sources {
		for _, e := range sn.tree {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := m.add(ctx, &s.cloner, sn, e); err != nil {
				return nil, err
			}
		}
	}
	m.out.sort()
	return m.out, nil
}

// parents calls f for every directory above a path, until it returns false.
func parents(path string, f func(dir string) bool) {
	for i, r := range path {
		if r == '/' && !f(path[:i]) {
			return
		}
	}
}

// blocked reports whether a path that is there is a directory of this one, or
// the other way round: a later version was a file where this has a directory.
func (m *merger) blocked(path string) bool {
	if m.seen[path] || m.dirs[path] {
		return true
	}
	hit := false
	parents(path, func(dir string) bool {
		hit = m.seen[dir]
		return !hit
	})
	return hit
}
