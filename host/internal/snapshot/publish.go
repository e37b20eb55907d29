package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// metadata is the file beside a snapshot's tree. The keys up to hash are
// Capsem's.
type metadata struct {
	Slot      int       `json:"slot"`
	Timestamp time.Time `json:"timestamp"`
	Secs      int64     `json:"epoch_secs"`
	Millis    int64     `json:"epoch_millis"`
	Origin    Origin    `json:"origin"`
	Name      *string   `json:"name"`
	Hash      *string   `json:"hash"`
	Tree      string    `json:"tree"` // see tree.check
	LeftOut   *LeftOut  `json:"left_out,omitempty"`
}

// maxMetadata bounds the file when it is read.
const maxMetadata = 64 << 10

// build makes a snapshot beside the slots: fill puts the tree into the
// directory it is given. The snapshot is not in its slot yet.
func (s *Store) build(in Info, fill func(dir string) (tree, LeftOut, error)) (sn *snap, err error) {
	dir, err := os.MkdirTemp(s.cfg.Dir, newPrefix)
	if err != nil {
		return nil, err
	}
	begun := &snap{Info: in, dir: dir, root: -1}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.drop(begun))
		}
	}()
	sn = begun
	root := filepath.Join(dir, workspaceDir)
	if err := os.Mkdir(root, 0o700); err != nil {
		return nil, err
	}
	t, left, err := fill(root)
	if err != nil {
		return nil, err
	}
	sn.hold(t)
	if left.Count > 0 {
		sn.LeftOut = &left
	}
	if sn.root, err = openDir(unix.AT_FDCWD, root, 0); err != nil {
		return nil, err
	}
	// The order of the times is that of the snapshots, also when the clock is
	// set back.
	sn.Time = s.now().UTC()
	if latest := s.newest(); latest != nil && !sn.Time.After(latest.Time) {
		sn.Time = latest.Time.Add(time.Microsecond)
	}
	sn.Files = sn.tree.files()
	m := metadata{
		Slot: sn.Slot, Timestamp: sn.Time, Secs: sn.Time.Unix(), Millis: sn.Time.UnixMilli(), Origin: sn.Origin, Tree: sn.tree.check(),
		LeftOut: sn.LeftOut,
	}
	if sn.Origin == Manual {
		sn.Hash = sn.tree.hash()
		m.Name, m.Hash = &sn.Name, &sn.Hash
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return sn, os.WriteFile(filepath.Join(dir, metadataFile), append(text, '\n'), 0o600)
}

// hold gives a snapshot its tree, whose memory and disk are counted already.
func (sn *snap) hold(t tree) {
	sn.tree = t
	for _, e := range t {
		e.refs++
	}
}

// release gives back what the tree of a snapshot takes and no other shares.
func (s *Store) release(sn *snap) {
	memory, disk := int64(pointerSize*len(sn.tree)), int64(0)
	for _, e := range sn.tree {
		if e.refs--; e.refs == 0 {
			memory += e.cost()
			disk += e.disk
		}
	}
	s.memory.give(memory)
	s.cloner.disk.give(disk)
}

// drop removes a snapshot that has no slot.
func (s *Store) drop(sn *snap) error {
	s.release(sn)
	if sn.root >= 0 {
		_ = unix.Close(sn.root)
	}
	return os.RemoveAll(sn.dir)
}

