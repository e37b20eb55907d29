package convert

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func otherFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "other", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// Every kind of document beside Capsem's benchmark becomes text that is read
// again without a complaint, and that JSON, tables and a second import have
// whole.
func TestImportOtherKinds(t *testing.T) {
	for _, path := range otherFiles(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			var text bytes.Buffer
			notes, err := Import(&text, bytes.NewReader(data), filepath.Base(path))
			require.NoError(t, err)
			rep, err := Read(bytes.NewReader(text.Bytes()), "f")
			require.NoError(t, err)
			assert.Empty(t, rep.Warnings)
			doc := checkReport(t, rep)
			assert.Equal(t, without(t, doc), without(t, again(t, doc)))
			golden(t, strings.TrimSuffix(path, ".json")+".txt", text.Bytes())
			golden(t, strings.TrimSuffix(path, ".json")+".notes", []byte(strings.Join(notes, "\n")+"\n"))
		})
	}
}

// What a file says of its own failures stays to be seen.
func TestImportedFailures(t *testing.T) {
	for file, want := range map[string]map[string]string{
		"mitm-load":       {"Load/proto=http/c=10": "failed: 12 of 30426 requests failed", "Load/proto=http/c=1": "ok: "},
		"mock-server-1.0": {"HTTP/n=10/c=4/scenario=denied": "failed: 2 of 10 requests failed", "Websocket/scenario=broken/frames=10": "failed: closed early", "Websocket/scenario=close/frames=10": "skipped: skipped in the file"},
		"route-latency":   {"Route/route=stats.all/transport=uds": "failed: p95-ns of 16.5 ms is over the file's own bound of 15.0 ms"},
		"parallel":        {"Parallel/vms=3/op=vm/vm=3": "failed: status error no room", "Parallel/vms=3/cat=http": "failed: it failed in some VM", "Parallel/vms=3/cat=snapshot/files=10/op=list": "failed: it failed in some VM"},
		"storage":         {"Storage/dir=var_tmp": "skipped: not writable", "Storage/dir=run": "failed: no room"},
	} {
		data, err := os.ReadFile(filepath.Join("testdata", "other", file+".json"))
		require.NoError(t, err)
		var text bytes.Buffer
		_, err = Import(&text, bytes.NewReader(data), file)
		require.NoError(t, err)
		st := statuses(t, text.Bytes())
		for op, how := range want {
			require.Contains(t, st, op, file)
			assert.Equal(t, how, string(st[op].Status)+": "+st[op].Reason, op)
			if st[op].Status != record.OK {
				assert.NotContains(t, text.String(), "Benchmark"+op+"\t", "a result line of what failed")
			}
		}
	}
}

// Runs and VMs are rounds, with the values that the file has.
func TestImportedRounds(t *testing.T) {
	read := func(file, op, unit string) []float64 {
		data, err := os.ReadFile(filepath.Join("testdata", "other", file+".json"))
		require.NoError(t, err)
		var text bytes.Buffer
		_, err = Import(&text, bytes.NewReader(data), file)
		require.NoError(t, err)
		rep, err := Read(&text, file)
		require.NoError(t, err)
		for _, res := range rep.Ops {
			if res.Op.Name == op {
				return res.Values[unit].Values()
			}
		}
		return nil
	}
	assert.Equal(t, []float64{812e6, 799.5e6, 803.1e6}, read("lifecycle-0.1", "Lifecycle/op=exec_ready", "ns/op"))
	assert.Equal(t, []float64{1018.2e6, 1031.4e6, 1020e6}, read("lifecycle-0.2", "Lifecycle/op=provision", "ns/op"))
	assert.Equal(t, []float64{17.25 * mib, 17.5 * mib}, read("fork", "Fork/op=image_size", "size-B"))
	assert.Equal(t, []float64{22091.7e6, 21990.1e6}, read("parallel", "Parallel/vms=3/op=vm", "ns/op"))
	assert.Equal(t, []float64{429.5 * mib, 411 * mib}, read("parallel", "Parallel/vms=3/cat=disk/op=seq_write", "B/s"))
	assert.Equal(t, []float64{10368.0 / 10}, read("mitm-load", "Load/proto=http/c=1", "req/s"))
	assert.Equal(t, []float64{1951000}, read("storage", "Storage/dir=root/op=rand_write_4k_sync/profile=1", "p50-ns"))
}
