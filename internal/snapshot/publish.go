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
}

// maxMetadata bounds the file when it is read.
const maxMetadata = 64 << 10

// build makes a snapshot beside the slots: fill puts the tree into the
// directory it is given. The snapshot is not in its slot yet.
func (s *Store) build(in Info, fill func(dir string) (tree, error)) (sn *snap, err error) {
	dir, err := os.MkdirTemp(s.cfg.Dir, newPrefix)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	root := filepath.Join(dir, workspaceDir)
	if err := os.Mkdir(root, 0o700); err != nil {
		return nil, err
	}
	sn = &snap{Info: in, dir: dir}
	if sn.tree, err = fill(root); err != nil {
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

// publish gives a snapshot its slot, which is free on the disk.
func (s *Store) publish(sn *snap) error {
	dir := filepath.Join(s.cfg.Dir, strconv.Itoa(sn.Slot))
	if err := os.Rename(sn.dir, dir); err != nil {
		return errors.Join(err, os.RemoveAll(sn.dir))
	}
	sn.dir = dir
	s.slots[sn.Slot] = sn
	return nil
}

// discard empties a slot.
func (s *Store) discard(sn *snap) error {
	s.slots[sn.Slot] = nil
	for _, other := range s.slots {
		if other != nil && other.diffBase == sn {
			other.diffBase, other.diffRows = nil, nil
		}
	}
	return s.remove(sn.dir)
}

// remove renames a directory away, from when on it is no snapshot any more,
// and removes it.
func (s *Store) remove(dir string) error {
	gone, err := os.MkdirTemp(s.cfg.Dir, gonePrefix)
	if err != nil {
		return err
	}
	if err := os.Rename(dir, filepath.Join(gone, filepath.Base(dir))); err != nil {
		return errors.Join(err, os.Remove(gone))
	}
	return os.RemoveAll(gone)
}

// slotOf reads the name of a slot's directory.
func slotOf(name string) (int, bool) {
	n, err := strconv.ParseUint(name, 10, 31)
	return int(n), err == nil && strconv.FormatUint(n, 10) == name
}

// readSnap reads a snapshot from its slot. Files with several names have one
// content, found by device and inode.
func readSnap(ctx context.Context, dir string, slot int, contents map[[2]uint64]*content) (*snap, error) {
	m, err := readMetadata(filepath.Join(dir, metadataFile))
	if err != nil {
		return nil, err
	}
	if m.Slot != slot || (m.Origin != Auto && m.Origin != Manual) {
		return nil, fmt.Errorf("%s is of slot %d, origin %q", metadataFile, m.Slot, m.Origin)
	}
	sn := &snap{dir: dir, Info: Info{Slot: slot, Time: m.Timestamp, Origin: m.Origin}}
	if sn.tree, err = scan(ctx, filepath.Join(dir, workspaceDir)); err != nil {
		return nil, err
	}
	if sn.tree.check() != m.Tree {
		return nil, errors.New("its files are not those that its metadata names")
	}
	sn.Files = sn.tree.files()
	if m.Name != nil {
		sn.Name = *m.Name
	}
	if m.Hash != nil {
		sn.Hash = *m.Hash
	}
	for _, e := range sn.tree {
		key := [2]uint64{uint64(e.stat.Dev), e.stat.Ino}
		if contents[key] == nil {
			contents[key] = new(content)
		}
		e.content = contents[key]
	}
	return sn, nil
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
