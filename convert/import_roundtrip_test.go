package convert

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// document reads benchmark text and writes it as JSON.
func toJSON(t *testing.T, text []byte) []byte {
	t.Helper()
	rep, err := Read(bytes.NewReader(text), "f")
	require.NoError(t, err)
	require.Empty(t, rep.Warnings)
	var out bytes.Buffer
	require.NoError(t, rep.WriteJSON(&out))
	return out.Bytes()
}

// capsemKeys drops our additions from a document: the members "samples" and
// "capsem_bench", which the writer puts last in their objects.
func capsemKeys(doc []byte) string {
	var out []string
	skip := ""
	for line := range strings.Lines(string(doc)) {
		body := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(body)]
		switch {
		case skip != "":
			if strings.HasPrefix(line, skip+"}") && indent == skip {
				skip = ""
			}
		case strings.HasPrefix(body, `"samples": {`) || strings.HasPrefix(body, `"capsem_bench": {`):
			out[len(out)-1] = strings.TrimSuffix(out[len(out)-1], ",\n") + "\n"
			if !strings.Contains(body, "}") {
				skip = indent
			}
		default:
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// A document of the first shape comes out as it went in, byte for byte.
func TestImportRoundTrip(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "capsem", "seed.json"))
	require.NoError(t, err)
	text, _ := importFile(t, "seed")
	assert.Equal(t, string(want)+"\n", capsemKeys(toJSON(t, text)))
}

// A document of our own imports with all its rounds, states and doubts.
func TestImportOwn(t *testing.T) {
	for _, names := range [][]string{{"seed"}, {"failed"}, {"skipped"}, {"lab"}, {"wrapper"}, {"stamped", "stamped"}, {"stamped", "skipped"}, {"stamped", "lab"}} {
		t.Run(strings.Join(names, "+"), func(t *testing.T) {
			var text bytes.Buffer
			for _, name := range names {
				one, _ := importFile(t, name)
				text.Write(one)
			}
			first := toJSON(t, text.Bytes())
			var again bytes.Buffer
			_, err := Import(&again, bytes.NewReader(first), "own.json")
			require.NoError(t, err)
			second := toJSON(t, again.Bytes())
			a, b := strings.Split(string(first), "\n"), strings.Split(string(second), "\n")
			require.Len(t, b, len(a))
			for i := range a {
				assert.Equal(t, a[i], b[i], "line %d", i+1)
			}
		})
	}
}

// Rounds of which some failed keep their states and their good values.
func TestImportOwnPartlyFailed(t *testing.T) {
	var text bytes.Buffer
	for _, name := range []string{"failed", "stamped", "stamped"} {
		one, _ := importFile(t, name)
		text.Write(one)
	}
	want, err := Read(bytes.NewReader(text.Bytes()), "f")
	require.NoError(t, err)
	var again bytes.Buffer
	_, err = Import(&again, bytes.NewReader(toJSON(t, text.Bytes())), "own.json")
	require.NoError(t, err)
	have, err := Read(bytes.NewReader(again.Bytes()), "f")
	require.NoError(t, err)
	require.Empty(t, have.Warnings)
	require.Len(t, have.Ops, len(want.Ops))
	for i, res := range have.Ops {
		assert.Equal(t, want.Ops[i].Op.Name, res.Op.Name)
		assert.Equal(t, want.Ops[i].Status, res.Status, res.Op.Name)
		assert.Equal(t, want.Ops[i].Reason, res.Reason, res.Op.Name)
	}
	assert.Equal(t, want.Find("disk/seq_read").Values, have.Find("disk/seq_read").Values)
	assert.Equal(t, []float64{47.9, 47.9}, have.Find("http/get").Values["req/s"].Values())
}

// What a run measured is in its document too, and comes back from it.
func TestImportOwnLabels(t *testing.T) {
	text, _ := importFile(t, "seed")
	labelled := bytes.Replace(text, []byte(`"type":"run",`), []byte(`"type":"run","labels":{"release":"1.4.0","commit":"0123abc"},`), 1)
	doc := toJSON(t, labelled)
	assert.Contains(t, string(doc), `"release": "1.4.0"`)
	var again bytes.Buffer
	_, err := Import(&again, bytes.NewReader(doc), "own.json")
	require.NoError(t, err)
	assert.Equal(t, string(doc), string(toJSON(t, again.Bytes())))

	for _, tt := range []struct{ bad, want string }{
		{`"release": "1,4"`, `label "release=1,4": want a printable value of at most 256 bytes without a comma`},
		{`"release": null`, `\.release: want a string, have null`},
	} {
		_, err := Import(io.Discard, strings.NewReader(strings.Replace(string(doc), `"release": "1.4.0"`, tt.bad, 1)), "own.json")
		require.Error(t, err)
		assert.Regexp(t, `own.json:\d+: capsem_bench.environment.labels`, err.Error())
		assert.Regexp(t, tt.want, err.Error())
	}
}
