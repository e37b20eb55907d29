//go:build vmtest

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (tr *vmTrial) interrupt(t *testing.T) {
	t.Helper()
	require.NoError(t, tr.cmd.Process.Signal(os.Interrupt))
}

// An interrupt while the image is built ends what builds it and leaves nothing.
func TestVMInterruptBuild(t *testing.T) {
	tr := newVMTrial(t)
	require.NoError(t, os.RemoveAll(tr.image))
	tr.start(t, "vm", "build")
	tr.await(t, "a root that is filled", func() bool {
		roots, err := filepath.Glob(filepath.Join(tr.tmp, "capsem-image-*", "mmdebstrap.*", "usr"))
		return err == nil && len(roots) > 0
	})
	tr.interrupt(t)
	assert.Equal(t, exitInterrupted, tr.wait(t), tr.stderr.String())
	assert.Equal(t, "capsem-bench: interrupted\n", tr.stderr.String())
	assert.Empty(t, tr.stdout.String())
	assert.NoDirExists(t, tr.image)
}

// So does one while a machine boots.
func TestVMInterruptBoot(t *testing.T) {
	tr := newVMTrial(t)
	tr.measure(t, "startup")
	tr.await(t, "QEMU", func() bool { return tr.pidOf(t, "qemu-system") != 0 })
	tr.interrupt(t)
	assert.Equal(t, exitInterrupted, tr.wait(t), tr.stderr.String())
	assert.Contains(t, tr.stderr.String(), "capsem-bench: interrupted")
	assert.Empty(t, tr.stdout.String())
	assert.Empty(t, tr.results(t))
}

// One during a benchmark keeps what was measured.
func TestVMInterruptBenchmark(t *testing.T) {
	tr := newVMTrial(t)
	tr.measure(t, "-v", "--count", "500", "disk", "startup")
	tr.awaitText(t, start("Disk/op=seq_write/size=16MiB"))
	tr.interrupt(t)
	assert.Equal(t, exitInterrupted, tr.wait(t), tr.stderr.String())
	doc := tr.document(t).Additions
	assert.False(t, doc.Complete)
	assert.Equal(t, "interrupted", doc.Ended)
	assert.Equal(t, "failed", doc.Ops["disk/seq_write"].Status)
	assert.Equal(t, "interrupted by SIGINT", doc.Ops["disk/seq_write"].Reason)
	assert.Contains(t, doc.Missing, "startup/codex")
	tr.kept(t)
}

// One for a guest that stands still ends it too.
func TestVMInterruptStopped(t *testing.T) {
	t.Parallel()
	tr := newVMTrial(t)
	tr.measure(t, "-v", "--count", "500", "disk")
	tr.awaitText(t, start("Disk/op=seq_write/size=16MiB"))
	tr.kill(t, "qemu-system", syscall.SIGSTOP)
	tr.interrupt(t)
	assert.Equal(t, exitInterrupted, tr.wait(t), tr.stderr.String())
	assert.NotContains(t, tr.stderr.String(), "no longer answers", "it was waited for")
	assert.Contains(t, tr.document(t).Additions.Missing, "disk/rand_read_4k")
	tr.kept(t)
}

// A guest that stands still is given up after a while.
func TestVMStops(t *testing.T) {
	t.Parallel()
	tr := newVMTrial(t)
	tr.measure(t, "-v", "--count", "500", "disk")
	tr.awaitText(t, start("Disk/op=seq_write/size=16MiB"))
	tr.kill(t, "qemu-system", syscall.SIGSTOP)
	assert.Equal(t, exitUnfit, tr.wait(t), tr.stderr.String())
	assert.Contains(t, tr.stderr.String(), "the guest no longer answers: nothing came from it for 1m30s")
	checkConsole(t, tr.stderr.String(), "capsem-stage: services")
	assert.Contains(t, tr.document(t).Additions.Missing, "disk/rand_read_4k")
	tr.kept(t)
}

