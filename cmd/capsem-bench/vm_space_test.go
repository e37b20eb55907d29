//go:build vmtest

package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A workspace without room costs what needs the room. 100 files are 400 KiB,
// and as much in the snapshot, and 500 do not fit at all. The rest is
// measured, and nothing stays behind on the disk.
func TestVMWorkspaceFull(t *testing.T) {
	t.Parallel() // with those that wait for nothing to happen
	dir := smallDisk(t, 704<<10)
	tr := newVMTrial(t)
	out := filepath.Join(dir, "out")
	tr.measure(t, "--out", out, "disk", "startup", "snapshot")
	assert.Equal(t, exitFailed, tr.wait(t), tr.stderr.String())
	doc := tr.document(t).Additions
	assert.True(t, doc.Complete)
	assert.Empty(t, doc.Missing)
	assert.Equal(t, "failed", doc.Ops["disk/seq_write"].Status)
	assert.Regexp(t, `has room for \S+ \S+, the benchmark needs .*; set CAPSEM_BENCH_DIR or CAPSEM_BENCH_SIZE_MB$`, doc.Ops["disk/seq_write"].Reason)
	assert.Equal(t, "ok", doc.Ops["startup/python3"].Status)
	assert.Equal(t, "ok", doc.Ops["snapshot/10/create"].Status)
	for _, op := range []string{"snapshot/100/create", "snapshot/100/revert", "snapshot/500/create"} {
		assert.Equal(t, "failed", doc.Ops[op].Status, op)
		assert.Regexp(t, `no room for the snapshot|no space|No space`, doc.Ops[op].Reason)
	}
	files, err := filepath.Glob(filepath.Join(out, "*"))
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(out, jsonName), filepath.Join(out, textName), filepath.Join(out, sessionName)}, files)
	left, err := filepath.Glob(filepath.Join(out, ".*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// Two runs at once share the cache and the directory for temporary files and
// do not meet.
func TestVMTwoAtOnce(t *testing.T) {
	one := newVMTrial(t)
	two := newVMTrial(t)
	// The second one's own marker tells its processes from the first one's.
	two.tmp, two.image = one.tmp, one.image
	two.env = append(two.env, "TMPDIR="+one.tmp, "XDG_CACHE_HOME="+one.cache)
	one.measure(t, "startup", "http")
	two.measure(t, "startup", "http")
	one.await(t, "both machines", func() bool { return one.pidOf(t, "qemu-system") != 0 && two.pidOf(t, "qemu-system") != 0 })
	_ = one.cmd.Wait() // the directory for temporary files is empty after both
	_ = two.cmd.Wait()
	for _, tr := range []*vmTrial{one, two} {
		assert.Equal(t, exitOK, tr.wait(t), tr.stderr.String())
		doc := tr.document(t).Additions
		assert.True(t, doc.Complete)
		for _, op := range []string{"startup/python3", "http/get"} {
			assert.Equal(t, opStatus{"ok", "", 1}, doc.Ops[op], op)
		}
		tr.kept(t)
	}
}
