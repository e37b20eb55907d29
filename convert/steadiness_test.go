package convert

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// roundsText is the text of boots with those rounds of an operation, in ms.
func roundsText(boots ...[]float64) []Source {
	var out []Source
	for i, ms := range boots {
		var b strings.Builder
		fmt.Fprintf(&b, `#capsem {"type":"run","schema":"capsem-bench.text/1","version":"0.1.0","time":1,"seed":1,"hostname":"h","arch":"x86_64","rounds":%d,"expected":["Startup/cli=node"]}`+"\n", len(ms))
		for _, v := range ms {
			fmt.Fprintf(&b, "BenchmarkStartup/cli=node-2 \t 1\t%.0f ns/op\n", v*1e6)
		}
		b.WriteString(`#capsem {"type":"status","op":"Startup/cli=node","status":"ok"}` + "\n" + `#capsem {"type":"end","time":2,"elapsed_ns":1,"status":"ok"}` + "\n")
		out = append(out, Source{fmt.Sprintf("boot-%d.txt", i+1), strings.NewReader(b.String())})
	}
	return out
}

// What a reader of the rounds would ask about is a doubt: hyperfine has the same
// two questions of a first and of single runs.
func TestUnsteadyRounds(t *testing.T) {
	steady := []float64{101, 100, 99, 102, 98, 100, 101, 99, 100, 100}
	for name, tt := range map[string]struct {
		boots [][]float64
		want  []string
	}{
		"steady":               {[][]float64{steady}, nil},
		"one round":            {[][]float64{{100}}, nil},
		"two rounds":           {[][]float64{{180, 100}}, nil},
		"a slow first round":   {[][]float64{{180, 100, 101}}, []string{"round 1 was 1.8 times slower: warm-up?"}},
		"no slower than noise": {[][]float64{{160, 100, 101, 150, 90}}, nil},
		"a fast first round":   {[][]float64{{20, 100, 101, 99, 100, 100}}, nil},
		"in some boots": {
			[][]float64{{180, 100, 101}, {100, 100, 101}, {210, 99, 100}}, []string{"round 1 was 1.8 to 2.1 times slower in 2 of 3 boots: warm-up?"},
		},
		"a slow round": {
			[][]float64{{100, 101, 99, 230, 100, 100, 101}}, []string{"round 4 was 2.3 times slower than the median: did something else run?"},
		},
		"a fast round":      {[][]float64{{100, 101, 99, 25, 100, 100, 101}}, []string{"round 4 was 4.0 times faster than the median: did something else run?"}},
		"slow rounds":       {[][]float64{{100, 101, 99, 160, 100, 100, 300, 101, 100}}, []string{"of 9 rounds 2 were 1.6 to 3.0 times slower than the median: did something else run?"}},
		"wide rounds":       {[][]float64{{100, 140, 80, 170, 120, 90, 60, 130, 150}}, nil},
		"slower and slower": {[][]float64{{100, 101, 105, 110, 115, 120, 126, 131, 140}}, []string{"the rounds became 1.3 times slower from first to last: does something fill up, or throttle?"}},
		"faster and faster": {[][]float64{{200, 190, 180, 170, 160, 150, 140, 130, 120}}, []string{"the rounds became 1.5 times faster from first to last: does something fill up, or throttle?"}},
		"a step of 5 %":     {[][]float64{{100, 100, 100, 100, 100, 105, 105, 105, 105, 105}}, nil},
		"boots apart":       {[][]float64{{100, 101, 99, 100}, {150, 151, 149, 150}, {200, 201, 199, 200}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			rep, err := ReadAll(roundsText(tt.boots...)...)
			require.NoError(t, err)
			require.Len(t, rep.Ops, 1)
			assert.Equal(t, tt.want, rep.Ops[0].unsteady())
			var tables, doc bytes.Buffer
			require.NoError(t, WriteTables(&tables, rep, TableOptions{Width: 200}))
			require.NoError(t, rep.WriteJSON(&doc))
			for _, w := range tt.want {
				assert.Contains(t, tables.String(), w)
				assert.Contains(t, doc.String(), `"`+w+`"`)
			}
		})
	}
}

// The document says which of its values are of which boot.
func TestRoundsByBoot(t *testing.T) {
	rep, err := ReadAll(roundsText([]float64{100, 101}, []float64{99}, []float64{98, 97, 96})...)
	require.NoError(t, err)
	assert.Equal(t, []int{2, 1, 3}, rep.Ops[0].Runs)
	assert.Equal(t, [][]float64{{100e6, 101e6}, {99e6}, {98e6, 97e6, 96e6}}, rep.Ops[0].byBoot(rep.Ops[0].Values["ns/op"]))
	var doc bytes.Buffer
	require.NoError(t, rep.WriteJSON(&doc))
	assert.Regexp(t, `"rounds_by_boot": \[\s+2,\s+1,\s+3\s+\]`, doc.String())
}
