package convert

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"

	"github.com/capsem/capsem-bench/internal/record"
)

// FuzzImport holds Import to its promise: an error and nothing written, or
// text in which every line means something to benchfmt and record.
func FuzzImport(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "capsem", "*.json"))
	require.NoError(f, err)
	for _, file := range append(files, otherFiles(f)...) {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data)
	}
	const head = `{"version":"0.3.0","timestamp":1,"hostname":"h",`
	for _, body := range []string{
		`"snapshot":{"0_files":{"create_ms":0,"create_ok":true}}}`,
		`"http":{"url":"%","total_requests":0,"successful":0,"failed":0,"requests_per_sec":0,"latency_ms":{"min":0,"max":0,"mean":0,"p50":0,"p95":0,"p99":0}}}`,
		`"throughput":{"skipped":true,"reason":"\u0000\n"}}`,
		`"startup":{"runs_per_command":3,"commands":{"a b":{"command":[],"error":"x"}}}}`,
	} {
		f.Add([]byte(head + body))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		if _, err := Import(&out, bytes.NewReader(data), "f.json"); err != nil {
			require.Zero(t, out.Len())
			return
		}
		checkText(t, out.Bytes())
	})
}

func checkText(t *testing.T, text []byte) {
	t.Helper()
	for line := range bytes.Lines(text) {
		require.LessOrEqual(t, len(line), record.MaxLine)
		if bytes.HasPrefix(line, []byte(record.Prefix)) {
			_, err := record.Parse(line)
			require.NoError(t, err)
		}
	}
	rep, err := Read(bytes.NewReader(text), "f")
	require.NoError(t, err)
	require.Empty(t, rep.Warnings)
	for _, res := range rep.Ops {
		require.NotEqual(t, "reported ok without a result", res.Reason, res.Op.Name)
	}
	r := benchfmt.NewReader(bytes.NewReader(text), "f")
	for r.Scan() {
		if bad, ok := r.Result().(*benchfmt.SyntaxError); ok {
			t.Errorf("benchfmt: %v", bad)
		}
	}
	require.NoError(t, r.Err())
}

// FuzzImportValue puts any JSON value in the place of one value of a document
// that is right otherwise, so that it reaches the readers of the sections.
func FuzzImportValue(f *testing.F) {
	var docs [][]byte
	for _, name := range []string{"lab", "wrapper", "failed", "own"} {
		data, err := os.ReadFile(filepath.Join("testdata", "capsem", name+".json"))
		require.NoError(f, err)
		docs = append(docs, data)
	}
	for _, file := range otherFiles(f) {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		docs = append(docs, data)
	}
	scalar := regexp.MustCompile(`: ("[^"]*"|[-0-9.e]+|true|false)`)
	for i, value := range []string{"0", "1e18", "-1", "9007199254740993", "0.05", `""`, `"\u0000"`, "null", "true", "{}", "[1,2]", `{"error":""}`, `{"skipped":true}`} {
		f.Add(uint(i), uint(i*7), value)
	}
	f.Fuzz(func(t *testing.T, doc, place uint, value string) {
		data := docs[doc%uint(len(docs))]
		spots := scalar.FindAllSubmatchIndex(data, -1)
		spot := spots[place%uint(len(spots))]
		changed := slices.Concat(data[:spot[2]], []byte(value), data[spot[3]:])
		var out bytes.Buffer
		if _, err := Import(&out, bytes.NewReader(changed), "f.json"); err != nil {
			require.Zero(t, out.Len())
			return
		}
		checkText(t, out.Bytes())
	})
}
