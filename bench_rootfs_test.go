package capsembench

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/record"
)

// BenchmarkRootfs measures the read-only rootfs. The files and the places in
// them are drawn before the timer from a sorted list, so two runs on one
// image do the same work.
func BenchmarkRootfs(b *testing.B) {
	dirs := catalogue.ScanDirs()
	files, unreadable := guest.Scan(guest.Context(), dirs, catalogue.RandBlock)
	largest, found := guest.Largest(files)
	r := rootfs{files: files, largest: largest.Path}
	if !found {
		r.err = guest.SkipError("no readable file of 4 KiB or more under " + strings.Join(dirs, ", "))
	}
	suite := guest.Begin(b, record.Category{
		Category: string(catalogue.Rootfs), ScanDirs: dirs, LargestFile: largest.Path, LargestFileSize: largest.Size,
		FilesFound: int64(len(files)), Unreadable: unreadable,
	})
	passes := map[string]guest.Pass{"seq_read": r.seqRead, "rand_read_4k": r.randRead}
	for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{}), catalogue.Rootfs) {
		suite.Op(op, passes[op.Key("op")])
	}
}

type rootfs struct {
	files   []guest.File
	largest string
	err     error
}

// seqRead reads the largest file in 1 MiB blocks, cold.
func (r rootfs) seqRead(ctx context.Context) (record.Samples, record.Status, error) {
	if r.err != nil {
		return record.Samples{}, record.Status{}, r.err
	}
	return readSequential(ctx, r.largest)
}

// randRead reads 4 KiB from 5,000 places over all files, cold. As in Capsem's
// tool an access is open, read and close. A file that vanished or cannot be
// read is counted and costs no time.
func (r rootfs) randRead(ctx context.Context) (s record.Samples, st record.Status, err error) {
	if r.err != nil {
		return s, st, r.err
	}
	samples := guest.Draw(guest.Seed(), r.files, catalogue.RootfsRandCount, catalogue.RandBlock)
	paths := guest.Distinct(samples)
	times := make([]int64, 0, len(samples))
	reasons := make(map[string]int64)
	buf := make([]byte, catalogue.RandBlock)
	st = guest.Drop(paths)
	start := time.Now()
	var elapsed time.Duration
	for _, sample := range samples {
		d, err := guest.ReadOnce(sample.Path, buf, sample.Offset)
		if err != nil {
			reasons[guest.Reason(err)]++
			continue
		}
		times = append(times, int64(d))
		elapsed += d
		if ctx.Err() != nil {
			return s, st, ctx.Err()
		}
	}
	if len(times) == 0 {
		return s, st, errors.New("none of the files could be read")
	}
	s = random(start, elapsed, int64(len(times))*catalogue.RandBlock, times)
	s.Files, s.Errors = int64(len(paths)), reasons
	s.Failed = int64(len(samples) - len(times))
	cached := func() (int64, bool) { return guest.CachedPagesOf(paths) }
	s.WarmNS = int64(guest.Warm(ctx, cached, guest.TouchedPages(samples, catalogue.RandBlock), elapsed, func() (time.Duration, error) {
		var again time.Duration
		for _, sample := range samples {
			if d, err := guest.ReadOnce(sample.Path, buf, sample.Offset); err == nil {
				again += d
			}
		}
		return again, nil
	}))
	if s.Failed > 0 {
		st.Doubts = append(st.Doubts, "some files could not be read")
	}
	return s, st, nil
}
