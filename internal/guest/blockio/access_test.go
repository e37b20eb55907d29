package blockio

import (
	"bytes"
	"compress/flate"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func writeBlocks(t testing.TB, path string, n, block int) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	offsets := Sequential(int64(n*block), int64(block))
	_, err = WriteLoop(t.Context(), int(f.Fd()), NewSource(1, block), offsets, make([]int64, n), nil)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
}

func TestLoops(t *testing.T) {
	const n, block = 64, 4096
	path := filepath.Join(t.TempDir(), "data")
	writeBlocks(t, path, n, block)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, Allocated(f))

	offsets, times := Random(7, n, n*block, block), make([]int64, n)
	read, elapsed, err := ReadLoop(t.Context(), int(f.Fd()), make([]byte, block), offsets, times)
	require.NoError(t, err)
	assert.EqualValues(t, n*block, read)
	var sum int64
	for _, ns := range times {
		assert.Positive(t, ns)
		sum += ns
	}
	assert.EqualValues(t, elapsed, sum, "the single times add up")

	syncs := 0
	_, err = WriteLoop(t.Context(), int(f.Fd()), NewSource(1, block), offsets, times, func(int) error { syncs++; return nil })
	require.NoError(t, err)
	assert.Equal(t, n, syncs)
}

func TestLoopErrors(t *testing.T) {
	const block = 4096
	path := filepath.Join(t.TempDir(), "data")
	writeBlocks(t, path, 2, block)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	times := make([]int64, 3)
	buf := make([]byte, block)

	_, _, err = ReadLoop(t.Context(), int(f.Fd()), buf, []int64{0, 2 * block, 0}, times)
	assert.ErrorContains(t, err, "reading at 8192: got 0 of 4096 bytes")
	read, _, err := ReadLoop(t.Context(), int(f.Fd()), buf, []int64{0, 2*block - 100}, times)
	assert.NoError(t, err, "the last block of a file may be short")
	assert.EqualValues(t, block+100, read)
	_, _, err = ReadLoop(t.Context(), -1, buf, []int64{0}, times)
	assert.ErrorIs(t, err, unix.EBADF)
	_, err = WriteLoop(t.Context(), int(f.Fd()), NewSource(1, block), []int64{0}, times, nil)
	assert.ErrorIs(t, err, unix.EBADF, "opened for reading only")

	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = ReadLoop(over, int(f.Fd()), buf, []int64{0, 0}, times)
	assert.ErrorIs(t, err, context.Canceled)
	_, err = WriteLoop(over, int(f.Fd()), NewSource(1, block), []int64{0}, times, nil)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestReadLoopDoesNotAllocate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	writeBlocks(t, path, 16, 4096)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	offsets, times, buf := Sequential(16*4096, 4096), make([]int64, 16), make([]byte, 4096)
	assert.Zero(t, testing.AllocsPerRun(10, func() { _, _, _ = ReadLoop(t.Context(), int(f.Fd()), buf, offsets, times) }))
}

func TestSparseFileIsInvalid(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "sparse"))
	require.NoError(t, err)
	defer f.Close()
	_, err = f.Write(make([]byte, 4096))
	require.NoError(t, err)
	require.NoError(t, f.Truncate(1<<20))
	require.NoError(t, f.Sync())
	err = Allocated(f)
	require.Error(t, err)
	assert.Regexp(t, `^invalid: file of 1048576 bytes has \d+ allocated`, err.Error())
}

func TestSourceIsIncompressibleAndNeverRepeats(t *testing.T) {
	src := NewSource(1, 64<<10)
	seen := make(map[string]bool)
	var packed bytes.Buffer
	for range 16 {
		block := src.Next()
		for sector := range slices.Chunk(block, 512) {
			assert.False(t, seen[string(sector)], "a sector came twice")
			seen[string(sector)] = true
		}
		packed.Reset()
		w, err := flate.NewWriter(&packed, flate.BestCompression)
		require.NoError(t, err)
		_, err = w.Write(block)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		assert.GreaterOrEqual(t, packed.Len(), len(block))
	}
	assert.Equal(t, NewSource(5, 512).Next(), NewSource(5, 512).Next())
	assert.NotEqual(t, NewSource(5, 512).Next(), NewSource(6, 512).Next())
}

func TestRandomOffsets(t *testing.T) {
	a := Random(1, 1000, 2000*4096, 4096)
	assert.Equal(t, a, Random(1, 1000, 2000*4096, 4096))
	assert.NotEqual(t, a, Random(2, 1000, 2000*4096, 4096))
	assert.False(t, slices.IsSorted(a))
	sorted := slices.Sorted(slices.Values(a))
	assert.Len(t, slices.Compact(sorted), 1000, "no block twice")
	for _, off := range a {
		assert.Zero(t, off%4096)
		assert.Less(t, off, int64(2000*4096))
	}
	assert.Len(t, Random(1, 10, 4*4096, 4096), 10)
	assert.Equal(t, []int64{0, 4, 8}, Sequential(9, 4))
}

func TestReadOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	writeBlocks(t, path, 2, 4096)
	buf := make([]byte, 4096)
	d, err := ReadOnce(path, buf, 4096)
	require.NoError(t, err)
	assert.Positive(t, d)
	_, err = ReadOnce(path, buf, 2*4096)
	assert.Equal(t, "short read", Reason(err))
	_, err = ReadOnce(path+"x", buf, 0)
	assert.Equal(t, "no such file or directory", Reason(err))
}

// BenchmarkReadLoop is the cost of one cached access with its time kept.
func BenchmarkReadLoop(b *testing.B) {
	path := filepath.Join(b.TempDir(), "data")
	writeBlocks(b, path, 16384, 4096)
	f, err := os.Open(path)
	require.NoError(b, err)
	defer f.Close()
	offsets, times, buf := Random(1, 10000, 64<<20, 4096), make([]int64, 10000), make([]byte, 4096)
	n := 0
	for b.Loop() {
		_, _, err := ReadLoop(b.Context(), int(f.Fd()), buf, offsets, times)
		require.NoError(b, err)
		n += len(offsets)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "iops")
}

// A warm reading repeats a quarter of many accesses and says how long all take.
func TestRunWarm(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(name, make([]byte, 400*4096), 0o600))
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	for n, want := range map[int]int{1: 1, 32: 32, 33: 8, 400: 100} {
		r := Reads{File: f, Block: 4096, Offsets: Sequential(int64(n)*4096, 4096)}
		a, err := r.RunWarm(t.Context())
		require.NoError(t, err)
		assert.Len(t, a.Times, want)
		var sum int64
		for _, ns := range a.Times {
			sum += ns
		}
		assert.InDelta(t, float64(sum)*float64(n)/float64(want), float64(a.Elapsed), 1)
		assert.Len(t, r.Offsets, n, "the reads themselves stay")
	}
}
