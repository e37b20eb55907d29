package blockio

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/guest/coldcache"
)

// Reads reads one block of a file at each offset. Its Run is a loop for
// guest.Pass.TimeEach.
type Reads struct {
	File    *os.File
	Block   int64
	Offsets []int64
}

// Run makes all accesses once. Buffers are made before the timer.
func (r Reads) Run(ctx context.Context) (guest.Accesses, error) {
	a := guest.Accesses{Times: make([]int64, len(r.Offsets))}
	buf := make([]byte, r.Block)
	var err error
	a.Start = time.Now()
	a.Bytes, a.Elapsed, err = ReadLoop(ctx, int(r.File.Fd()), buf, r.Offsets, a.Times)
	return a, err
}

// warmPart is the part of many accesses that a warm reading repeats, and
// fewWarm how many of them are few enough to repeat all.
const (
	warmPart = 4
	fewWarm  = 32
)

// RunWarm repeats the first quarter of the accesses, for Pass.TimeWarm, and says
// how long all would take. It is compared with a cold pass to see whether that
// was slower at all, and in an emulated guest the whole takes as long as that.
func (r Reads) RunWarm(ctx context.Context) (guest.Accesses, error) {
	all := len(r.Offsets)
	if all > fewWarm {
		r.Offsets = r.Offsets[:all/warmPart]
	}
	a, err := r.Run(ctx)
	a.Elapsed = time.Duration(float64(a.Elapsed) * float64(all) / float64(max(1, len(r.Offsets))))
	return a, err
}

// Cached is how many pages of the file are in the page cache.
func (r Reads) Cached() (pages int64, known bool) {
	info, err := r.File.Stat()
	if err != nil {
		return 0, false
	}
	return coldcache.CachedPages(r.File, info.Size())
}

// Touched is how many pages the accesses fill. The last block of a file may be
// short, so it is never more than the file has.
func (r Reads) Touched() int64 {
	samples := make([]Sample, len(r.Offsets))
	for i, off := range r.Offsets {
		samples[i] = Sample{Offset: off}
	}
	touched := TouchedPages(samples, r.Block)
	info, err := r.File.Stat()
	if err != nil {
		return touched
	}
	page := int64(os.Getpagesize())
	return min(touched, (info.Size()+page-1)/page)
}

// Writes writes one block of a source at each offset. Its Run is a loop for
// guest.Pass.TimeEach.
type Writes struct {
	File    *os.File
	Source  *Source
	Block   int64
	Offsets []int64
	Each    func(fd int) error // after each block and part of its time, or nil
	Last    func(fd int) error // after all blocks and part of the whole time, or nil
}

// Run makes all accesses once.
func (w Writes) Run(ctx context.Context) (guest.Accesses, error) {
	a := guest.Accesses{Times: make([]int64, len(w.Offsets)), Bytes: int64(len(w.Offsets)) * w.Block}
	var err error
	a.Start = time.Now()
	a.Elapsed, err = WriteLoop(ctx, int(w.File.Fd()), w.Source, w.Offsets, a.Times, w.Each)
	if err != nil || w.Last == nil {
		return a, err
	}
	last := time.Now()
	if err := w.Last(int(w.File.Fd())); err != nil {
		return a, fmt.Errorf("fdatasync: %w", err)
	}
	a.Elapsed += time.Since(last)
	return a, nil
}

// WriteFile makes a file of incompressible data, in blocks, and returns when
// every block is on disk.
func WriteFile(ctx context.Context, name string, size, block int64, seed uint64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	offsets := Sequential(size, block)
	if _, err := WriteLoop(ctx, int(f.Fd()), NewSource(seed, int(block)), offsets, make([]int64, len(offsets)), nil); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return Allocated(f)
}
