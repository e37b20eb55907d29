package remote_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/diskroom"
)

// Guest to host: a file without an end, and as many files as one likes, do not
// fill the host's disk. What was whole before stays.
func TestDownloadDoesNotFillTheDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	const size = 32 << 20
	dst := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", dst).CombinedOutput()
	if err != nil {
		t.Skipf("no tmpfs can be mounted here: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", dst).Run() })
	g := newGuest(t, "unix")
	c := g.connect(t)
	src := filepath.Join(g.dir, "src")
	require.NoError(t, os.MkdirAll(src, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(src, "a"), []byte("whole"), 0o644))
	_, err = c.Download(t.Context(), src, dst)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(src, "b"), nil, 0o644))
	require.NoError(t, os.Truncate(filepath.Join(src, "b"), 1<<40))

	_, err = c.Download(t.Context(), src, dst)
	require.ErrorIs(t, err, diskroom.ErrNone)
	text, err := os.ReadFile(filepath.Join(dst, "src", "a"))
	require.NoError(t, err)
	assert.Equal(t, "whole", string(text))
	left, err := os.ReadDir(filepath.Join(dst, "src"))
	require.NoError(t, err)
	assert.Len(t, left, 1, "half a file is left")

	// Files of 256 KiB, of which the disk has no room for all.
	require.NoError(t, os.Remove(filepath.Join(src, "b")))
	for i := range 2 * size / (256 << 10) {
		require.NoError(t, os.WriteFile(filepath.Join(src, strings.Repeat("c", 1+i%100)+string(rune('A'+i/100))), make([]byte, 256<<10), 0o644))
	}
	_, err = c.Download(t.Context(), src, dst)
	require.ErrorIs(t, err, diskroom.ErrNone)
	free, _, err := diskroom.On(dst)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, free, diskroom.Kept(size)-1<<20, "pages of names are not counted")
}
