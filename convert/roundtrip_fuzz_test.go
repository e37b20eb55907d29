package convert

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// without drops what a second reading need not say again: where in the first
// text something was wrong, and what that text's tool was.
func without(t *testing.T, doc []byte) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal(doc, &v))
	own := v["capsem_bench"].(map[string]any)
	delete(own, "warnings")
	delete(own, "failures")
	return v
}

// again imports a document and writes what was read of the import.
func again(t *testing.T, doc []byte) []byte {
	t.Helper()
	var text bytes.Buffer
	_, err := Import(&text, bytes.NewReader(doc), "doc.json")
	require.NoError(t, err, string(doc))
	rep, err := Read(bytes.NewReader(text.Bytes()), "f")
	require.NoError(t, err, text.String())
	require.Empty(t, rep.Warnings, text.String())
	return checkReport(t, rep)
}

// Kind: a writer and a reader with different grammars. Whatever convert writes,
// import reads, and says the same of every operation, times to the nanosecond.
func TestWhatConvertWritesImportReads(t *testing.T) {
	for name, text := range map[string]string{
		"foreign":            "BenchmarkEncode-2 10 103 ns/op\n",
		"parts of a ns":      "pkg: example.org/q\nBenchmarkAdd-2 1000000000 0.2513 ns/op 0 B/op 0 allocs/op\n",
		"rounds":             "pkg: example.org/q\nBenchmarkA-2 3 7 ns/op\nBenchmarkA-2 4 9.5 ns/op\n",
		"packages":           "pkg: example.org/a\nBenchmarkE-2 1 10 ns/op\npkg: example.org/b\nBenchmarkE-2 1 20 ns/op\n",
		"processors":         "BenchmarkE 1 1000 ns/op\nBenchmarkE-2 1 520 ns/op\n",
		"declared units":     "Unit hits/op better=higher\nBenchmarkA-2 1 52 hits/op\nBenchmarkB-2 1 5 µs/op 7 score\n",
		"odd names":          "BenchmarkÄ/a=b/c:d#01-2 1 5 ns/op\nBenchmark_x/\"q\"-2 1 5 ns/op\n",
		"failed":             "pkg: example.org/q\nBenchmarkA-2 1 5 ns/op\n--- FAIL: BenchmarkB/x=1\n--- SKIP: BenchmarkC-2\npanic: boom\nFAIL\texample.org/q\t0.6s\n",
		"a category's":       "BenchmarkHTTP/n=50/c=5/mode=x-2 1 5 ns/op 3 req/s\nBenchmarkDisk/op=other-2 1 5 ns/op\n",
		"catalogue":          "BenchmarkThroughput-2 1 5000000 ns/op 20 B/s\nBenchmarkDisk/op=seq_read/size=256MiB-2 1 123456789 ns/op 17 B/s\n",
		"samples alone":      "#capsem {\"type\":\"samples\",\"op\":\"X/a=b\",\"round\":1,\"elapsed_ns\":5000,\"count\":1,\"metrics\":{\"ns/op\":5000}}\n",
		"samples, no time":   "#capsem {\"type\":\"samples\",\"op\":\"X/a=b\",\"round\":1,\"count\":1,\"metrics\":{\"ns/op\":5000}}\n",
		"catalogue, foreign": "pkg: example.org/q\nBenchmarkThroughput-2 1 5 ns/op\n",
	} {
		t.Run(name, func(t *testing.T) {
			rep := readText(t, text)
			first := checkReport(t, rep)
			second := again(t, first)
			assert.Equal(t, without(t, first), without(t, second), string(first))
			if len(rep.Failures) > 0 {
				assert.Contains(t, string(second), rep.Failures[0].Reason)
			}
		})
	}
	doc := checkReport(t, readText(t, "BenchmarkEncode-2 10 103 ns/op\n"))
	assert.Contains(t, string(doc), `"duration_s": 1.03e-06`, "10 iterations of 103 ns")
}

// FuzzWhatConvertWritesImportReads holds any text to it.
func FuzzWhatConvertWritesImportReads(f *testing.F) {
	for _, seed := range textSeeds(f) {
		f.Add(seed)
	}
	f.Add([]byte("pkg: a\nBenchmarkE-2 1 10 ns/op\npkg: b\nBenchmarkE-2 1 20 x/op\nUnit x/op better=higher\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rep, err := Read(bytes.NewReader(text), "f")
		if err != nil {
			return
		}
		if len(rep.Ops) == 0 {
			return
		}
		again(t, checkReport(t, rep))
	})
}
