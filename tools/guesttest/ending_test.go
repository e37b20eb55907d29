package guesttest

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A lockedBuffer can be read while a process still writes to it.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// deaf is an address where nobody answers.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return "http://" + l.Addr().String() + "/"
}

// A signal in any category ends the run with what there is, and leaves
// nothing behind.
func TestSignals(t *testing.T) {
	t.Parallel()
	clis := fakeCLI(t, t.TempDir(), "codex", "sleep 300 & sleep 300")
	url := deaf(t)
	for _, tt := range []struct {
		pattern, op string
		signal      syscall.Signal
		name        string
	}{
		{"Disk/op=rand_write|Startup", "Disk/op=rand_write_4k/count=10000", syscall.SIGINT, "SIGINT"},
		{"Disk", "Disk/op=seq_write/size=512MiB", syscall.SIGTERM, "SIGTERM"},
		{"Rootfs/op=rand_read", "Rootfs/op=rand_read_4k/count=5000", syscall.SIGINT, "SIGINT"},
		{"Startup", "Startup/cli=codex", syscall.SIGINT, "SIGINT"},
		{"HTTP", "HTTP/n=50/c=5", syscall.SIGINT, "SIGINT"},
		{"Throughput|Snapshot", "Throughput", syscall.SIGHUP, "SIGHUP"},
	} {
		t.Run(tt.op, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			cmd := exec.CommandContext(t.Context(), guestBinary(t), "-test.bench="+tt.pattern, "-test.count=100")
			cmd.Env = baseEnv(home, clis, "CAPSEM_BENCH_SIZE_MB=512", "CAPSEM_BENCH_HTTP_URL="+url, "CAPSEM_BENCH_THROUGHPUT_URL="+url)
			var stdout lockedBuffer
			cmd.Stdout = &stdout
			require.NoError(t, cmd.Start())
			require.Eventually(t, func() bool {
				return strings.Contains(stdout.String(), `"type":"start","op":"`+tt.op)
			}, time.Minute, time.Millisecond)
			require.NoError(t, cmd.Process.Signal(tt.signal))
			_ = cmd.Wait()
			assert.Equal(t, 130, cmd.ProcessState.ExitCode(), stdout.String())
			r := &guestRun{stdout: stdout.String()}
			r.parse(t)
			assert.Equal(t, record.Failed, r.status[tt.op].Status, stdout.String())
			assert.Equal(t, "interrupted by "+tt.name, r.status[tt.op].Reason)
			require.NotNil(t, r.end)
			assert.Equal(t, "interrupted", r.end.Status)
			assert.Empty(t, entries(t, home))
			checkLines(t, r.stdout)
		})
	}
}

// A reader that goes away, as the command does when it is killed, ends the run
// too, with a signal or without one. What it made is removed all the same.
func TestReaderGoesAway(t *testing.T) {
	t.Parallel()
	for name, signals := range map[string][]os.Signal{"alone": nil, "with SIGTERM": {syscall.SIGTERM}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			r, w, err := os.Pipe()
			require.NoError(t, err)
			cmd := exec.CommandContext(t.Context(), guestBinary(t), "-test.bench=Disk/op=seq_write", "-test.count=1000")
			cmd.Env, cmd.Stdout = baseEnv(home, t.TempDir(), "CAPSEM_BENCH_SIZE_MB=4"), w
			require.NoError(t, cmd.Start())
			require.NoError(t, w.Close())
			lines := bufio.NewScanner(r)
			for lines.Scan() && !strings.Contains(lines.Text(), `"type":"start"`) { //nolint:revive // only its place counts
			}
			require.NoError(t, r.Close())
			for _, sig := range signals {
				require.NoError(t, cmd.Process.Signal(sig))
			}
			_ = cmd.Wait()
			assert.Equal(t, 130, cmd.ProcessState.ExitCode(), cmd.ProcessState.String())
			assert.Empty(t, entries(t, home))
		})
	}
}

// What is hung ends after CAPSEM_BENCH_TIMEOUT.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	r := runGuest(t, baseEnv(t.TempDir(), t.TempDir(), "CAPSEM_BENCH_TIMEOUT=500ms", "CAPSEM_BENCH_HTTP_URL="+deaf(t)), "-test.bench=HTTP|Startup")
	assert.Equal(t, 1, r.exit)
	require.NotNil(t, r.end)
	assert.Equal(t, "timeout", r.end.Status)
	st := r.status["HTTP/n=50/c=5"]
	assert.Equal(t, record.Failed, st.Status)
	assert.Equal(t, "no end after 500ms; CAPSEM_BENCH_TIMEOUT sets the limit of one pass", st.Reason)
	assert.Len(t, r.status, 1, "the rest was not reached, so it has no line")
	checkLines(t, r.stdout)
}

// A second signal ends the process at once, even in the middle of a line of
// testing's and of a pass, which is then cleaned up for.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), guestBinary(t), "-test.bench=Disk/op=seq_write", "-test.count=1000")
	cmd.Env = baseEnv(home, "", "CAPSEM_BENCH_SIZE_MB=64")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	buf := make([]byte, 1<<20)
	var text strings.Builder
	for strings.Count(text.String(), "BenchmarkDisk") < 3 { // a name without its values is out
		n, err := stdout.Read(buf)
		require.NoError(t, err)
		text.Write(buf[:n])
	}
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Process.Signal(os.Interrupt)) // the second means now
	rest, err := io.ReadAll(stdout)
	require.NoError(t, err)
	text.Write(rest)
	_ = cmd.Wait()
	assert.Equal(t, 130, cmd.ProcessState.ExitCode())
	r := &guestRun{stdout: text.String()}
	r.parse(t)
	require.NotNil(t, r.end)
	assert.Equal(t, "interrupted", r.end.Status)
	assert.NotEmpty(t, r.samples["Disk/op=seq_write/size=64MiB"], "the rounds that were done are printed")
	assert.Empty(t, entries(t, home))
	// testing may begin a line of its own between the last of ours and the end.
	checkLines(t, r.stdout[:strings.LastIndexByte(r.stdout, '\n')+1])
}

// A process that was stopped while it measured has no figure: its program ended
// meanwhile, and nobody looked.
func TestStoppedWhileMeasuring(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), t.TempDir()
	fakeCLI(t, dir, "codex", ": >"+state+"/running; until [ -e "+state+"/go ]; do sleep 0.05; done; echo 1.0")
	cmd, wait := startGuest(t, baseEnv(t.TempDir(), dir), "-test.bench=Startup/cli=codex")
	require.Eventually(t, func() bool {
		_, err := os.Stat(state + "/running")
		return err == nil
	}, time.Minute, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	require.NoError(t, os.WriteFile(state+"/go", nil, 0o600))
	<-time.After(4 * time.Second) // how long it stands still, and so is the thing that is tested
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	r := wait()
	assert.Equal(t, 1, r.exit, r.stdout+r.stderr)
	st := r.status["Startup/cli=codex"]
	assert.Equal(t, record.Invalid, st.Status)
	assert.Regexp(t, `^the process stood still for ([3-9]|\d\d+)\.\d s while it measured \d+\.\d s: it or its machine was stopped or got no processor$`, st.Reason)
	assert.NotRegexp(t, `(?m)^Benchmark.* ns/op`, r.stdout)
}
