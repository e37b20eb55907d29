package qemu

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func testImage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{rootfsFile, kernelFile, modulesFile} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("contents of "+name), 0o644))
	}
	m := Manifest{Profile: "minimal", Arch: AMD64}
	require.NoError(t, m.Seal(dir))
	return dir
}

func TestImage(t *testing.T) {
	image, err := OpenImage(testImage(t))
	require.NoError(t, err)
	require.NoError(t, image.Verify())
}

func TestImageTruncated(t *testing.T) {
	dir := testImage(t)
	require.NoError(t, os.Truncate(filepath.Join(dir, rootfsFile), 3))
	_, err := OpenImage(dir)
	assert.ErrorIs(t, err, ErrNoImage)
	assert.ErrorContains(t, err, "has 3 bytes")
}

func TestImageOfTheWrongDigest(t *testing.T) {
	for _, name := range []string{rootfsFile, kernelFile, modulesFile} {
		dir := testImage(t)
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		text[0] ^= 1
		require.NoError(t, os.WriteFile(path, text, 0o644))
		image, err := OpenImage(dir)
		require.NoError(t, err)
		err = image.Verify()
		assert.ErrorIs(t, err, ErrNoImage)
		assert.ErrorContains(t, err, name)
	}
}

func TestNoImage(t *testing.T) {
	_, err := OpenImage(t.TempDir())
	assert.ErrorIs(t, err, ErrNoImage)
	assert.ErrorContains(t, err, "vm build")
}

// What is written is what cpio(1) reads, where it is installed, and what the
// kernel does is the same.
func TestCpio(t *testing.T) {
	var buf bytes.Buffer
	c := newCpio(&buf)
	c.file("/a/b/file", 0o640, []byte("hello"))
	c.file("a/b/empty", 0o755, nil)
	require.NoError(t, c.close())
	assert.Zero(t, buf.Len()%4)
	assert.True(t, strings.HasPrefix(buf.String(), "070701"))
	assert.Equal(t, 1, strings.Count(buf.String(), "a/b\x00"), "a directory comes once")
	path, err := exec.LookPath("cpio")
	if err != nil {
		return // the boot tests read it with the kernel
	}
	cmd := exec.Command(path, "-it", "--quiet")
	cmd.Stdin = &buf
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Equal(t, "a\na/b\na/b/file\na/b/empty\n", string(out))
}

func TestParseStatus(t *testing.T) {
	got, err := parseStatus(strings.NewReader("Package: b\nStatus: x\nVersion: 2\nDescription: d\n Version: 9\n\nPackage: a\nVersion: 1:1-1\n"))
	require.NoError(t, err)
	assert.Equal(t, []Package{{"a", "1:1-1", "debian"}, {"b", "2", "debian"}}, got)
}
