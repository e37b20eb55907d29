package convert

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/record"
)

// schema compiles docs/schema.json.
func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "docs", "schema.json"))
	require.NoError(t, err)
	s, err := jsonschema.NewCompiler().Compile(path)
	require.NoError(t, err)
	return s
}

func written(t *testing.T, rep *Report) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, rep.WriteJSON(&out))
	return out.Bytes()
}

func decoded(t *testing.T, doc []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	require.NoError(t, err, string(doc))
	return v
}

// reports are runs of every kind: whole, of many rounds, with every doubt,
// ended at every place, and in which everything has every state.
func reports(t *testing.T) map[string]*Report {
	out := map[string]*Report{
		"whole": sampleReport(1), "rounds": sampleReport(6), "doubts": doubtfulReport(),
		"nothing": {Name: "empty"},
	}
	for _, state := range []record.State{record.Skipped, record.Failed, record.Invalid, record.Missing} {
		for name, keep := range map[string]func(int) bool{
			"all ":   func(int) bool { return true },
			"every ": func(i int) bool { return i%2 == 0 },
			"other ": func(i int) bool { return i%2 == 1 },
		} {
			rep := sampleReport(2)
			for i, res := range rep.Ops {
				if !keep(i) {
					continue
				}
				res.Status, res.Reason = state, "for a reason"
				if state == record.Skipped || state == record.Missing || i%4 == 0 {
					res.Rounds, res.Samples, res.Values, res.Units = 0, nil, nil, nil
				} else {
					res.Samples[0].Errors = map[string]int64{"timeout": 3}
				}
			}
			out[name+string(state)] = rep
		}
	}
	for _, res := range out["doubts"].Ops {
		if res.Status != record.OK && res.Reason == "" {
			res.Reason = "for a reason" // the reader never leaves it out
		}
	}
	text := readFixture(t, "own.txt")
	lines := bytes.SplitAfter(text, []byte("\n"))
	for n := 0; n < len(lines); n += 7 {
		rep, err := Read(bytes.NewReader(bytes.Join(lines[:n], nil)), "cut.txt")
		require.NoError(t, err)
		out["cut after "+string(lines[n])] = rep
	}
	for _, name := range []string{"seed", "stamped", "skipped", "lab", "wrapper", "failed", "own"} {
		rep, err := Read(bytes.NewReader(readFixture(t, name+".txt")), name)
		require.NoError(t, err)
		out["imported "+name] = rep
	}
	return out
}

// What the converter writes is what docs/schema.json describes.
func TestDocumentsFollowTheSchema(t *testing.T) {
	s := schema(t)
	for name, rep := range reports(t) {
		doc := written(t, rep)
		if err := s.Validate(decoded(t, doc)); err != nil {
			assert.Fail(t, "not what docs/schema.json says", "%s: %v\n%s", name, err, doc)
		}
	}
	assert.NoError(t, s.Validate(decoded(t, readFixture(t, "own.json"))))
}

// The schema refuses what readers would stumble over.
func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	doc := string(written(t, sampleReport(2)))
	for _, tt := range []struct{ name, old, new string }{
		{"another version", `"version": "0.3.0"`, `"version": "0.4.0"`},
		{"no host", `"hostname": "bench-01",`, ``},
		{"a time as text", `"timestamp": 0.0`, `"timestamp": "now"`},
		{"an unknown section", `"disk": {`, `"gpu": {}, "disk": {`},
		{"an unknown key", `"iops": `, `"iopz": 1, "iops": `},
		{"a missing key", `"successful": 50,`, ``},
		{"a negative number", `"failed": 0`, `"failed": -1`},
		{"null", `"http_code": 200`, `"http_code": null`},
		{"a block of another size", `"block_size": 4096`, `"block_size": 512`},
		{"an operation that is ok and failed", `"size_bytes": 268435456,`, `"size_bytes": 268435456, "error": "x",`},
		{"a command that no operation is named after", `"python3": {`, `"python-3": {`},
		{"no words to start", "\"command\": [\n          \"python3\",\n          \"--version\"\n        ]", `"command": []`},
		{"a snapshot call that is no truth", `"create_ok": true`, `"create_ok": "yes"`},
		{"a count of files that is none", `"10_files"`, `"ten_files"`},
		{"an unknown state", `"status": "ok"`, `"status": "fine"`},
		{"a failure without a reason", `"status": "ok"`, `"status": "failed"`},
		{"an unknown state of the cache", `"cache": "cold"`, `"cache": "icy"`},
		{"an end without its time", `"elapsed_s": 0.0,`, ``},
		{"samples that are no numbers", `"ns/op": [`, `"ns/op": ["1",`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Contains(t, doc, tt.old)
			wrong := strings.Replace(doc, tt.old, tt.new, 1)
			require.True(t, json.Valid([]byte(wrong)), wrong)
			require.Error(t, s.Validate(decoded(t, []byte(wrong))))
		})
	}
	// Capsem's own documents lack what is ours.
	require.Error(t, s.Validate(decoded(t, readFixture(t, "seed.json"))))
}
