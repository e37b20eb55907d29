package capsembench

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/guest/blockio"
	"github.com/capsem/capsem-bench/internal/record"
)

// BenchmarkRootfs measures the read-only rootfs. The files and the places in
// them are drawn before the timer from a sorted list, so two runs on one
// image do the same work.
func BenchmarkRootfs(b *testing.B) {
	dirs := catalogue.ScanDirs()
	files, unreadable := blockio.Scan(guest.Context(), dirs, catalogue.RandBlock)
	largest, found := blockio.Largest(files)
	suite := guest.Begin(b, record.Category{
		Category: string(catalogue.Rootfs), ScanDirs: dirs, LargestFile: largest.Path, LargestFileSize: largest.Size,
		FilesFound: int64(len(files)), Unreadable: unreadable,
	})
	cases := map[string]guest.Body{
		"seq_read":     func(p *guest.Pass) error { return readSequential(p, largest.Path, catalogue.SeqBlock) },
		"rand_read_4k": func(p *guest.Pass) error { return readScattered(p, files) },
	}
	for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{}), catalogue.Rootfs) {
		suite.Op(op, func(p *guest.Pass) error {
			if !found {
				return guest.SkipError("no readable file of 4 KiB or more under " + strings.Join(dirs, ", "))
			}
			return cases[op.Key("op")](p)
		})
	}
}

// readSequential reads a whole file in blocks, cold.
func readSequential(p *guest.Pass, name string, block int64) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	reads := blockio.Reads{File: f, Block: block, Offsets: blockio.Sequential(info.Size(), block)}
	p.Cold(name)
	if err := p.TimeEach(reads.Run); err != nil { // measured
		return err
	}
	if p.Bytes() != info.Size() {
		return fmt.Errorf("read %d of %d bytes of %s", p.Bytes(), info.Size(), name)
	}
	reportAccesses(p, 1, block)
	p.Describe(func(s *record.Samples) { s.File = name })
	p.TimeWarm(reads.RunWarm, reads.Cached, reads.Touched())
	return nil
}

// readScattered reads 4 KiB from 5,000 places over all files, cold. As in
// Capsem's tool the first read of a file opens it, inside the timer.
func readScattered(p *guest.Pass, files []blockio.File) error {
	reads := &blockio.Scattered{Block: catalogue.RandBlock, Samples: blockio.Draw(guest.Seed(), files, catalogue.RootfsRandCount, catalogue.RandBlock)}
	paths := blockio.Distinct(reads.Samples)
	p.Cold(paths...)
	if err := p.TimeEach(reads.Run); err != nil { // measured
		return err
	}
	reportAccesses(p, int(p.Count()), catalogue.RandBlock)
	p.Describe(func(s *record.Samples) { s.Files = int64(len(paths)) })
	opens := record.LatencyOf(reads.Opens())
	p.Report("open-p50-ns", opens.P50)
	p.Report("open-p95-ns", opens.P95)
	if n := reads.Reopened(); n > 0 {
		p.Doubt("files were opened again %d times: the limit of open files (ulimit -n) is lower than the %d files that are read", n, len(paths))
	}
	if p.Failures(reads.Failures()); p.Failed() > 0 {
		p.Doubt("some files could not be read")
	}
	p.TimeWarm(reads.Run, reads.Cached, blockio.TouchedPages(reads.Samples, catalogue.RandBlock))
	return nil
}

// reportAccesses reports the times of single accesses of one block and the
// rates of all of them, which together are so many operations.
func reportAccesses(p *guest.Pass, operations int, block int64) {
	p.Describe(func(s *record.Samples) { s.Count, s.Block = int64(operations), block })
	seconds := p.Elapsed().Seconds()
	p.Report("ns/op", float64(p.Elapsed())/float64(operations))
	p.Report("B/s", float64(p.Bytes())/seconds)
	if operations > 1 {
		p.Report("iops", float64(operations)/seconds)
	}
	l := p.Latency()
	p.Report("p50-ns", l.P50)
	p.Report("p95-ns", l.P95)
	p.Report("p99-ns", l.P99)
	p.Report("max-ns", l.Max)
}
