// Package blockio reads and writes files in blocks and times each access: the
// loops of the disk and rootfs categories, the data and the offsets that they
// use, and the choice of the rootfs files.
//
// A timer holds one system call and one reading of the clock. Data and offsets
// come from seeded generators before it starts, so two runs do the same work.
package blockio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/internal/guest"
	"golang.org/x/sys/unix"
)

// withoutHandoff reports whether timed system calls keep their processor (P)
// instead of handing it to the scheduler. Handing over and getting it back costs
// a tenth of a read from a fast disk, or of a write to it. It needs a second
// processor, on which the watchdog and signal handling run meanwhile.
func withoutHandoff() bool { return runtime.GOMAXPROCS(0) > 1 }

// ReadLoop reads len(buf) bytes at each offset with pread(2) and stores the
// time of each access in ns. Nothing but the call and one clock reading is
// inside the timer; the times add up to elapsed. A short read is an error
// unless it is the last. It returns the bytes read.
//
// With two processors the calls keep theirs. The garbage collector is off then,
// because it would have to wait for a read that is under way.
func ReadLoop(ctx context.Context, fd int, buf []byte, offsets, times []int64) (read int64, elapsed time.Duration, err error) {
	pread := pread
	if withoutHandoff() && len(buf) > 0 {
		pread = preadHere
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
	}
	start := time.Now()
	last := time.Duration(0)
	for i, off := range offsets {
		n, err := pread(fd, buf, off)
		now := time.Since(start)
		times[i] = int64(now - last)
		last = now
		read += int64(n)
		if err != nil {
			return read, now, fmt.Errorf("reading at %d: %w", off, err)
		}
		if n < len(buf) && i < len(offsets)-1 {
			return read, now, fmt.Errorf("reading at %d: got %d of %d bytes: %w", off, n, len(buf), io.ErrUnexpectedEOF)
		}
		if ctx.Err() != nil { // one atomic load
			return read, now, ctx.Err()
		}
	}
	return read, last, nil
}

func pread(fd int, buf []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(fd, buf, off)
		if err != unix.EINTR { // a bare errno
			return n, err
		}
	}
}

// pwrite writes all of buf; a short write is an error, as on a full disk.
func pwrite(fd int, buf []byte, off int64) error {
	for {
		n, err := unix.Pwrite(fd, buf, off)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n < len(buf):
			return fmt.Errorf("wrote %d of %d bytes: %w", n, len(buf), io.ErrShortWrite)
		}
		return nil
	}
}

// WriteLoop writes one block of the source at each offset with pwrite(2),
// calls sync after each, and stores the time of both in ns. The block is made
// outside the timer. sync may be nil. With two processors the garbage collector
// is off, as for reads, because sync may keep its processor.
func WriteLoop(ctx context.Context, fd int, src *Source, offsets, times []int64, sync func(fd int) error) (elapsed time.Duration, err error) {
	if sync != nil && withoutHandoff() {
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
	}
	for i, off := range offsets {
		if ctx.Err() != nil {
			return elapsed, ctx.Err()
		}
		block := src.Next()
		start := time.Now()
		err := pwrite(fd, block, off)
		if err == nil && sync != nil {
			err = sync(fd)
		}
		d := time.Since(start)
		times[i] = int64(d)
		elapsed += d
		if err != nil {
			return elapsed, fmt.Errorf("writing at %d: %w", off, err)
		}
	}
	return elapsed, nil
}

// A Source makes blocks that no filesystem can compress or deduplicate:
// random bytes with a counter in every page.
type Source struct {
	block []byte
	next  uint64
}

// NewSource returns a source of blocks of the given size, a multiple of 8.
func NewSource(seed uint64, size int) *Source {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	s := &Source{block: make([]byte, size)}
	_, _ = rand.NewChaCha8(key).Read(s.block)
	return s
}

// Next returns a block that differs from all others in every 512-byte
// sector. It is valid until the next call.
func (s *Source) Next() []byte {
	for i := 0; i < len(s.block); i += 512 {
		s.next++
		x := s.next * 0x9e3779b97f4a7c15 // spreads the counter over all bits
		for j := range 8 {
			s.block[i+j] = byte(x >> (8 * j))
		}
	}
	return s.block
}

// Sequential returns the offsets of all blocks of a file of the given size.
func Sequential(size, block int64) []int64 {
	offsets := make([]int64, 0, (size+block-1)/block)
	for off := int64(0); off < size; off += block {
		offsets = append(offsets, off)
	}
	return offsets
}

// Random returns n distinct block-aligned offsets in a file of the given size,
// drawn from a seeded generator. Like fio's, no block comes twice, so no
// access finds its block cached by an earlier one. n larger than the number
// of blocks starts over.
func Random(seed uint64, n int, size, block int64) []int64 {
	blocks := int(size / block)
	rng := Rand(seed, "offsets")
	offsets := make([]int64, 0, n)
	for len(offsets) < n {
		for _, i := range rng.Perm(blocks)[:min(blocks, n-len(offsets))] {
			offsets = append(offsets, int64(i)*block)
		}
	}
	return offsets
}

// Rand returns a generator for one purpose: the same seed and purpose give
// the same numbers in every process.
func Rand(seed uint64, purpose string) *rand.Rand {
	h := uint64(14695981039346656037) // FNV-1a
	for _, c := range []byte(purpose) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(seed, h))
}

// Allocated checks that a file has blocks for all its bytes. Reading a hole
// measures memset, not a disk. Filesystems that report no blocks at all
// cannot be checked and pass.
func Allocated(f *os.File) error {
	size, have, err := blocks(f)
	if err == nil && have < size { // ZFS counts blocks when a transaction group ends
		syscall.Sync()
		size, have, err = blocks(f)
	}
	if err != nil || have == 0 || have >= size {
		return err
	}
	return guest.InvalidError(fmt.Sprintf("file of %d bytes has %d allocated: it is sparse or compressed", size, have))
}

func blocks(f *os.File) (size, allocated int64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("fstat: %w", err)
	}
	return st.Size, st.Blocks * 512, nil
}

// Room returns how many bytes an ordinary user can still write under dir.
func Room(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// ReadOnce opens a file, reads len(buf) bytes at the offset and closes it,
// all inside the timer.
func ReadOnce(path string, buf []byte, off int64) (time.Duration, error) {
	start := time.Now()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	n, err := pread(fd, buf, off)
	_ = unix.Close(fd)
	d := time.Since(start)
	if err == nil && n < len(buf) {
		err = io.ErrUnexpectedEOF
	}
	return d, err
}

// Reason returns a short, stable text for an error of a system call.
func Reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "short read"
	}
	return "other"
}
