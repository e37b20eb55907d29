package child

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func shell(script string, out io.Writer) Command {
	return Command{Name: "the script", Binary: "/bin/sh", Args: []string{"-c", script}, Stdout: out}
}

func TestRunStatus(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7} {
		status, err := shell(script, nil).Run(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, status)
	}
	status, err := shell("kill -SEGV $$", nil).Run(t.Context())
	assert.Equal(t, -1, status)
	require.ErrorContains(t, err, "running the script: signal: segmentation fault")
	_, err = Command{Name: "it", Binary: filepath.Join(t.TempDir(), "none")}.Run(t.Context())
	require.ErrorContains(t, err, "starting it: ")
}

// An interrupt reaches the program, whose own status counts.
func TestRunInterrupted(t *testing.T) {
	for _, group := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := shell(`trap 'exit 5' INT; echo ready; while :; do sleep 0.01; done`, writerFunc(func([]byte) { cancel() }))
		c.Group = group
		status, err := c.Run(ctx)
		require.NoError(t, err)
		assert.Equal(t, 5, status)
	}
}

// What a program leaves in its group ends with it.
func TestRunLeavesNothing(t *testing.T) {
	var out bytes.Buffer
	_, err := shell("sleep 1000 >/dev/null 2>&1 & echo $!", &out).Run(t.Context())
	require.NoError(t, err)
	pid := strings.TrimSpace(out.String())
	require.NotEmpty(t, pid)
	assert.Eventually(t, func() bool { return exec.Command("kill", "-0", pid).Run() != nil }, time.Minute, 5*time.Millisecond)
}

func TestStopGroup(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done")
	ready := make(chan struct{})
	cmd.Stdout = writerFunc(func([]byte) { close(ready) })
	ended, err := Start(cmd, syscall.SIGKILL)
	require.NoError(t, err)
	<-ready
	StopGroup(cmd.Process.Pid, ended, 50*time.Millisecond)
	require.ErrorContains(t, <-ended, "killed")
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
