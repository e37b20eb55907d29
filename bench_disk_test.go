package capsembench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/dustin/go-humanize"
)

// BenchmarkDisk measures the scratch disk: the directory that agents work in.
func BenchmarkDisk(b *testing.B) {
	settings, dir, err := diskSettings()
	d := disk{size: int64(settings.SizeMB) << 20, dirErr: err}
	suite := guest.Begin(b, record.Category{Category: string(catalogue.Disk), Directory: dir, SizeMB: settings.SizeMB})
	passes := map[string]func(context.Context, string) (record.Samples, record.Status, error){
		"seq_write": d.seqWrite, "seq_read": d.seqRead, "rand_write_4k": d.randWrite, "rand_read_4k": d.randRead,
	}
	for _, op := range catalogue.Select(catalogue.Ops(settings), catalogue.Disk) {
		suite.Op(op, d.inWorkDir(passes[op.Key("op")]))
	}
}

func diskSettings() (catalogue.Settings, string, error) {
	settings, err := guest.Settings()
	if err != nil {
		return settings, "", err
	}
	dir, err := guest.Home()
	return settings, dir, err
}

type disk struct {
	size   int64 // of the sequential file
	dirErr error
}

// inWorkDir gives a pass a fresh file name in a directory with room.
func (d disk) inWorkDir(pass func(context.Context, string) (record.Samples, record.Status, error)) guest.Pass {
	return func(ctx context.Context) (s record.Samples, st record.Status, err error) {
		if d.dirErr != nil {
			return s, st, d.dirErr
		}
		dir, remove, err := guest.WorkDir()
		if err != nil {
			return s, st, err
		}
		defer func() {
			if rerr := remove(); err == nil {
				err = rerr
			}
		}()
		if err := checkRoom(dir, max(d.size, catalogue.DiskRandBytes)); err != nil {
			return s, st, err
		}
		return pass(ctx, filepath.Join(dir, "data"))
	}
}

// checkRoom refuses to fill a disk to its last block.
func checkRoom(dir string, need int64) error {
	const spare = 1 << 20 // metadata of one file
	room, err := guest.Room(dir)
	if err != nil {
		return err
	}
	if room < need+spare {
		return fmt.Errorf("%s has room for %s, the benchmark needs %s; set %s or %s", filepath.Dir(dir),
			humanize.IBytes(uint64(room)), humanize.IBytes(uint64(need+spare)), guest.EnvDir, guest.EnvSizeMB)
	}
	return nil
}

// seqWrite writes the file in 1 MiB blocks with one fdatasync at the end,
// which is inside the timer.
func (d disk) seqWrite(ctx context.Context, name string) (s record.Samples, st record.Status, err error) {
	f, err := os.Create(name)
	if err != nil {
		return s, st, err
	}
	defer f.Close()
	offsets := guest.Sequential(d.size, catalogue.SeqBlock)
	times := make([]int64, len(offsets))
	src := guest.NewSource(guest.Seed(), catalogue.SeqBlock)
	start := time.Now()
	elapsed, err := guest.WriteLoop(ctx, int(f.Fd()), src, offsets, times, nil)
	if err != nil {
		return s, st, err
	}
	_, flush, err := guest.Timed(func() error { return guest.Datasync(int(f.Fd())) })
	if err != nil {
		return s, st, fmt.Errorf("fdatasync: %w", err)
	}
	s = sequential(start, elapsed+flush, d.size, times)
	return s, st, guest.Allocated(f)
}

// seqRead reads a written file back, cold.
func (d disk) seqRead(ctx context.Context, name string) (s record.Samples, st record.Status, err error) {
	if err := writeFile(ctx, name, d.size, catalogue.SeqBlock); err != nil {
		return s, st, err
	}
	return readSequential(ctx, name)
}

// randWrite writes 4 KiB blocks at random, each followed by fdatasync.
func (d disk) randWrite(ctx context.Context, name string) (s record.Samples, st record.Status, err error) {
	if err := writeFile(ctx, name, catalogue.DiskRandBytes, catalogue.SeqBlock); err != nil {
		return s, st, err
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return s, st, err
	}
	defer f.Close()
	offsets := guest.Random(guest.Seed(), catalogue.DiskRandCount, catalogue.DiskRandBytes, catalogue.RandBlock)
	times := make([]int64, len(offsets))
	src := guest.NewSource(guest.Seed()+1, catalogue.RandBlock)
	start := time.Now()
	elapsed, err := guest.WriteLoop(ctx, int(f.Fd()), src, offsets, times, guest.Datasync)
	if err != nil {
		return s, st, err
	}
	return random(start, elapsed, int64(len(offsets))*catalogue.RandBlock, times), st, guest.Allocated(f)
}

