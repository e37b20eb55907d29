//go:build vmtest

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every phase of a real VM's life has a figure, the stages of its boot included,
// and the copy of one has what was written before and nothing later.
func TestVMLifecycle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// It starts its own program for each command, which a test binary is not.
	newTrial(t).inVMs(t, testbuild.Command(t), dir, "lifecycle", "--accel", "tcg", "--runs", "1", "--vms", "2", "--category", "throughput", "--execs", "3", "--exec-mb", "8", "--out", "out")
	rep := bootText(t, filepath.Join(dir, "out", record.BootFile(1)))
	for id, unit := range map[string]string{
		"lifecycle/provision": "ns/op", "lifecycle/exec_ready": "ns/op", "lifecycle/exec": "ns/op", "lifecycle/delete": "ns/op",
		"lifecycle/total": "ns/op", "lifecycle/floor": "ns/op", "lifecycle/boot/kernel": "ns/op", "lifecycle/boot/services": "ns/op",
		"lifecycle/memory/emulator": "pss-B", "lifecycle/memory/companions": "rss-B", "lifecycle/memory/guest": "size-B",
		"fork/fork": "ns/op", "fork/image_size": "size-B", "fork/boot_provision": "ns/op", "fork/boot_ready": "ns/op",
		"parallel/1/vm": "ns/op", "parallel/2/vm": "slowdown", "parallel/2/all": "ns/op",
		"exec/true": "p50-ns", "exec/kept": "p50-ns", "exec/stdin": "B/s", "exec/stdout": "B/s",
	} {
		res := rep.Find(id)
		if assert.NotNil(t, res, id) && assert.Equal(t, record.OK, res.Status, "%s: %s", id, res.Reason) {
			assert.Positive(t, res.Values[unit].Median(), id)
		}
	}
	at := func(id, unit string) float64 { return rep.Find(id).Values[unit].Median() }
	assert.Greater(t, at("lifecycle/exec_ready", "ns/op"), at("lifecycle/boot/kernel", "ns/op"), "the boot is part of it")
	assert.Greater(t, at("fork/image_size", "size-B"), 16.0*(1<<20))
	assert.GreaterOrEqual(t, at("lifecycle/memory/emulator", "rss-B"), at("lifecycle/memory/emulator", "pss-B"))
	assert.Greater(t, at("lifecycle/memory/emulator", "rss-B"), at("lifecycle/memory/guest", "size-B"), "the guest's memory is the emulator's")
	assert.Greater(t, at("exec/true", "p50-ns"), at("exec/kept", "p50-ns"), "it connects and logs in besides")
	assert.Equal(t, "qemu", rep.Run.Sandbox)
	assert.Equal(t, "tcg", rep.Run.Accel)

	var doc struct {
		Operations map[string]struct{ Values []float64 }
		Fork       map[string]json.RawMessage
	}
	text, err := os.ReadFile(filepath.Join(dir, "out", jsonName))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &doc))
	assert.InDelta(t, at("lifecycle/total", "ns/op")/1e6, doc.Operations["total_ms"].Values[0], 0.05)
	assert.Contains(t, doc.Fork, catalogue.OpImageSize+"_mb")
	left, err := filepath.Glob(filepath.Join(dir, "out", ".*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}
