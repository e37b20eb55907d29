//go:build vmtest

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// These tests boot real machines, under TCG so that they are the same
// everywhere. 'just _vm-test' runs them; 'capsem-bench vm setup' installs
// what they need.

// vmTestLimit is the end of one command: a boot and the benchmarks here take
// a minute, and several on a busy machine.
const vmTestLimit = 10 * time.Minute

// inVMs runs the command in a directory of its own, with the images that are
// built already.
func inVMs(t *testing.T, dir string, args ...string) (stdout string) {
	t.Helper()
	return inVMsWith(t, nil, dir, args...)
}

// inVMsWith is inVMs with further variables.
func inVMsWith(t *testing.T, env []string, dir string, args ...string) (stdout string) {
	t.Helper()
	tr := newTrial(t, env...)
	return tr.inVMs(t, filepath.Join(tr.bin, "capsem-bench"), dir, args...)
}

func (tr *trial) inVMs(t *testing.T, command, dir string, args ...string) (stdout string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), vmTestLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	cmd.Env = append(tr.env, "XDG_CACHE_HOME="+cache, "PATH="+os.Getenv("PATH"),
		"CAPSEM_BENCH_COMMAND="+testbuild.Command(t), catalogue.EnvDropped+"="+catalogue.DroppedAll)
	require.NoError(t, cmd.Run(), errs.String())
	return out.String()
}

// The time of snapshot calls in a VM is split: in what was measured by hand in
// one, and in a run of one.
func TestVMSnapshotSplit(t *testing.T) {
	for name, args := range map[string][]string{
		"exec": {"vm", "exec", "--accel", "tcg", "--out", "out", "--", "sh", "-c", "capsem-bench snapshot && ls -A"},
		"run":  {"run", "--sandbox", "qemu", "--accel", "tcg", "--out", "out", "snapshot"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			assert.NotContains(t, inVMs(t, dir, args...), ".cache", "a cache directory in the workspace")
			clock := bootText(t, filepath.Join(dir, "out", textName)).Clock
			require.NotNil(t, clock)
			require.Len(t, clock.Readings, 2, "before and after")

			var sum session.Summary
			require.NoError(t, json.Unmarshal([]byte(inVMs(t, dir, "session", "inspect", "--json", "out")), &sum))
			require.NotNil(t, sum.Split)
			assert.Empty(t, sum.Split.Unmatched)
			assert.Equal(t, 15, sum.Split.Matched)
			require.Len(t, sum.Split.Ops, 15)
			for _, op := range sum.Split.Ops {
				assert.Positive(t, op.GatewayMS, op.Op)
				assert.Positive(t, op.StartMS, op.Op)
				assert.Positive(t, op.TransportMS, op.Op)
				assert.InDelta(t, op.TotalMS, op.StartMS+op.HandshakeMS+op.GatewayMS+op.TransportMS, 1e-3, op.Op)
				// Two processes start in an emulated guest: that cannot be faster.
				assert.Greater(t, op.StartMS, sum.Split.BoundMS, op.Op)
			}
			assert.Contains(t, inVMs(t, dir, "session", "inspect", "out"), "gateway  share")
		})
	}
}

// The host is asked to drop its caches before whatever is read cold.
func TestVMHostCaches(t *testing.T) {
	t.Parallel() // with those that wait for nothing to happen
	dir := t.TempDir()
	inVMs(t, dir, "run", "--sandbox", "qemu", "--accel", "tcg", "--out", "out", "disk", "rootfs")
	rep := bootText(t, filepath.Join(dir, "out", textName))
	want := record.HostKept
	if f, err := os.OpenFile("/proc/sys/vm/drop_caches", os.O_WRONLY, 0); err == nil {
		_ = f.Close()
		want = record.HostDropped
	}
	seen := 0
	for _, id := range []string{"disk/seq_read", "disk/rand_read_4k", "rootfs/seq_read", "rootfs/rand_read_4k"} {
		res := rep.Find(id)
		require.NotNil(t, res, id)
		assert.Equal(t, want, res.Note.Host, "%s: %v", id, res.Note.Doubts)
		for _, s := range res.Samples {
			assert.Positive(t, s.WarmNS, id)
			seen++
		}
	}
	assert.Equal(t, 4, seen)
	for _, res := range rep.Category(catalogue.Disk) {
		if !res.Op.Cold {
			assert.Empty(t, res.Note.Host, res.Op.Name)
		}
	}
}

func bootText(t *testing.T, path string) *convert.Report {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	rep, err := convert.Read(f, path)
	require.NoError(t, err)
	assert.Empty(t, rep.Warnings)
	return rep
}
