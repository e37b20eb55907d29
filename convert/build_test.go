package convert

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/record"
)

// The build that a run line names is in the JSON, comes back from it, and is
// absent of a text from before there was one.
func TestBuildThatMeasured(t *testing.T) {
	t.Parallel()
	const result = "BenchmarkThroughput-4 \t 1 \t 3102040816 ns/op \t 33802922 B/s\n" +
		record.Prefix + `{"type":"status","op":"Throughput","status":"ok"}` + "\n"
	for _, c := range []struct {
		name string
		run  record.Run
		want string // in JSON; "" is none
	}{
		{"older text", record.Run{}, ""},
		{"guest binary alone", record.Run{Go: "go1.26.8"}, `{"version":"0.1.0","go":"go1.26.8"}`},
		{
			"command of a commit",
			record.Run{Commit: "1a2b3c", Date: "2026-11-30T12:00:00Z", Go: "go1.26.8"},
			`{"version":"0.1.0","commit":"1a2b3c","dirty":false,"date":"2026-11-30T12:00:00Z","go":"go1.26.8"}`,
		},
		{
			"files differed",
			record.Run{Commit: "1a2b3c", Dirty: true, Go: "go1.26.8"},
			`{"version":"0.1.0","commit":"1a2b3c","dirty":true,"go":"go1.26.8"}`,
		},
	} {
		c.run.Type, c.run.Schema, c.run.Version, c.run.Arch = record.TypeRun, record.Schema, "0.1.0", "x86_64"
		line, err := json.Marshal(c.run)
		require.NoError(t, err)
		doc := toJSON(t, []byte(record.Prefix+string(line)+"\n"+result+record.Prefix+`{"type":"end","status":"ok","time":1,"elapsed_ns":1}`+"\n"))
		require.NoError(t, schema(t).Validate(decoded(t, doc)), c.name)
		build := func(doc []byte) string {
			var d struct {
				Additions struct {
					Environment struct{ Build json.RawMessage }
				} `json:"capsem_bench"`
			}
			require.NoError(t, json.Unmarshal(doc, &d))
			return string(d.Additions.Environment.Build)
		}
		if c.want == "" {
			assert.Empty(t, build(doc), c.name)
			continue
		}
		assert.JSONEq(t, c.want, build(doc), c.name)
		var text bytes.Buffer
		_, err = Import(&text, bytes.NewReader(doc), "f")
		require.NoError(t, err, c.name)
		assert.JSONEq(t, c.want, build(toJSON(t, text.Bytes())), c.name)
	}
}
