package remote_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tree makes files of all kinds and returns what a copy of them must look like.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	big := make([]byte, 3<<20+17)
	_, _ = rand.Read(big)
	for _, d := range []string{"sub/deep", "empty", "locked"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	for _, f := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{
		{"big", big, 0o644},
		{"sub/run.sh", []byte("#!/bin/sh\n"), 0o755},
		{"sub/deep/none", nil, 0o600},
		{"-dash", []byte("d"), 0o644},
		{"sp ace\n'\"ü", []byte("s"), 0o444},
		{"locked/file", []byte("l"), 0o644},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, f.name), f.data, f.mode))
		require.NoError(t, os.Chmod(filepath.Join(dir, f.name), f.mode))
	}
	require.NoError(t, os.Symlink("big", filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink("../../big", filepath.Join(dir, "sub/deep/up")))
	require.NoError(t, os.Chmod(filepath.Join(dir, "locked"), 0o555))
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "locked"), 0o755) })
	return look(t, dir)
}

// look describes what is in a directory.
func look(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		rel, err := filepath.Rel(dir, path)
		require.NoError(t, err)
		content := info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			require.NoError(t, err)
			content = "-> " + target
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			content += " " + string(data)
			if len(data) > 100 {
				content = fmt.Sprintf("%s %x", info.Mode(), sha256.Sum256(data))
			}
		}
		if rel != "." {
			found[rel] = content
		}
		return nil
	}))
	return found
}

// usualUmask is what the modes in a test, which is not parallel, are those of.
func usualUmask(t *testing.T) {
	t.Helper()
	old := syscall.Umask(0o022)
	t.Cleanup(func() { syscall.Umask(old) })
}

func TestCopyTree(t *testing.T) {
	usualUmask(t)
	g := newGuest(t, "unix")
	c := g.connect(t)
	src := filepath.Join(t.TempDir(), "tree")
	want := tree(t, src)

	// Into a directory that exists, and to a new name.
	got, err := c.Upload(t.Context(), src, g.dir)
	require.NoError(t, err)
	assert.Equal(t, want, look(t, filepath.Join(g.dir, "tree")))
	assert.Equal(t, 6, got.Files)
	assert.Empty(t, got.Warnings)
	_, err = c.Upload(t.Context(), src, filepath.Join(g.dir, "renamed"))
	require.NoError(t, err)
	assert.Equal(t, want, look(t, filepath.Join(g.dir, "renamed")))

	back := t.TempDir()
	got, err = c.Download(t.Context(), filepath.Join(g.dir, "tree"), back)
	require.NoError(t, err)
	assert.Equal(t, want, look(t, filepath.Join(back, "tree")))
	assert.Equal(t, 6, got.Files)
	assert.Empty(t, got.Warnings)
	_, err = c.Download(t.Context(), filepath.Join(g.dir, "tree"), filepath.Join(back, "other"))
	require.NoError(t, err)
	assert.Equal(t, want, look(t, filepath.Join(back, "other")))
	for _, dir := range []string{filepath.Join(g.dir, "tree"), filepath.Join(g.dir, "renamed"), filepath.Join(back, "tree"), filepath.Join(back, "other")} {
		_ = os.Chmod(filepath.Join(dir, "locked"), 0o755)
	}
}

func TestCopyFile(t *testing.T) {
	usualUmask(t)
	g := newGuest(t, "unix")
	c := g.connect(t)
	src := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(src, []byte("one"), 0o751))
	require.NoError(t, os.Chmod(src, 0o751))
	there := filepath.Join(g.dir, "there")
	for range 2 { // the second time it is replaced
		_, err := c.Upload(t.Context(), src, there)
		require.NoError(t, err)
	}
	assert.Equal(t, map[string]string{"there": "-rwxr-x--x one"}, look(t, g.dir))

	dst := t.TempDir()
	for range 2 {
		_, err := c.Download(t.Context(), there, dst)
		require.NoError(t, err)
	}
	assert.Equal(t, map[string]string{"there": "-rwxr-x--x one"}, look(t, dst))

	_, err := c.Download(t.Context(), filepath.Join(g.dir, "missing"), dst)
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = c.Upload(t.Context(), filepath.Join(dst, "missing"), there)
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = c.Download(t.Context(), filepath.Join(g.dir, "there"), filepath.Join(dst, "no", "such"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = c.Upload(t.Context(), src, filepath.Join(g.dir, "no/such"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = c.Download(t.Context(), "/", dst)
	assert.ErrorContains(t, err, "has no name of its own")
	assert.Len(t, look(t, dst), 1)
	assert.Len(t, look(t, g.dir), 1)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Download(ctx, filepath.Join(g.dir, "there"), filepath.Join(dst, "late"))
	assert.ErrorIs(t, err, context.Canceled)
}

// What must not be copied is left out and named.
func TestDownloadLeavesOut(t *testing.T) {
	g := newGuest(t, "unix")
	c := g.connect(t)
	src := filepath.Join(g.dir, "src")
	require.NoError(t, os.MkdirAll(filepath.Join(src, "sub"), 0o755))
	for name, target := range map[string]string{
		"absolute": "/etc/passwd", "out": "../x", "sub/out": "../../x", "sub/zigzag": "../sub/../../x", "self": ".", "fine": "sub/./a", "sub/fine": "../b",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(src, name)))
	}
	require.NoError(t, syscall.Mkfifo(filepath.Join(src, "fifo"), 0o644))
	dst := t.TempDir()
	got, err := c.Download(t.Context(), filepath.Join(g.dir, "src"), dst)
	require.NoError(t, err)
	assert.Len(t, got.Warnings, 5)
	assert.Equal(t, map[string]string{
		"src": "drwxr-xr-x", "src/sub": "drwxr-xr-x", "src/self": "-> .", "src/fine": "-> sub/./a", "src/sub/fine": "-> ../b",
	}, look(t, dst))
}

// A link that is already at the destination does not lead the copy away.
func TestDownloadDoesNotFollowLinks(t *testing.T) {
	g := newGuest(t, "unix")
	c := g.connect(t)
	require.NoError(t, os.MkdirAll(filepath.Join(g.dir, "src", "d"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(g.dir, "src", "d", "f"), []byte("guest"), 0o644))
	dst, outside := t.TempDir(), t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dst, "src"), 0o755))
	require.NoError(t, os.Symlink(outside, filepath.Join(dst, "src", "d")))
	_, err := c.Download(t.Context(), filepath.Join(g.dir, "src"), dst)
	assert.ErrorContains(t, err, "is no directory")
	assert.Empty(t, look(t, outside))

	require.NoError(t, os.Remove(filepath.Join(dst, "src", "d")))
	require.NoError(t, os.Mkdir(filepath.Join(dst, "src", "d"), 0o755))
	precious := filepath.Join(outside, "precious")
	require.NoError(t, os.WriteFile(precious, []byte("mine"), 0o644))
	require.NoError(t, os.Symlink(precious, filepath.Join(dst, "src", "d", "f")))
	_, err = c.Download(t.Context(), filepath.Join(g.dir, "src"), dst)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"precious": "-rw-r--r-- mine"}, look(t, outside))
	assert.Equal(t, "-rw-r--r-- guest", look(t, dst)["src/d/f"])
}
