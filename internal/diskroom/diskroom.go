// Package diskroom keeps what a guest sends from filling the host's disk. A
// guest decides how much that is, so whoever writes it looks at the disk before
// and meanwhile, and stops while there is still room for everybody else.
package diskroom

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// ErrNone says that a disk has no room for what was to be written.
var ErrNone = errors.New("no room on the host's disk")

// keep is what is left free on a disk, or a twentieth of the disk where that is
// less.
const keep = 512 << 20

// On returns what this user could still write to the disk of a directory, and
// the disk's size, in bytes. The error does not name the directory: guests are
// answered with it.
func On(dir string) (free, size int64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, 0, fmt.Errorf("free space: %w", err)
	}
	unit := uint64(fs.Bsize)
	bytes := func(blocks uint64) int64 {
		if unit != 0 && blocks > math.MaxInt64/unit { // some file systems say that they have no bound
			return math.MaxInt64
		}
		return int64(blocks * unit)
	}
	return bytes(uint64(fs.Bavail)), bytes(uint64(fs.Blocks)), nil //nolint:unconvert // they are signed elsewhere
}

// Kept is what is left free on a disk of a size.
func Kept(size int64) int64 { return min(keep, size/20) }

// Room is how much may be written to the disk of a directory.
func Room(dir string) (int64, error) {
	free, size, err := On(dir)
	return free - Kept(size), err
}

// lookEvery is how many bytes are written between two looks at a disk, to which
// others write meanwhile.
const lookEvery = 16 << 20

// perFile is what a file takes beside its bytes, so that empty ones count too.
const perFile = 4 << 10

// A Meter counts what is written to the disk of one directory. It is for one
// goroutine.
type Meter struct {
	dir  string
	left int64 // that may be written before the next look
}

// NewMeter returns a meter of the disk that has a directory.
func NewMeter(dir string) *Meter { return &Meter{dir: dir} }

// Take counts n bytes that are about to be written. It fails with ErrNone where
// they would take what is left free.
func (m *Meter) Take(n int64) error {
	if n <= m.left {
		m.left -= n
		return nil
	}
	room, err := Room(m.dir)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNone, err)
	case n > room:
		return fmt.Errorf("%w: %s may still be written to it, and the rest stays free", ErrNone, humanize.IBytes(uint64(max(room, 0))))
	}
	m.left = min(lookEvery, room-n)
	return nil
}

// Writer returns a writer of one file to w, which fails with ErrNone.
func (m *Meter) Writer(w io.Writer) (io.Writer, error) {
	return &writer{w, m}, m.Take(perFile)
}

type writer struct {
	w io.Writer
	m *Meter
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.m.Take(int64(len(p))); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}
