package qemu

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPrune(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir()) // where there is no XDG
	none, err := CachedImages()
	require.NoError(t, err)
	assert.Empty(t, none)

	o := BuildOptions{Profile: Minimal, Arch: AMD64}
	current, err := o.ImageDir()
	require.NoError(t, err)
	base := filepath.Dir(current)
	long := time.Now().Add(-unusedFor - time.Hour)
	for name, used := range map[string]time.Time{
		filepath.Base(current): long, "minimal-amd64-old": long, "minimal-amd64-new": time.Now(),
		".building-minimal-amd64-1": long,
	} {
		dir := filepath.Join(base, name)
		write(t, filepath.Join(dir, rootfsFile), "12345", 0o644)
		require.NoError(t, os.Chtimes(dir, used, used))
	}
	images, err := CachedImages()
	require.NoError(t, err)
	require.Len(t, images, 3)
	for _, c := range images {
		assert.EqualValues(t, 5, c.Size)
		assert.Equal(t, c.Dir == current, c.Current)
	}
	o.pruneUnused()
	assert.NoDirExists(t, filepath.Join(base, "minimal-amd64-old"))
	assert.DirExists(t, filepath.Join(base, "minimal-amd64-new"), "used lately")
	assert.DirExists(t, current, "this version's")
	assert.DirExists(t, filepath.Join(base, ".building-minimal-amd64-1"), "under way, for all we know")
}

// An image that is being built is not removed.
func TestPruneLeavesWhatIsBuilt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.Mkdir(dir, 0o755))
	unlock, err := BuildOptions{}.lock(t.Context(), dir+".lock")
	require.NoError(t, err)
	assert.ErrorContains(t, Cached{Dir: dir}.Remove(), "being built")
	assert.DirExists(t, dir)
	unlock()
	require.NoError(t, Cached{Dir: dir}.Remove())
	assert.NoDirExists(t, dir)
}

// A build that was killed leaves nothing once its image is built again.
func TestSweepBuilds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "minimal-amd64-1")
	for _, name := range []string{".building-minimal-amd64-1-77", ".building-minimal-amd64-12-1", "minimal-amd64-1.old", "minimal-amd64-1"} {
		require.NoError(t, os.Mkdir(filepath.Join(filepath.Dir(dir), name), 0o755))
	}
	sweepBuilds(dir)
	assert.NoDirExists(t, filepath.Join(filepath.Dir(dir), ".building-minimal-amd64-1-77"))
	assert.NoDirExists(t, dir+".old")
	assert.DirExists(t, filepath.Join(filepath.Dir(dir), ".building-minimal-amd64-12-1"))
	assert.DirExists(t, dir)
}
