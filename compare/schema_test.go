package compare

import (
	"bytes"
	"encoding/csv"
	"path/filepath"
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// compareSchema compiles docs/compare.schema.json.
func compareSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "docs", "compare.schema.json"))
	require.NoError(t, err)
	s, err := jsonschema.NewCompiler().Compile(path)
	require.NoError(t, err)
	return s
}

func holdToSchema(t *testing.T, s *jsonschema.Schema, doc []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	require.NoError(t, err)
	assert.NoError(t, s.Validate(v), "not what docs/compare.schema.json says")
}

// TestJSONIsWhatItsSchemaSays holds comparisons of every answer to the schema,
// and shows that the schema refuses something.
func TestJSONIsWhatItsSchemaSays(t *testing.T) {
	t.Parallel()
	s := compareSchema(t)
	sequential := slowed(10, everything(0.2))
	sequential.Sequential = true
	failing := slowed(10, nil)
	failing.Edit = func(b *boottest.Boot) {
		if b.Side == boottest.Cand {
			b.Fail("http/get", "it broke")
			b.Skip("startup/node", "no node")
		}
	}
	seen := make(map[Status]bool)
	for name, c := range map[string]*Comparison{
		"pass":       judged(t, slowed(10, nil), Options{}, 16),
		"block":      judged(t, slowed(9, map[string]float64{"disk/seq_read": 0.3}), Options{}, 6, 4, 6),
		"whole":      judged(t, slowed(10, everything(0.1)), Options{}, 16),
		"sequential": judged(t, sequential, Options{}, 16),
		"failing":    judged(t, failing, Options{}, 16),
		"few":        judged(t, slowed(10, nil), Options{NoMore: true}, 5),
		"forced":     judged(t, slowed(10, nil), Options{Force: true}, 2),
		"repeated": judged(t, slowed(10, nil), Options{Repeats: []Repeat{
			{Stage: 1, Pair: 2, Side: "cand", Cause: Crashed, Reason: "kernel panic"}, {Stage: 1, Pair: 3, Cause: Interrupted, Reason: "the trial was interrupted"},
		}}, 16),
	} {
		t.Run(name, func(t *testing.T) {
			var plain, gated bytes.Buffer
			require.NoError(t, WriteJSON(&plain, c, nil))
			holdToSchema(t, s, plain.Bytes())
			d := Gate(c)
			seen[d.Status] = true
			require.NoError(t, WriteJSON(&gated, c, d))
			holdToSchema(t, s, gated.Bytes())
			for _, bad := range [][2]string{{`"order": "`, `"order": "x`}, {`"findings": [`, `"found": [`}, {`"metrics_judged": `, `"metrics_judged": -`}} {
				v, err := jsonschema.UnmarshalJSON(bytes.NewReader(bytes.Replace(gated.Bytes(), []byte(bad[0]), []byte(bad[1]), 1)))
				require.NoError(t, err)
				assert.Error(t, s.Validate(v), bad[1])
			}
		})
	}
	assert.Len(t, seen, 3, "every answer")
}

// TestCSVHasMovements finds what moved as a whole behind the metrics, and the
// gate's answer and its next step behind that.
func TestCSVHasMovements(t *testing.T) {
	c := judged(t, slowed(10, everything(0.1)), Options{}, 16)
	require.NotEmpty(t, c.Movements)
	var out bytes.Buffer
	d := Gate(c)
	require.NoError(t, WriteCSV(&out, c, d))
	rows, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 1+len(c.Findings)+len(c.Movements)+1+len(d.Plan))
	named := func(n int) map[string]string {
		row := make(map[string]string)
		for i, name := range rows[0] {
			row[name] = rows[n][i]
		}
		return row
	}
	gate := named(len(rows) - 1 - len(d.Plan))
	assert.Equal(t, "gate block", gate["op"]+" "+gate["verdict"])
	assert.Equal(t, c.Headline(d), gate["reason"])
	assert.Equal(t, "next", named(len(rows) - 1)["op"])
	row := named(1 + len(c.Findings))
	assert.Equal(t, "everything", row["category"])
	assert.Equal(t, "as a whole", row["op"])
	assert.Equal(t, "slower", row["verdict"])
	assert.Regexp(t, `^0\.(09|10)`, row["change"])
	assert.NotEmpty(t, row["p_adjusted"])
	assert.Empty(t, row["old"])
}
