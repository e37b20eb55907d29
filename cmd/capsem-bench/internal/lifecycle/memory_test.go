package lifecycle

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a process has started counts with it, and shared memory is divided.
func TestMemoryOfProcesses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	own, err := MemoryOf(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, own.RSS, int64(1<<20))
	assert.GreaterOrEqual(t, own.RSS, own.PSS)

	cmd := exec.Command("sh", "-c", "exec 3<&0; cat <&3 & echo up; wait")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	_, err = out.Read(make([]byte, 3))
	require.NoError(t, err)
	tree, err := MemoryOf(cmd.Process.Pid)
	require.NoError(t, err)
	alone, err := rollup(cmd.Process.Pid)
	require.NoError(t, err)
	assert.Greater(t, tree.RSS, alone.RSS, "cat is part of it")

	_, err = MemoryOf(1 << 30)
	assert.Error(t, err, "no such process")
}

// A guest's word is bounded and checked.
func TestMemoryInUse(t *testing.T) {
	used, err := memoryInUse([]byte("MemTotal:  2048 kB\nMemFree: 10 kB\nMemAvailable:   1024 kB\n"))
	require.NoError(t, err)
	assert.Equal(t, int64(1<<20), used)
	for _, text := range []string{
		"", "MemTotal: 10 kB\n", "MemTotal: 10 kB\nMemAvailable: 11 kB\n", "MemTotal: x kB\nMemAvailable: 1 kB\n",
		"MemTotal: -5 kB\nMemAvailable: -6 kB\n", "MemTotal: 99999999999999999999 kB\nMemAvailable: 1 kB\n",
	} {
		_, err := memoryInUse([]byte(text))
		assert.Error(t, err, "%q", text)
	}
}
