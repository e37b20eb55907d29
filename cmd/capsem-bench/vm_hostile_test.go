//go:build vmtest

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostile runs a guest binary that does what act says, to its end, and checks
// what all of them leave: the operation that went well, a document that names
// the others, and a host that stayed small.
func hostile(t *testing.T, act string, args ...string) (tr *vmTrial, status int) {
	t.Helper()
	limit := "5m"
	if act == "mute" {
		limit = "20s"
	}
	tr = newVMTrial(t, "CAPSEM_BENCH_HOSTILE="+act, "CAPSEM_BENCH_TIMEOUT="+limit,
		"CAPSEM_BENCH_TEST="+testbuild.Build(t, "hostile", nil, "build", "./testdata/hostile"))
	tr.measure(t, append([]string{"startup"}, args...)...)
	if act == "half" || act == "panic" || act == "console" {
		tr.arrive(t)
	}
	status = tr.wait(t)
	doc := tr.document(t).Additions
	assert.False(t, doc.Complete)
	assert.Equal(t, opStatus{"ok", "", 1}, doc.Ops["startup/python3"])
	for _, op := range []string{"startup/claude", "startup/gemini", "startup/codex"} {
		assert.Contains(t, doc.Missing, op)
		assert.Equal(t, "missing", doc.Ops[op].Status)
	}
	tr.kept(t)
	checkShown(t, tr.stderr.String())
	assert.Contains(t, tr.stderr.String(), "CLI Cold Start Latency")
	assert.Less(t, tr.stderr.b.Len(), 64<<10)
	usage, ok := tr.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	require.True(t, ok)
	assert.Less(t, usage.Maxrss, int64(400<<10), "KiB of memory") // 120 MiB without any fault
	return tr, status
}

// arrive waits until the half line that the guest printed last is kept, and
// lets it end the machine.
func (tr *vmTrial) arrive(t *testing.T) {
	t.Helper()
	results := filepath.Join(tr.dir, resultsDir, "*")
	tr.await(t, "half a line", func() bool {
		for _, name := range glob(t, filepath.Join(results, textName)) {
			if text, err := os.ReadFile(name); err == nil && bytes.HasSuffix(text, []byte("BenchmarkStartup/cli=node-2\t1\t50")) {
				return true
			}
		}
		return false
	})
	workspaces := glob(t, filepath.Join(results, ".sandbox-*", "workspace"))
	require.Len(t, workspaces, 1)
	require.NoError(t, os.WriteFile(filepath.Join(workspaces[0], "arrived"), nil, 0o600))
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	require.NoError(t, err)
	return found
}

// A gigabyte of lines, and then of one line, is cut where it is of no use any
// more.
func TestVMFloods(t *testing.T) {
	tr, status := hostile(t, "flood")
	assert.Equal(t, exitUnfit, status)
	assert.Contains(t, tr.stderr.String(), "capsem-bench: the guest printed more than 256 MiB; the console's last lines:\n")
}

// So is a gigabyte of complaints, whose end is shown.
func TestVMComplains(t *testing.T) {
	tr, status := hostile(t, "complaints")
	assert.Equal(t, exitUnfit, status)
	assert.Contains(t, tr.stderr.String(), "capsem-bench: the guest complained more than 16 MiB; the console's last lines:\n")
	assert.Contains(t, tr.stderr.String(), "complaint ")
}

// A flooded console is shown by its end, and holds nobody up.
func TestVMFloodsConsole(t *testing.T) {
	tr, status := hostile(t, "console")
	assert.Equal(t, exitUnfit, status)
	checkConsole(t, tr.stderr.String(), "owned")
}

// Nothing that a guest says reaches a terminal as a command, also with -v.
func TestVMPrintsEscapes(t *testing.T) {
	tr, status := hostile(t, "escapes", "-v")
	assert.Equal(t, exitFailed, status)
	assert.Equal(t, "failed", tr.document(t).Additions.Ops["startup/node"].Status)
	assert.NotContains(t, tr.stdout.String(), "\x1b")
}

// Half a line is no result, and the guest that is gone is named.
func TestVMPowersOffMidStream(t *testing.T) {
	tr, status := hostile(t, "half")
	assert.Equal(t, exitUnfit, status)
	assert.Equal(t, "missing", tr.document(t).Additions.Ops["startup/node"].Status)
	assert.Contains(t, tr.stderr.String(), "the connection to the guest ended before the command did")
	checkConsole(t, tr.stderr.String(), "capsem-stage: services")
}

// So is one whose kernel panicked.
func TestVMPanicsMidBenchmark(t *testing.T) {
	tr, status := hostile(t, "panic")
	assert.Equal(t, exitUnfit, status)
	assert.Contains(t, tr.stderr.String(), "the guest's kernel panicked")
	checkConsole(t, tr.stderr.String(), "sysrq")
}

// A guest binary that says nothing, and does not heed an interrupt, is killed.
func TestVMIsMute(t *testing.T) {
	t.Parallel()
	tr, status := hostile(t, "mute")
	assert.Equal(t, exitUnfit, status)
	assert.Contains(t, tr.stderr.String(), "capsem-bench: the guest printed nothing for 50s and was ended")
	assert.Equal(t, 1, strings.Count(tr.stderr.String(), "the console's last lines"))
}
