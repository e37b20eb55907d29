package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A trial is the command run in a directory of its own, with a home and a
// directory for temporary files that must be empty in the end.
type trial struct {
	dir, tmp, bin string
	env           []string
	limit         time.Duration // of the command
	cmd           *exec.Cmd
	stdout        bytes.Buffer
	stderr        lockedBuffer
	terminal      *os.File  // takes the place of stderr
	screen        io.Writer // is told what the terminal is, where it is set
}

// marker is in the environment of every process of a trial.
const marker = "CB_TRIAL="

func newTrial(t *testing.T, env ...string) *trial {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	tr := &trial{dir: t.TempDir(), tmp: t.TempDir(), bin: t.TempDir(), limit: 8 * time.Minute}
	require.NoError(t, os.Symlink(self, filepath.Join(tr.bin, "capsem-bench")))
	tr.env = append([]string{
		"HOME=" + t.TempDir(), "TMPDIR=" + tr.tmp, "PATH=" + tr.bin + ":/usr/bin:/bin", marker + tr.dir,
		"CAPSEM_BENCH_TEST=" + guestBinary(t), "CAPSEM_GUEST=" + guestTools(t), "CAPSEM_BENCH_SIZE_MB=16",
	}, env...)
	return tr
}

// program puts a shell script into the PATH of the trial.
func (tr *trial) program(t *testing.T, name, script string) string {
	t.Helper()
	path := filepath.Join(tr.bin, name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	return path
}

func (tr *trial) start(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), tr.limit)
	t.Cleanup(cancel)
	tr.cmd = exec.CommandContext(ctx, filepath.Join(tr.bin, "capsem-bench"), args...)
	tr.cmd.Env, tr.cmd.Dir, tr.cmd.Stderr = tr.env, tr.dir, &tr.stderr
	if tr.cmd.Stdout == nil {
		tr.cmd.Stdout = &tr.stdout
	}
	if tr.terminal != nil {
		tr.cmd.Stderr = tr.terminal
	}
	require.NoError(t, tr.cmd.Start())
}

// wait waits for the command and for all it started.
func (tr *trial) wait(t *testing.T) (status int) {
	t.Helper()
	_ = tr.cmd.Wait()
	tr.nothingRuns(t)
	entries, err := os.ReadDir(tr.tmp)
	require.NoError(t, err)
	assert.Empty(t, entries, "temporary files left")
	return tr.cmd.ProcessState.ExitCode()
}

func (tr *trial) run(t *testing.T, args ...string) (status int) {
	t.Helper()
	tr.start(t, args...)
	return tr.wait(t)
}

// nothingRuns waits until all that the command started has ended. It looks at
// once: to read the environment of every process is not for nothing.
func (tr *trial) nothingRuns(t *testing.T) {
	t.Helper()
	if len(tr.processes()) > 0 {
		assert.Eventually(t, func() bool { return len(tr.processes()) == 0 }, time.Minute, 10*time.Millisecond)
		assert.Empty(t, tr.processes(), "processes left")
	}
}

// processes lists what runs with the marker of the trial.
func (tr *trial) processes() []string { return processesWith(marker + tr.dir) }

// results returns the names of what is in the results directories, "" for
// the directory itself.
func (tr *trial) results(t *testing.T) (out []string) {
	t.Helper()
	dirs, err := os.ReadDir(filepath.Join(tr.dir, resultsDir))
	require.NoError(t, err)
	for _, d := range dirs {
		assert.Regexp(t, `^\d{8}-\d{6}-[0-9a-f]{4}$`, d.Name())
		files, err := os.ReadDir(filepath.Join(tr.dir, resultsDir, d.Name()))
		require.NoError(t, err)
		for _, f := range files {
			out = append(out, f.Name())
		}
	}
	return out
}

// A document is what the tests look at in the JSON.
type document struct {
	Additions struct {
		Complete bool                `json:"complete"`
		Ended    string              `json:"ended"`
		Missing  []string            `json:"missing"`
		Ops      map[string]opStatus `json:"ops"`
	} `json:"capsem_bench"`
}

type opStatus struct {
	Status string `json:"status"`
	Reason string `json:"reason"`
	Rounds int    `json:"rounds"`
}

