package blockio

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// scattered are reads of two places in each of n files, file after file and
// then once more.
func scattered(t *testing.T, n int) *Scattered {
	t.Helper()
	dir := t.TempDir()
	s := &Scattered{Block: 4096}
	for i := range 2 * n {
		path := filepath.Join(dir, fmt.Sprint(i%n))
		if i < n {
			require.NoError(t, os.WriteFile(path, make([]byte, 2*4096), 0o600))
		}
		s.Samples = append(s.Samples, Sample{path, int64(i/n) * 4096})
	}
	return s
}

func TestScatteredOpensEachFileOnce(t *testing.T) {
	s := scattered(t, 10)
	before := openDescriptors(t)
	a, err := s.Run(t.Context())
	require.NoError(t, err)
	assert.Len(t, a.Times, 20)
	assert.EqualValues(t, 20*4096, a.Bytes)
	assert.Len(t, s.Opens(), 10, "the second access of a file has its descriptor")
	assert.Zero(t, s.Reopened())
	assert.Empty(t, s.Failures())
	var opens, all int64
	for _, ns := range s.Opens() {
		assert.Positive(t, ns)
		opens += ns
	}
	for _, ns := range a.Times {
		all += ns
	}
	assert.EqualValues(t, a.Elapsed, all)
	assert.Less(t, opens, all, "an open is part of its access")
	assert.Equal(t, before, openDescriptors(t), "all are closed")
}

func TestScatteredCountsWhatCannotBeRead(t *testing.T) {
	s := scattered(t, 3)
	require.NoError(t, os.Remove(s.Samples[1].Path))
	require.NoError(t, os.Truncate(s.Samples[2].Path, 4096))
	a, err := s.Run(t.Context())
	require.NoError(t, err)
	assert.Len(t, a.Times, 3)
	assert.Equal(t, map[string]int64{"no such file or directory": 2, "short read": 1}, s.Failures())

	s.Samples = s.Samples[1:2]
	_, err = s.Run(t.Context())
	assert.EqualError(t, err, "none of the files could be read")
}

// With too few descriptors the oldest file is closed and opened again.
func TestScatteredWithFewDescriptors(t *testing.T) {
	s := scattered(t, 10)
	files := &openFiles{limit: 4, fds: make(map[string]int), closed: make(map[string]bool)}
	defer files.close()
	buf := make([]byte, 4096)
	before := openDescriptors(t)
	for _, sample := range s.Samples {
		files.makeRoom(sample.Path)
		_, open, err := files.read(sample, buf)
		require.NoError(t, err)
		assert.Positive(t, open, "each was closed meanwhile")
		assert.LessOrEqual(t, openDescriptors(t), before+4)
	}
	assert.EqualValues(t, 10, files.reopened)
}

func TestOpenableFiles(t *testing.T) {
	assert.Equal(t, 5000, openable(5000, 65536))
	assert.Equal(t, 1024-otherFiles, openable(5000, 1024))
	assert.Equal(t, 1, openable(5000, 10))
	assert.Equal(t, 1, openable(5000, otherFiles))
}

// The limit is raised for the pass only.
func TestOpenFilesLimitIsRestored(t *testing.T) {
	var before, raised, after unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	many := int(before.Cur) + 1000
	more := unix.Rlimit{Cur: uint64(many) + otherFiles, Max: max(before.Max, uint64(many)+otherFiles)}
	mayRaise := setOpenFiles(more) == nil
	if mayRaise {
		require.NoError(t, setOpenFiles(before))
	}
	allowed, restore := raiseOpenFiles(many)
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &raised))
	assert.Equal(t, openable(many, raised.Cur), allowed)
	assert.Equal(t, mayRaise, allowed == many, "raised if this process may")
	restore()
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &after))
	assert.Equal(t, before, after)
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	return len(names)
}
