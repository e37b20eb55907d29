package procstart

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestExec(t *testing.T) {
	sh := func(script string) (Result, error) {
		return Exec(t.Context(), 20*time.Second, "/", "/bin/sh", "-c", script)
	}
	r, err := sh("pwd; echo warn >&2; echo more >/dev/stderr")
	require.NoError(t, err)
	assert.Equal(t, "/\n", string(r.Stdout))
	assert.Contains(t, string(r.Stderr), "more\n")
	assert.Positive(t, r.Elapsed)
	assert.WithinDuration(t, time.Now(), r.Start, time.Minute)
	assert.Positive(t, r.User+r.Sys)
	assert.Positive(t, r.MaxRSS)

	_, err = sh("echo first >&2; printf 'last \\033[31mline\\n' >&2; exit 3")
	assert.EqualError(t, err, "exit status 3: last [31mline")
	_, err = sh("kill -9 $$")
	assert.EqualError(t, err, "killed by SIGKILL")
	_, err = sh("while :; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; done")
	assert.EqualError(t, err, "printed more than 8388608 bytes")
	_, err = Exec(t.Context(), time.Second, "", filepath.Join(t.TempDir(), "none"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// A process that does not end is killed with all that it started, and one
// that leaves something behind is not waited for.
func TestExecKillsTheGroup(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	fd, err := unix.Open(fifo, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	script := "exec 3>" + fifo + "; echo x >&3; sleep 100 & sleep 100"
	_, err = Exec(t.Context(), 300*time.Millisecond, "", "/bin/sh", "-c", script)
	assert.EqualError(t, err, "timed out after 300ms")
	require.Eventually(t, func() bool { // end of file: nobody has it open
		n, err := unix.Read(fd, make([]byte, 10))
		return n == 0 && err == nil
	}, time.Minute, time.Millisecond)

	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(errors.New("interrupted by SIGINT")) })
	_, err = Exec(ctx, time.Minute, "", "/bin/sh", "-c", "sleep 100")
	assert.EqualError(t, err, "interrupted by SIGINT")
}

func TestExecDoesNotWaitForGrandchildren(t *testing.T) {
	r, err := Exec(t.Context(), time.Minute, "", "/bin/sh", "-c", "sleep 30 & echo started")
	require.NoError(t, err)
	assert.Equal(t, "started\n", string(r.Stdout))
	assert.Less(t, r.Elapsed, 20*time.Second)
}

// BenchmarkExec is the cost of one start with nothing in it.
func BenchmarkExec(b *testing.B) {
	var total time.Duration
	n := 0
	for b.Loop() {
		r, err := Exec(b.Context(), time.Minute, "", "/bin/true", "--version")
		require.NoError(b, err)
		total += r.Elapsed
		n++
	}
	b.ReportMetric(float64(total)/float64(n), "ns/op")
}
