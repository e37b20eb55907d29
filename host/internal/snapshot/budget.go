package snapshot

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/capsem/capsem-bench/internal/diskroom"
)

// The budgets of a store, all slots together. A guest decides how many files
// there are and how often they change.
const (
	defaultMemory = 256 << 20
	defaultDisk   = 32 << 30
)

// pointerSize is what an entry takes in a tree that shares it.
const pointerSize = 8

// memory counts the bytes that trees take. It is safe for concurrent use.
type memory struct {
	used atomic.Int64
	max  int64
}

// take reports whether there was room.
func (m *memory) take(n int64) bool {
	if m.used.Add(n) > m.max {
		m.used.Add(-n)
		return false
	}
	return true
}

func (m *memory) give(n int64) { m.used.Add(-n) }

// disk counts the bytes that the files of a store take. Files that share
// blocks with the workspace count in full: they hold them when it changes.
type disk struct {
	used atomic.Int64
	max  int64
	dir  string // of the store
	free func(dir string) (free, size int64, err error)
}

var errNoRoom = errors.New("no room for the snapshot")

// lookEvery is how many bytes are copied between two looks at the disk.
const lookEvery = 64 << 20

// take counts the bytes of a file that is about to be copied.
func (d *disk) take(n int64) error {
	used := d.used.Add(n)
	var err error
	switch {
	case used > d.max:
		err = fmt.Errorf("%w: the snapshots would take more than %d MiB", errNoRoom, d.max>>20)
	case used/lookEvery != (used-n)/lookEvery:
		err = d.room(n)
	}
	if err != nil {
		d.used.Add(-n)
	}
	return err
}

func (d *disk) give(n int64) { d.used.Add(-n) }

// room fails where n bytes more would fill up the disk.
func (d *disk) room(n int64) error {
	free, size, err := d.free(d.dir)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoRoom, err)
	}
	if floor := diskroom.Kept(size); free-n < floor {
		return fmt.Errorf("%w: the host's disk has %d MiB left, and %d MiB stay free", errNoRoom, free>>20, floor>>20)
	}
	return nil
}

// A LeftOut says which files a snapshot does not have, although the workspace
// has them.
type LeftOut struct {
	Count int          `json:"count"`
	First []LeftOutRow `json:"first"` // at most maxLeftOut of them
}

// A LeftOutRow is one file or directory that was left out.
type LeftOutRow struct {
	Path   string `json:"path"` // its beginning, if it is long
	Reason string `json:"reason"`
}

const (
	maxLeftOut     = 20
	maxLeftOutPath = 200 // bytes
)

func (l *LeftOut) add(path, reason string) {
	if l.Count++; len(l.First) < maxLeftOut {
		if len(path) > maxLeftOutPath {
			path = path[:maxLeftOutPath] + "..."
		}
		l.First = append(l.First, LeftOutRow{path, reason})
	}
}
