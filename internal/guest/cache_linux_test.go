package guest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// onDisk makes a file of 64 pages; ok is false where files are nothing but
// page cache.
func onDisk(t *testing.T) (path string, ok bool) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "data")
	writeBlocks(t, path, 64, 4096)
	fs := filesystem(path)
	return path, fs != "tmpfs"
}

func TestDropIsProven(t *testing.T) {
	path, disk := onDisk(t)
	want := record.CacheCold
	if !disk {
		want = record.CacheWarm
	}
	st := Drop([]string{path, path + "none"})
	assert.Equal(t, want, st.Cache)
	assert.Positive(t, st.Pages)
	assert.Contains(t, []string{droppedAll, droppedFiles}, st.Dropped)

	_, err := os.ReadFile(path)
	require.NoError(t, err)
	st = prove(nil, []string{path}, "")
	assert.Equal(t, record.CacheWarm, st.Cache)
	assert.Equal(t, st.Pages, st.Resident)
	advise(nil, []string{path})
	assert.Equal(t, want, prove(nil, []string{path}, "").Cache)
}

func TestMappedPagesAreHonestlyWarm(t *testing.T) {
	path, _ := onDisk(t)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, 64*4096, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(mem)) }()
	assert.Equal(t, record.CacheWarm, Drop([]string{path}).Cache)
}

func TestNothingToProveIsUnverified(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	assert.Equal(t, record.CacheUnverified, prove(nil, []string{empty}, "").Cache)
	assert.Equal(t, record.CacheUnverified, Drop(nil).Cache)
}

func TestWrapperIsUnverifiedWithoutRoot(t *testing.T) {
	path, disk := onDisk(t)
	st := DropProgram(Program{Files: []string{path}, Wrapper: true})
	if disk && st.Dropped == droppedFiles {
		assert.Equal(t, record.CacheUnverified, st.Cache)
	} else if disk {
		assert.Equal(t, record.CacheCold, st.Cache)
	}
}

// Both ways of counting see the same pages.
func TestMincoreCountsAsCachestat(t *testing.T) {
	path, _ := onDisk(t)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	advise(nil, []string{path})
	_, err = f.ReadAt(make([]byte, 4096), 0)
	require.NoError(t, err)
	require.True(t, maySee(f))
	a, err := resident(f, 64*4096)
	require.NoError(t, err)
	b, err := mincore(f, 64*4096)
	require.NoError(t, err)
	assert.Equal(t, a, b)
	assert.Positive(t, a)
}

// On overlayfs, where a container and a Capsem guest have their rootfs,
// cachestat sees no page of any file.
func TestResidentOnOverlayfs(t *testing.T) {
	lower, upper, work, merged := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	writeBlocks(t, filepath.Join(lower, "data"), 64, 4096)
	if err := unix.Mount("overlay", merged, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work); err != nil {
		t.Skipf("mounting an overlay needs root: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(merged, 0)) })
	path := filepath.Join(merged, "data")
	_, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, record.CacheWarm, prove(nil, []string{path}, "").Cache)
	if filesystem(lower) != "tmpfs" {
		assert.Equal(t, record.CacheCold, Drop([]string{path}).Cache)
	}
}
