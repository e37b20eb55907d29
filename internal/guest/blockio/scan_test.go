package blockio

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScan(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"b/large": 9000, "a/small": 4095, "a/least": 4096, "z": 5000} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, make([]byte, size), 0o644))
	}
	require.NoError(t, os.Symlink(filepath.Join(dir, "z"), filepath.Join(dir, "a", "link")))
	require.NoError(t, os.Symlink(dir, filepath.Join(dir, "b", "loop")))
	require.NoError(t, os.Link(filepath.Join(dir, "z"), filepath.Join(dir, "zz")))
	link := filepath.Join(t.TempDir(), "scan")
	require.NoError(t, os.Symlink(dir, link))

	files, unreadable := Scan(t.Context(), []string{link, filepath.Join(dir, "a"), filepath.Join(dir, "none")}, 4096)
	assert.Equal(t, []File{
		{filepath.Join(dir, "a/least"), 4096}, {filepath.Join(dir, "b/large"), 9000}, {filepath.Join(dir, "z"), 5000},
	}, files, "links are not followed, each inode comes once, a scan directory may be a link")
	assert.Zero(t, unreadable)
	largest, ok := Largest(files)
	assert.True(t, ok)
	assert.Equal(t, filepath.Join(dir, "b/large"), largest.Path)

	require.NoError(t, os.Remove(largest.Path))
	largest, _ = Largest(files)
	assert.Equal(t, filepath.Join(dir, "z"), largest.Path, "the largest that can be read")
	_, ok = Largest(nil)
	assert.False(t, ok)

	over, cancel := context.WithCancel(t.Context())
	cancel()
	files, _ = Scan(over, []string{dir}, 0)
	assert.Empty(t, files)
}

func TestDraw(t *testing.T) {
	files := []File{{"a", 4096}, {"b", 10 * 4096}, {"c", 5000}}
	samples := Draw(1, files, 1000, 4096)
	assert.Equal(t, samples, Draw(1, files, 1000, 4096))
	assert.NotEqual(t, samples, Draw(2, files, 1000, 4096))
	sizes := map[string]int64{"a": 4096, "b": 10 * 4096, "c": 5000}
	for _, s := range samples {
		assert.Zero(t, s.Offset%4096)
		assert.LessOrEqual(t, s.Offset+4096, sizes[s.Path], "within the file")
	}
	assert.Equal(t, []string{"a", "b", "c"}, Distinct(samples))
}

func TestTouchedPages(t *testing.T) {
	page := int64(os.Getpagesize())
	assert.Equal(t, int64(3), TouchedPages([]Sample{{"a", 0}, {"a", 0}, {"a", page}, {"b", 0}}, page))
	assert.Equal(t, int64(2), TouchedPages([]Sample{{"a", page / 2}}, page))
	assert.Zero(t, TouchedPages(nil, page))
}

// A last block that is short fills only the pages that the file has.
func TestReadsTouchedOfAShortLastBlock(t *testing.T) {
	page := int64(os.Getpagesize())
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Truncate(9*page+1))
	reads := Reads{File: f, Block: 8 * page, Offsets: Sequential(9*page+1, 8*page)}
	assert.Equal(t, int64(10), reads.Touched())
}
