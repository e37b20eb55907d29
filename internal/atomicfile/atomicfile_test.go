package atomicfile

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	require.NoError(t, Write(name, []byte("old")))
	require.NoError(t, Write(name, []byte("new")))
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, "new", string(data))
}

// A link stays a link.
func TestWriteThroughLink(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "f"), filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("f", link))
	require.NoError(t, Write(name, []byte("old")))
	require.NoError(t, Write(link, []byte("new")))
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, "new", string(data))
	target, err := os.Readlink(link)
	require.NoError(t, err)
	assert.Equal(t, "f", target)
}

// What fails leaves the file as it was, nothing beside it, and an error that
// names the file and not the temporary one.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	require.EqualError(t, Write(filepath.Join(dir, "no", "f"), nil), "writing "+filepath.Join(dir, "no", "f")+": no such file or directory")
	full := filepath.Join(dir, "taken")
	require.NoError(t, os.MkdirAll(filepath.Join(full, "x"), 0o755))
	require.ErrorContains(t, Write(full, []byte("x")), "writing "+full+": ")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

// Trying leaves nothing, and its error names the directory alone.
func TestTry(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Try(dir))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
	assert.EqualError(t, Try(filepath.Join(dir, "none")), filepath.Join(dir, "none")+": no such file or directory")
}

// A kill in the middle of a write leaves nothing: the file has no name until it
// is whole.
func TestNothingBesideUnderWay(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // there it has a temporary name
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	for _, content := range []string{"new", "replaced"} {
		before, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.NoError(t, WriteFrom(name, func(w io.Writer) error {
			now, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Len(t, now, len(before))
			_, err = io.WriteString(w, content)
			return err
		}))
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, content, string(text))
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o644), info.Mode())
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Len(t, entries, 1)
	}
}
