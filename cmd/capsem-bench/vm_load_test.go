//go:build vmtest

package main

import (
	"path/filepath"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
)

// In a VM there is all that load and storage want: proxy, gateway and resolver
// across vsock, and Capsem's mounts.
func TestVMLoadAndStorage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inVMsWith(t, []string{
		"CAPSEM_BENCH_CONCURRENCY=2", "CAPSEM_BENCH_DURATION_S=1", "CAPSEM_BENCH_STORAGE_MB=4", "CAPSEM_BENCH_STORAGE_DIRS=/root,/run",
	}, dir, "run", "--sandbox", "qemu", "--accel", "tcg", "--out", "out", "load", "storage")
	rep := bootText(t, filepath.Join(dir, "out", textName))
	for _, id := range []string{
		"load/http/2", "load/http-new/2", "load/tls/2", "load/tls-mint/2", "load/http-origin/2",
		"load/mcp/2", "load/mcp-relays/2", "load/mcp-list/2", "load/dns/2",
	} {
		res := rep.Find(id)
		if assert.NotNil(t, res, id) {
			assert.Equal(t, record.OK, res.Status, "%s: %s", id, res.Reason)
			assert.Positive(t, res.Values["req/s"].Median(), id)
		}
	}
	assert.Equal(t, record.Skipped, rep.Find("load/http-direct/2").Status, "a VM has no way past its proxy")
	assert.Equal(t, map[string]int64{"status 502": rep.Find("load/http/2").Samples[0].Count}, rep.Find("load/http/2").Samples[0].Answers, "nothing is behind that name")
	for _, dir := range []string{"root", "run"} {
		for _, op := range catalogue.StorageOps(dir) {
			res := rep.Find(op.ID)
			if assert.NotNil(t, res, op.ID) && res.Status != record.Skipped {
				assert.Equal(t, record.OK, res.Status, "%s: %s", op.ID, res.Reason)
			}
		}
	}
	assert.Equal(t, record.OK, rep.Find("storage/root/seq_read_cold").Status)
	assert.Equal(t, record.Skipped, rep.Find("storage/run/seq_read_cold").Status, "nothing in tmpfs is cold")
}
