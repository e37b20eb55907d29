package qemu

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Local user to another: names of machines are in the user's own runtime
// directory where there is one, and in no other's.
func TestMachinesDir(t *testing.T) {
	tmp, err := os.MkdirTemp("/tmp", "capsem-test-") // a short path, for sockets
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	t.Setenv("TMPDIR", tmp)
	own := filepath.Join(tmp, "run")
	require.NoError(t, os.Mkdir(own, 0o700))
	t.Setenv("XDG_RUNTIME_DIR", own)
	assert.Equal(t, own, machines())
	name, dir, err := namedDir("dev")
	require.NoError(t, err)
	assert.Equal(t, "dev", name)
	assert.Equal(t, filepath.Join(own, dirPrefix+"dev"), dir.Path())
	require.NoError(t, dir.Close())

	for _, other := range []string{"", "relative", filepath.Join(tmp, "none"), "/dev/null"} {
		t.Setenv("XDG_RUNTIME_DIR", other)
		assert.Equal(t, tmp, machines(), other)
	}
	t.Setenv("XDG_RUNTIME_DIR", own)
	require.NoError(t, os.Chmod(own, 0o755))
	assert.Equal(t, tmp, machines(), "others may look into it")
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chmod(own, 0o700))
		require.NoError(t, os.Chown(own, 65534, 65534))
		assert.Equal(t, tmp, machines(), "another user's")
	}
}

// File to host: the names in an image's manifest stay in its directory, and it
// vouches for what the guest runs.
func TestManifestCheck(t *testing.T) {
	good := []File{{kernelFile, "x"}, {modulesFile, "x"}}
	require.NoError(t, Manifest{Files: good}.check())
	for _, name := range []string{"../" + kernelFile, "/etc/passwd", "a/b", "", ".", ".."} {
		assert.ErrorContains(t, Manifest{Files: append(good[:2:2], File{name, "x"})}.check(), "no name of a file in the image", name)
	}
	assert.ErrorContains(t, Manifest{}.check(), "no digest of "+kernelFile)
	assert.ErrorContains(t, Manifest{Files: good[:1]}.check(), "no digest of "+modulesFile)
}
