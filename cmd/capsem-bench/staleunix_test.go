package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/testbuild"
)

// leftSocket makes a socket as a killed process leaves it.
func leftSocket(t *testing.T, path string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, ln.Close())
}

// A serve that was killed leaves its sockets and its store. The next one takes
// both over, and none takes those of one that runs.
func TestServeAfterAKilledServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := []string{
		"--gateway", "unix:" + filepath.Join(dir, "g"), "--proxy", "unix:" + filepath.Join(dir, "p"),
		"--store", filepath.Join(dir, "store"), "--ca", filepath.Join(dir, "ca.pem"),
	}
	s := startServe(t, args...)
	require.NoError(t, s.cmd.Process.Kill())
	require.Error(t, s.cmd.Wait())
	require.FileExists(t, filepath.Join(dir, "g"))

	s = startServe(t, args...)
	for _, key := range []string{"gateway", "proxy"} {
		c, err := s.dial(key)
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
	out, err := exec.Command(testbuild.Command(t), "serve", "--gateway", "unix:"+filepath.Join(dir, "g")).CombinedOutput()
	var exited *exec.ExitError
	require.ErrorAs(t, err, &exited)
	assert.Equal(t, exitUsage, exited.ExitCode())
	assert.Contains(t, string(out), "address already in use: somebody listens on it")
	c, err := s.dial("gateway")
	require.NoError(t, err, "the first still serves")
	require.NoError(t, c.Close())
	s.stop()
	assert.NoFileExists(t, filepath.Join(dir, "g"))
}

// What is no socket, or somebody else's, stays.
func TestOnlyOwnStaleSocketsAreRemoved(t *testing.T) {
	t.Parallel()
	listen := func(path string) error {
		ln, err := listenAt(contract.Address{Network: contract.Unix, Name: path})
		if err == nil {
			err = ln.Close()
		}
		return err
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	leftSocket(t, at("left"))
	require.NoError(t, listen(at("left")))

	require.NoError(t, os.WriteFile(at("file"), []byte("mine"), 0o600))
	require.ErrorContains(t, listen(at("file")), "it is no socket")
	assert.FileExists(t, at("file"))

	leftSocket(t, at("target"))
	require.NoError(t, os.Symlink(at("target"), at("link")))
	require.ErrorContains(t, listen(at("link")), "it is no socket")
	assert.FileExists(t, at("target"))

	if os.Geteuid() == 0 {
		leftSocket(t, at("foreign"))
		require.NoError(t, os.Chown(at("foreign"), 12345, -1))
		require.ErrorContains(t, listen(at("foreign")), "another user's")
		assert.FileExists(t, at("foreign"))
	}
	require.Error(t, listen(at("none/left")))
}
