package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// killed is the directory that a command left in tr.tmp when it was killed.
func killed(t *testing.T, tr *trial) string {
	t.Helper()
	serving := &trial{dir: tr.dir, tmp: tr.tmp, bin: tr.bin, env: tr.env, limit: tr.limit}
	serving.start(t, "serve")
	require.Eventually(t, func() bool { return one(filepath.Join(tr.tmp, "capsem-serve-*", ".capsem-bench-lock")) }, time.Minute, time.Millisecond)
	require.NoError(t, serving.cmd.Process.Kill())
	_ = serving.cmd.Wait()
	left, err := filepath.Glob(filepath.Join(tr.tmp, "capsem-serve-*"))
	require.NoError(t, err)
	require.Len(t, left, 1)
	return left[0]
}

// one reports whether a file has a name that matches.
func one(pattern string) bool {
	found, _ := filepath.Glob(pattern)
	return len(found) > 0
}

// What a killed command left goes with the next command of any kind, also one
// that has nothing to do with it, or is wrong usage.
func TestNextCommandSweeps(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"version", "help", "vm list", "session list", "compare none none", "unknown"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			tr := newTrial(t)
			left := killed(t, tr)
			tr.start(t, strings.Fields(args)...)
			_ = tr.cmd.Wait()
			assert.NoDirExists(t, left)
		})
	}
}

// Directories of VMs are elsewhere where the user has a runtime directory.
func TestNextCommandSweepsRuntimeDirectory(t *testing.T) {
	t.Parallel()
	runtime := t.TempDir()
	require.NoError(t, os.Chmod(runtime, 0o700))
	tr := newTrial(t, "XDG_RUNTIME_DIR="+runtime)
	left := filepath.Join(runtime, "capsem-vm-dev")
	require.NoError(t, os.Rename(killed(t, tr), left))
	assert.Equal(t, exitOK, tr.run(t, "version"))
	assert.NoDirExists(t, left)
}
