package gatesim

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadRecording(t *testing.T) {
	const boot = `{"boot":0,"time":1,"metrics":{"disk.w_MBps":[10,20,40],"snap.create_ms":[1,2,3],"odd":[1,1]}}` + "\n"
	tests := []struct {
		name, text, err string
		metrics         []string
	}{
		{"two boots", boot + boot, "", []string{"disk.w_MBps", "odd", "snap.create_ms"}},
		{"empty lines", boot + "\n" + boot, "", []string{"disk.w_MBps", "odd", "snap.create_ms"}},
		{"a metric is missing", boot + `{"metrics":{"odd":[3]}}`, "", []string{"odd"}},
		{"a metric is 0", boot + `{"metrics":{"odd":[3],"disk.w_MBps":[0]}}`, "", []string{"odd"}},
		{"nothing in common", boot + `{"metrics":{"even":[3]}}`, "f: no metric that every boot has", nil},
		{"too few", boot, "f: 1 boots; a replay needs at least 2", nil},
		{"nothing", "", "f: 0 boots", nil},
		{"no JSON", boot + "boots", "f:2: want one boot as a JSON object", nil},
		{"no numbers", `{"metrics":{"a":["x"]}}`, "f:1: want one boot", nil},
		{"no metrics", boot + `{"boot":1}`, `f:2: no "metrics"`, nil},
		{"cut gzip", "\x1f\x8b", "f: unexpected EOF", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec, err := ReadRecording(strings.NewReader(tt.text), "f", 2)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.metrics, rec.Metrics)
			assert.Len(t, rec.Notes, 3-len(tt.metrics))
		})
	}
}

func TestRecordingIsOriented(t *testing.T) {
	var text bytes.Buffer
	z := gzip.NewWriter(&text)
	for i := range 8 {
		fmt.Fprintf(z, `{"metrics":{"a.x_MBps":[1,%d,%d],"a.y_ms":[%d],"b.z_ms":[1]}}`+"\n", i+1, i+1, i+1)
	}
	require.NoError(t, z.Close())
	rec, err := ReadRecording(&text, "f", 8)
	require.NoError(t, err)
	assert.Equal(t, []Op{{Group: 0}, {Group: 0}, {Group: 1}}, rec.ops)

	rng := rand.New(rand.NewPCG(1, 1))
	r := rec.Draw(8, true)(rng)
	base, cand := r.pair(2, 0, 8, nil)
	more, _ := r.pair(2, 4, 8, nil)
	assert.InDeltaSlice(t, []float64{0, -math.Log(2)}, values(base, 0), 1e-12)
	assert.InDeltaSlice(t, []float64{math.Log(5), math.Log(6)}, values(cand, 1), 1e-12)
	assert.InDeltaSlice(t, []float64{math.Log(3), math.Log(4)}, values(more, 1), 1e-12)

	// An injection is not left behind in the recording.
	r = rec.Draw(8, false)(rng)
	r.pair(4, 0, 8, Slow(3, 2, 1))
	base, cand = rec.Draw(8, false)(rng).pair(4, 0, 8, nil)
	assert.Equal(t, make([]float64, 8), append(values(base, 2), values(cand, 2)...))
}