// One that stood still and went on has no figure that means anything: its
// clock ran on, and the benchmark's ticks came late. All that is shown says so.
func TestVMStoodStill(t *testing.T) {
	t.Parallel()
	tr := newVMTrial(t)
	tr.measure(t, "-v", "disk")
	tr.awaitText(t, start("Disk/op=rand_write_4k/count=10000"))
	<-time.After(2 * time.Second) // before that the pass may not have begun to look; it takes ten
	tr.kill(t, "qemu-system", syscall.SIGSTOP)
	<-time.After(8 * time.Second) // how long it stands still, and so is the thing that is tested
	tr.kill(t, "qemu-system", syscall.SIGCONT)
	status := tr.wait(t)
	const says = `the process stood still for \d+\.\d s`
	texts, err := filepath.Glob(filepath.Join(tr.dir, resultsDir, "*", textName))
	require.NoError(t, err)
	require.Len(t, texts, 1)
	op := bootText(t, texts[0]).Find("disk/rand_write_4k")
	require.NotNil(t, op)
	note := op.Note
	if note.Status == record.Invalid {
		assert.Equal(t, exitFailed, status, tr.stderr.String())
		assert.Regexp(t, says, note.Reason)
	} else { // it was before what is timed
		assert.Equal(t, exitOK, status, tr.stderr.String())
		assert.Regexp(t, says, strings.Join(note.Doubts, "; "))
	}
	assert.Regexp(t, `"(reason|doubts)":[^}]*`+says, strings.ReplaceAll(tr.stdout.String(), "\n", ""))
	assert.Regexp(t, says, strings.Join(strings.Fields(tr.stderr.String()), " "), "beside the table")
}

// Without any of its programs a machine is of no more use; what was measured
// until then stays.
func TestVMLosesProgram(t *testing.T) {
	for _, program := range []string{"virtiofsd", "vhost-device-vsock", "qemu-system"} {
		t.Run(program, func(t *testing.T) {
			tr := newVMTrial(t)
			tr.measure(t, "-v", "--count", "500", "disk", "startup")
			tr.awaitText(t, start("Disk/op=seq_write/size=16MiB"))
			tr.kill(t, program, syscall.SIGKILL)
			assert.Equal(t, exitUnfit, tr.wait(t), tr.stderr.String())
			assert.Contains(t, tr.stderr.String(), program)
			checkConsole(t, tr.stderr.String(), "capsem-stage: services")
			doc := tr.document(t).Additions
			assert.False(t, doc.Complete)
			assert.Contains(t, doc.Missing, "startup/python3")
			tr.kept(t)
		})
	}
}

// Whatever belongs to a machine dies with the command, also when that is
// killed. The next command removes the directories that it left.
func TestVMKilled(t *testing.T) {
	for _, tt := range []struct {
		name string
		when func(t *testing.T, tr *vmTrial)
	}{
		{"boot", func(t *testing.T, tr *vmTrial) {
			tr.await(t, "QEMU", func() bool { return tr.pidOf(t, "qemu-system") != 0 })
		}},
		{"benchmark", func(t *testing.T, tr *vmTrial) { tr.awaitText(t, start("Disk/op=seq_write/size=16MiB")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newVMTrial(t)
			tr.measure(t, "-v", "--count", "500", "disk")
			tt.when(t, tr)
			for _, program := range []string{"qemu-system", "virtiofsd"} {
				require.NotZero(t, tr.pidOf(t, program), program)
			}
			require.NoError(t, tr.cmd.Process.Kill())
			_ = tr.cmd.Wait()
			assert.Eventually(t, func() bool { return len(tr.processes()) == 0 }, time.Minute, 10*time.Millisecond,
				"processes left: %v", tr.processes())
			dirs, err := os.ReadDir(tr.tmp)
			require.NoError(t, err)
			require.Len(t, dirs, 2, "the directories of the machine and of the origin are all that is left")

			tr.measure(t, "startup")
			tr.await(t, "QEMU", func() bool { return tr.pidOf(t, "qemu-system") != 0 })
			tr.interrupt(t)
			assert.Equal(t, exitInterrupted, tr.wait(t), tr.stderr.String())
		})
	}
}
