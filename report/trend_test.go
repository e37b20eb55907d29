package report

import (
	"fmt"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/history"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The interval of a median is that of the sign test's tables: for 6 to 8 values
// all, for 9 the second to the eighth, for 100 the 40th to the 61st.
func TestMedianInterval(t *testing.T) {
	for n, want := range map[int][2]float64{1: {1, 1}, 2: {1, 2}, 5: {1, 5}, 6: {1, 6}, 8: {1, 8}, 9: {2, 8}, 20: {6, 15}, 100: {40, 61}, 2000: {956, 1045}} {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(n - i)
		}
		lo, hi := medianInterval(values)
		assert.Equal(t, want, [2]float64{lo, hi}, n)
	}
}

func aLine(machines int, cpu string, values ...float64) history.Line {
	l := history.Line{Machines: machines, Workload: "w"}
	l.Environment.Arch, l.Environment.CPU = "x86_64", cpu
	for i, v := range values {
		at := time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC)
		l.Points = append(l.Points, history.Point{Title: fmt.Sprint("1.", i), Time: at, Values: []float64{v, v * 1.01}, Median: v})
	}
	return l
}

// A chart of several machines says which line is whose, and the overall line
// stands for it.
func TestLinesOfSeveralMachines(t *testing.T) {
	tr := history.Trend{
		Op: "disk/seq_read", Unit: "ns/op", Category: "disk", Better: "lower",
		Lines: []history.Line{aLine(0, "one", 1e6, 1e6), aLine(0, "two", 4e6, 4e6)}, Overall: []history.Line{aLine(2, "", 2e6, 2e6)},
	}
	c, ok := newChart(tr, 0)
	require.True(t, ok)
	assert.Equal(t, []chartLegend{{"x86_64, one", 0, false, false}, {"x86_64, two", 1, false, true}, {"2 machines, each counted once", 2, true, false}}, c.Legend)
	assert.Contains(t, c.Summary, "2.00ms in 1.1")
	assert.Contains(t, c.Lines[2].Points[0].Tip, "2 machines, 2.00ms to 2.02ms")
	assert.Contains(t, c.Lines[1].Points[0].Tip, "x86_64, two")
	assert.Equal(t, []string{"x86_64, one", "x86_64, two"}, machines([]history.Trend{tr}))

	for i := range 20 {
		tr.Lines = append(tr.Lines, aLine(0, fmt.Sprint("CPU ", i), 1e6, 1e6))
	}
	c, ok = newChart(tr, 0)
	require.True(t, ok)
	assert.Len(t, c.Legend, 7)
	assert.Equal(t, "and 17 more, see Values", c.Legend[6].Name)
	one, ok := newChart(history.Trend{Unit: "ns/op", Lines: []history.Line{aLine(0, "one", 1)}}, 0)
	require.True(t, ok)
	assert.Empty(t, one.Legend)
}
