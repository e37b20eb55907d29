package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/testbuild"
)

// A command that reads ends on the first signal, blocked in a read that never
// ends or busy with one that has no end.
func TestReadersEndOnSignal(t *testing.T) {
	t.Parallel()
	self := testbuild.Command(t)
	// Slow enough that the limit on an input is half a minute away.
	endless := make([]byte, 16<<10)
	for _, c := range []struct {
		name string
		feed []byte // what the pipe is fed with each millisecond, nothing for one that says nothing
		args string
		sig  os.Signal
	}{
		{"blocked", nil, "convert", syscall.SIGTERM},
		{"blocked, by Ctrl-C", nil, "import -", os.Interrupt},
		{"blocked in a comparison", nil, "compare - bench.txt", syscall.SIGTERM},
		{"busy", endless, "convert -", syscall.SIGTERM},
		{"busy in a comparison", endless, "gate bench.txt -", os.Interrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "bench.txt"), []byte("BenchmarkThroughput 1 2910000000 ns/op\n"), 0o644))
			var stderr bytes.Buffer
			cmd := exec.Command(self, strings.Fields(c.args)...)
			cmd.Dir, cmd.Stderr, cmd.Stdout = dir, &stderr, io.Discard
			in, err := cmd.StdinPipe()
			require.NoError(t, err)
			defer in.Close()
			require.NoError(t, cmd.Start())
			if c.feed != nil {
				go func() {
					for range time.Tick(time.Millisecond) {
						if _, err := in.Write(c.feed); err != nil {
							return // the command has ended
						}
					}
				}()
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			reading(t, cmd.Process.Pid)
			require.NoError(t, cmd.Process.Signal(c.sig))
			select {
			case <-ended:
			case <-time.After(time.Minute): // it ends within readersGrace
				_ = cmd.Process.Kill()
				t.Fatalf("still there after %v", c.sig)
			}
			assert.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), stderr.String())
		})
	}
}

// reading waits until the process is in its read: a thread of it sleeps in one
// of a pipe, or it has read a MiB.
func reading(t *testing.T, pid int) {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	require.Eventually(t, func() bool {
		var read int64
		text, err := os.ReadFile(filepath.Join(proc, "io"))
		if _, scanErr := fmt.Sscanf(string(text), "rchar: %d", &read); err == nil && scanErr == nil && read > 1<<20 {
			return true
		}
		places, _ := filepath.Glob(filepath.Join(proc, "task", "*", "wchan"))
		return slices.ContainsFunc(places, func(name string) bool {
			place, err := os.ReadFile(name)
			return err == nil && bytes.Contains(place, []byte("pipe_read"))
		})
	}, time.Minute, 10*time.Millisecond)
}
