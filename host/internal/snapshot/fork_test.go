package snapshot

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A fork is the workspace as it is, with modes and links, and neither side sees
// what the other one does later. The store has no snapshot more.
func TestFork(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write("dir/file", "kept")
	f.write("data", string(make([]byte, 100_000)))
	require.NoError(t, os.Chmod(filepath.Join(f.dir, "dir/file"), 0o751))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(f.dir, "link")))
	require.NoError(t, unix.Mkfifo(filepath.Join(f.dir, "pipe"), 0o600))
	to := t.TempDir()
	bytes, left, err := f.Fork(t.Context(), to)
	require.NoError(t, err)
	assert.Zero(t, left.Count, "a pipe is no file to miss")
	assert.GreaterOrEqual(t, bytes, int64(100_000))
	f.write("dir/file", "changed")

	text, err := os.ReadFile(filepath.Join(to, "dir/file"))
	require.NoError(t, err)
	assert.Equal(t, "kept", string(text))
	info, err := os.Stat(filepath.Join(to, "dir/file"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o751), info.Mode())
	target, err := os.Readlink(filepath.Join(to, "link"))
	require.NoError(t, err)
	assert.Equal(t, "/etc/passwd", target)
	assert.NoFileExists(t, filepath.Join(to, "pipe"))
	list, err := f.List(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list.Snapshots)
}