// randRead reads 4 KiB blocks at random from a file that has real data.
func (d disk) randRead(ctx context.Context, name string) (s record.Samples, st record.Status, err error) {
	if err := writeFile(ctx, name, catalogue.DiskRandBytes, catalogue.SeqBlock); err != nil {
		return s, st, err
	}
	f, err := os.Open(name)
	if err != nil {
		return s, st, err
	}
	defer f.Close()
	offsets := guest.Random(guest.Seed(), catalogue.DiskRandCount, catalogue.DiskRandBytes, catalogue.RandBlock)
	times := make([]int64, len(offsets))
	buf := make([]byte, catalogue.RandBlock)
	if err := guest.AdviseRandom(int(f.Fd())); err != nil {
		return s, st, err
	}
	st = guest.Drop([]string{name})
	start := time.Now()
	read, elapsed, err := guest.ReadLoop(ctx, int(f.Fd()), buf, offsets, times)
	if err != nil {
		return s, st, err
	}
	s = random(start, elapsed, read, times)
	samples := make([]guest.Sample, len(offsets))
	for i, off := range offsets {
		samples[i] = guest.Sample{Path: name, Offset: off}
	}
	s.WarmNS = warm(ctx, f, catalogue.DiskRandBytes, guest.TouchedPages(samples, catalogue.RandBlock), elapsed, buf, offsets)
	return s, st, nil
}

// warm reads again what was read cold.
func warm(ctx context.Context, f *os.File, size, touched int64, cold time.Duration, buf []byte, offsets []int64) int64 {
	times := make([]int64, len(offsets))
	cached := func() (int64, bool) { return guest.CachedPages(f, size) }
	return int64(guest.Warm(ctx, cached, touched, cold, func() (time.Duration, error) {
		_, elapsed, err := guest.ReadLoop(ctx, int(f.Fd()), buf, offsets, times)
		return elapsed, err
	}))
}

// writeFile makes a file of incompressible data whose every block is on disk.
func writeFile(ctx context.Context, name string, size, block int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	offsets := guest.Sequential(size, block)
	src := guest.NewSource(guest.Seed(), int(block))
	if _, err := guest.WriteLoop(ctx, int(f.Fd()), src, offsets, make([]int64, len(offsets)), nil); err != nil {
		return fmt.Errorf("preparing %s: %w", name, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("preparing %s: %w", name, err)
	}
	return guest.Allocated(f)
}

// readSequential reads a whole file in 1 MiB blocks, cold.
func readSequential(ctx context.Context, name string) (s record.Samples, st record.Status, err error) {
	f, err := os.Open(name)
	if err != nil {
		return s, st, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return s, st, err
	}
	offsets := guest.Sequential(info.Size(), catalogue.SeqBlock)
	times := make([]int64, len(offsets))
	buf := make([]byte, catalogue.SeqBlock)
	st = guest.Drop([]string{name})
	start := time.Now()
	read, elapsed, err := guest.ReadLoop(ctx, int(f.Fd()), buf, offsets, times)
	if err == nil && read != info.Size() {
		err = fmt.Errorf("read %d of %d bytes of %s", read, info.Size(), name)
	}
	if err != nil {
		return s, st, err
	}
	s = sequential(start, elapsed, read, times)
	s.File = name
	whole := guest.TouchedPages([]guest.Sample{{Path: name}}, info.Size())
	s.WarmNS = warm(ctx, f, info.Size(), whole, elapsed, buf, offsets)
	return s, st, nil
}

// sequential are the values of one pass over a file: one operation.
func sequential(start time.Time, elapsed time.Duration, bytes int64, blocks []int64) record.Samples {
	s := accesses(start, elapsed, bytes, blocks)
	s.Count, s.Block = 1, catalogue.SeqBlock
	s.Metrics["ns/op"] = float64(elapsed)
	return s
}

// random are the values of many 4 KiB accesses, each an operation.
func random(start time.Time, elapsed time.Duration, bytes int64, times []int64) record.Samples {
	n := float64(len(times))
	s := accesses(start, elapsed, bytes, times)
	s.Count, s.Block = int64(len(times)), catalogue.RandBlock
	s.Metrics["ns/op"] = float64(elapsed) / n
	s.Metrics["iops"] = n / elapsed.Seconds()
	return s
}

func accesses(start time.Time, elapsed time.Duration, bytes int64, times []int64) record.Samples {
	l := guest.Summarize(times)
	return record.Samples{
		StartNS: start.UnixNano(), ElapsedNS: int64(elapsed), Bytes: bytes, Latency: l,
		Metrics: map[string]float64{
			"B/s": float64(bytes) / elapsed.Seconds(), "p50-ns": l.P50, "p95-ns": l.P95, "p99-ns": l.P99, "max-ns": l.Max,
		},
	}
}