// publish gives a snapshot its slot, which is free on the disk.
func (s *Store) publish(sn *snap) error {
	dir := filepath.Join(s.cfg.Dir, strconv.Itoa(sn.Slot))
	if err := os.Rename(sn.dir, dir); err != nil {
		return errors.Join(err, s.drop(sn))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sn.dir = dir
	s.slots[sn.Slot] = sn
	return nil
}

// discard empties a slot. The files are removed when nobody reads them.
func (s *Store) discard(sn *snap) error {
	gone, err := s.moveAway(sn.dir)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.slots[sn.Slot] = nil
	for _, other := range s.slots {
		if other != nil && other.diffBase == sn {
			other.diffBase, other.diffRows = nil, nil
		}
	}
	sn.gone = gone
	read := sn.readers > 0
	s.mu.Unlock()
	s.release(sn)
	if read {
		return nil // the last reader removes it
	}
	return sn.bury()
}

// remove removes a directory that is no snapshot.
func (s *Store) remove(dir string) error {
	gone, err := s.moveAway(dir)
	if err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

// moveAway renames a directory, from when on it is no snapshot any more.
func (s *Store) moveAway(dir string) (string, error) {
	gone, err := os.MkdirTemp(s.cfg.Dir, gonePrefix)
	if err != nil {
		return "", err
	}
	if err := os.Rename(dir, filepath.Join(gone, filepath.Base(dir))); err != nil {
		return "", errors.Join(err, os.Remove(gone))
	}
	return gone, nil
}

// slotOf reads the name of a slot's directory.
func slotOf(name string) (int, bool) {
	n, err := strconv.ParseUint(name, 10, 31)
	return int(n), err == nil && strconv.FormatUint(n, 10) == name
}

// loaded are the entries of the snapshots that have been read.
type loaded struct {
	files map[[2]uint64]*entry // by device and inode
	links map[string]*entry    // symbolic links by path
}

// of returns an entry for the same file, or keeps this one and returns nil.
func (l *loaded) of(e *entry) *entry {
	if e.symlink {
		if old := l.links[e.path]; old != nil && old.target == e.target {
			return old
		}
		l.links[e.path] = e
		return nil
	}
	key := [2]uint64{e.id.dev, e.id.ino}
	if old := l.files[key]; old != nil {
		return old
	}
	l.files[key] = e
	return nil
}

// readSnap reads a snapshot from its slot. Files with several names have one
// content, found by device and inode; snapshots share the entry of such a file
// if it has one path in both.
func (s *Store) readSnap(ctx context.Context, dir string, slot int, known *loaded) (sn *snap, err error) {
	m, err := readMetadata(filepath.Join(dir, metadataFile))
	if err != nil {
		return nil, err
	}
	if m.Slot != slot || (m.Origin != Auto && m.Origin != Manual) {
		return nil, fmt.Errorf("%s is of slot %d, origin %q", metadataFile, m.Slot, m.Origin)
	}
	sn = &snap{dir: dir, Info: Info{Slot: slot, Time: m.Timestamp, Origin: m.Origin, LeftOut: m.LeftOut}}
	root := filepath.Join(dir, workspaceDir)
	_, t, err := scan(ctx, root, &memory{max: s.memory.max}) // entries that are shared are counted below
	if err != nil {
		return nil, err
	}
	if t.check() != m.Tree {
		return nil, errors.New("its files are not those that its metadata names")
	}
	for i, e := range t {
		same, room := known.of(e), e.disk
		e.id, e.kind, e.disk = ident{}, 0, 0
		switch {
		case same == nil && !e.symlink:
			e.content, e.disk = new(content), room
			s.cloner.disk.used.Add(room)
		case same == nil:
		case same.path == e.path && same.mode == e.mode:
			t[i] = same
		default:
			e.content = same.content
		}
		cost := int64(pointerSize)
		if t[i] == e {
			cost += e.cost()
		}
		if !s.memory.take(cost) {
			return nil, errTooLarge
		}
	}
	sn.hold(t)
	sn.Files = t.files()
	if m.Name != nil {
		sn.Name = *m.Name
	}
	if m.Hash != nil {
		sn.Hash = *m.Hash
	}
	sn.root, err = openDir(unix.AT_FDCWD, root, 0)
	return sn, err
}

func readMetadata(path string) (*metadata, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxMetadata))
	if err != nil {
		return nil, err
	}
	m := new(metadata)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w", metadataFile, err)
	}
	return m, nil
}
