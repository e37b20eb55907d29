package coldcache

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
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
	writePages(t, path)
	return path, !onTmpfs(t, path)
}

// writePages makes a file of 64 pages and has them written.
func writePages(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	data := make([]byte, 64*4096)
	_, _ = rand.Read(data)
	_, err = f.Write(data)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
}

func onTmpfs(t *testing.T, path string) bool {
	t.Helper()
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(path, &st))
	return st.Type == unix.TMPFS_MAGIC
}

func TestDropIsProven(t *testing.T) {
	path, disk := onDisk(t)
	want := record.CacheCold
	if !disk {
		want = record.CacheWarm
	}
	st := Drop([]string{path, path + "none"}, Reach{})
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

// Of many files a part is looked at, spread over all of them.
func TestSomeOfManyFiles(t *testing.T) {
	var files []string
	for i := range 10 * maxProved {
		files = append(files, strconv.Itoa(i))
	}
	got := some(files)
	require.Len(t, got, maxProved)
	for i, name := range got {
		assert.Equal(t, strconv.Itoa(10*i), name)
	}
	assert.Equal(t, files[:maxProved], some(files[:maxProved]))
	assert.Len(t, some(files[:maxProved+1]), maxProved)
	assert.Empty(t, some(nil))
}

func TestMappedPagesAreHonestlyWarm(t *testing.T) {
	path, _ := onDisk(t)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, 64*4096, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(mem)) }()
	assert.Equal(t, record.CacheWarm, Drop([]string{path}, Reach{}).Cache)
}

// A few pages that stay are counted and do not make a file warm.
func TestFewPagesAreNotWarm(t *testing.T) {
	path, disk := onDisk(t)
	if !disk {
		t.Skip("files in memory are always cached")
	}
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	for _, tt := range []struct {
		pages int
		want  string
	}{{3, record.CacheCold}, {12, record.CacheWarm}} {
		advise(nil, []string{path})
		mem, err := unix.Mmap(int(f.Fd()), 0, tt.pages*4096, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
		require.NoError(t, err)
		st := Drop([]string{path}, Reach{})
		require.NoError(t, unix.Munmap(mem))
		assert.EqualValues(t, tt.pages, st.Resident)
		assert.Equal(t, tt.want, st.Cache, "%d of 64 pages", tt.pages)
	}
}

func TestNothingToProveIsUnverified(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	assert.Equal(t, record.CacheUnverified, prove(nil, []string{empty}, "").Cache)
	assert.Equal(t, record.CacheUnverified, Drop(nil, Reach{}).Cache)
}

func TestPartIsUnverifiedWithoutRoot(t *testing.T) {
	path, disk := onDisk(t)
	for _, filesOnly := range []bool{true, false} {
		st := DropPart([]string{path}, Reach{FilesOnly: filesOnly})
		if disk && st.Dropped == droppedFiles {
			assert.Equal(t, record.CacheUnverified, st.Cache)
		} else if disk {
			assert.Equal(t, record.CacheCold, st.Cache)
			assert.False(t, filesOnly)
		}
	}
}

// On a machine that others use too, root drops what is measured and no more:
// another file stays in the page cache.
func TestFilesOnlySparesOthers(t *testing.T) {
	path, disk := onDisk(t)
	other, _ := onDisk(t)
	if !disk {
		t.Skip("files in memory are always cached")
	}
	require.NoError(t, os.WriteFile(path, make([]byte, 64*4096), 0o600)) // pages that have to be written first
	_, err := os.ReadFile(other)
	require.NoError(t, err)
	f, err := os.Open(other)
	require.NoError(t, err)
	defer f.Close()
	st := Drop([]string{path}, Reach{FilesOnly: true})
	assert.Equal(t, []string{record.CacheCold, droppedFiles}, []string{st.Cache, st.Dropped})
	if n, known := CachedPages(f, 64*4096); known {
		assert.Positive(t, n)
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
	writePages(t, filepath.Join(lower, "data"))
	if err := unix.Mount("overlay", merged, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work); err != nil {
		t.Skipf("mounting an overlay needs root: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(merged, 0)) })
	path := filepath.Join(merged, "data")
	_, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, record.CacheWarm, prove(nil, []string{path}, "").Cache)
	if !onTmpfs(t, lower) {
		assert.Equal(t, record.CacheCold, Drop([]string{path}, Reach{}).Cache)
	}
}