// document is standard output, which follows the schema whatever happened.
func (tr *trial) document(t *testing.T) (doc document) {
	t.Helper()
	require.NotEmpty(t, tr.stdout.String(), "no document; standard error:\n%s", tr.stderr.String())
	checkDocument(t, tr.stdout.Bytes())
	require.NoError(t, json.Unmarshal(tr.stdout.Bytes(), &doc), "%s\n%s", tr.stdout.String(), tr.stderr.String())
	return doc
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start is the line that announces an operation.
func start(op string) string { return `"type":"start","op":"` + op + `"` }

// A signal in any category ends the command with what there is: a document
// that names what is missing, status 130, and nothing left behind.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		categories, seen, id string
		signal               syscall.Signal
		missing              string
	}{
		{"disk startup", start("Disk/op=seq_write/size=16MiB"), "disk/seq_write", syscall.SIGINT, "startup/codex"},
		{"rootfs", start("Rootfs/op=seq_read"), "rootfs/seq_read", syscall.SIGINT, "rootfs/rand_read_4k"},
		{"startup", start("Startup/cli=python3"), "startup/python3", syscall.SIGINT, "startup/node"},
		{"http throughput", start("HTTP/n=1000000/c=4"), "http/get", syscall.SIGINT, "throughput/get"},
		{"throughput startup", start("Throughput"), "throughput/get", syscall.SIGINT, "startup/python3"},
		{"snapshot", start("Snapshot/files=10/op=create"), "snapshot/10/create", syscall.SIGINT, "snapshot/500/delete"},
		{"startup", start("Startup/cli=python3"), "startup/python3", syscall.SIGTERM, "startup/node"},
	} {
		t.Run(tt.id, func(t *testing.T) {
			tr := newTrial(t, "CAPSEM_BENCH_HTTP_N=1000000", "CAPSEM_BENCH_HTTP_C=4")
			tr.program(t, "python3", "sleep 300 & sleep 300")
			tr.start(t, append([]string{"run", "-v", "--count", "500"}, strings.Fields(tt.categories)...)...)
			require.Eventually(t, func() bool { return strings.Contains(tr.stderr.String(), tt.seen) }, 2*time.Minute, 5*time.Millisecond)
			require.NoError(t, tr.cmd.Process.Signal(tt.signal))
			assert.Equal(t, exitInterrupted, tr.wait(t), tr.stderr.String())
			doc := tr.document(t).Additions
			assert.False(t, doc.Complete)
			assert.Equal(t, "interrupted", doc.Ended)
			assert.Equal(t, "failed", doc.Ops[tt.id].Status, "%v\n%s", doc.Missing, tr.stderr.String())
			assert.Equal(t, "interrupted by SIGINT", doc.Ops[tt.id].Reason)
			assert.Contains(t, doc.Missing, tt.missing)
			assert.Equal(t, "missing", doc.Ops[tt.missing].Status)
			assert.Equal(t, []string{jsonName, textName, sessionName}, tr.results(t))
			assert.Contains(t, tr.stderr.String(), "capsem-bench: interrupted; the results are incomplete\n")
		})
	}
}

// An interrupt before anything was measured leaves nothing at all.
func TestInterruptBeforeStart(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	tr.env = append(tr.env, "CAPSEM_BENCH_TEST="+tr.program(t, "guest", "echo ready >&2; trap 'exit 130' INT; while :; do sleep 0.05; done"))
	tr.start(t, "run", "startup")
	require.Eventually(t, func() bool { return len(tr.processes()) > 1 }, time.Minute, time.Millisecond)
	require.NoError(t, tr.cmd.Process.Signal(os.Interrupt))
	assert.Equal(t, exitInterrupted, tr.wait(t))
	assert.Empty(t, tr.stdout.String())
	assert.Empty(t, tr.results(t))
}

// A reader that goes away, as head does, costs the document on standard output
// and nothing else.
func TestStandardOutputClosed(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	self := filepath.Join(tr.bin, "capsem-bench")
	tr.cmd = exec.CommandContext(t.Context(), self, "run", "startup")
	tr.cmd.Env, tr.cmd.Dir, tr.cmd.Stdout, tr.cmd.Stderr = tr.env, tr.dir, w, &tr.stderr
	require.NoError(t, tr.cmd.Start())
	require.NoError(t, w.Close())
	assert.Equal(t, exitOK, tr.wait(t))
	assert.NotContains(t, tr.stderr.String(), "capsem-bench: ")
	assert.Contains(t, tr.stderr.String(), "CLI Cold Start Latency")
	assert.Equal(t, []string{jsonName, textName, sessionName}, tr.results(t))
}
