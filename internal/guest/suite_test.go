package guest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchunit"
)

func TestPrintable(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{" two\nlines\tand tab ", 100, "two lines and tab"},
		{"bell\a esc\x1b[31m nul\x00 c1\u009b del\x7f", 100, "bell esc[31m nul c1 del"},
		{"not \xff utf-8", 100, "not  utf-8"},
		{"line\u2028separator", 100, "lineseparator"},
		{strings.Repeat("x", 20), 10, "xxxxxxx..."},
		{"üüüüü", 8, "üü..."},
		{"", 10, ""},
	} {
		got := Printable(tt.in, tt.limit)
		assert.Equal(t, tt.want, got)
		assert.LessOrEqual(t, len(got), tt.limit)
	}
}

func TestStatusOfAnOperation(t *testing.T) {
	op, _ := catalogue.Lookup("Disk/op=seq_read/size=256MiB")
	samples := record.Samples{ElapsedNS: 1}
	for _, tt := range []struct {
		name   string
		rounds []error
		want   record.State
		reason string
		failed bool
	}{
		{"ok", []error{nil, nil}, record.OK, "", false},
		{"skipped", []error{SkipError("no disk")}, record.Skipped, "no disk", false},
		{"skipped after a good round", []error{nil, SkipError("no disk")}, record.Failed, "skipped: no disk", true},
		{"invalid", []error{nil, InvalidError("sparse")}, record.Invalid, "sparse", true},
		{"failed", []error{errors.New("one\nline"), nil}, record.Failed, "one line", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &opRun{op: op, run: newRun(nil)}
			for _, err := range tt.rounds {
				o.keep(samples, record.Status{}, err)
			}
			lines := o.lines()
			st := lines[len(lines)-1].(record.Status)
			assert.Equal(t, tt.want, st.Status)
			assert.Equal(t, tt.reason, st.Reason)
			assert.Equal(t, tt.failed, o.run.failed)
			for i, line := range lines[:len(lines)-1] {
				assert.Equal(t, i+1, line.(record.Samples).Round)
			}
		})
	}
}

func TestWorseKeepsTheWarmestRound(t *testing.T) {
	cold := record.Status{Cache: record.CacheCold, Pages: 100, Doubts: []string{"a"}}
	warm := record.Status{Cache: record.CacheWarm, Pages: 100, Resident: 50, Doubts: []string{"a", "b"}}
	for _, got := range []record.Status{worse(cold, warm), worse(warm, cold), worse(worse(cold, warm), cold)} {
		assert.Equal(t, record.CacheWarm, got.Cache)
		assert.EqualValues(t, 50, got.Resident)
		assert.ElementsMatch(t, []string{"a", "b"}, got.Doubts)
	}
	assert.Equal(t, record.CacheUnverified, worse(cold, record.Status{Cache: record.CacheUnverified}).Cache)
}

func TestCheckMetrics(t *testing.T) {
	op, _ := catalogue.Lookup("Throughput")
	assert.NoError(t, checkMetrics(op, record.Samples{Metrics: map[string]float64{"ns/op": 1, "B/s": 1}}))
	assert.EqualError(t, checkMetrics(op, record.Samples{Metrics: map[string]float64{"ns/op": 1}}), "Throughput reported no B/s")
}

// benchstat must find every value of a unit in one table.
func TestPrintedValuesKeepTheirUnit(t *testing.T) {
	for _, u := range catalogue.Units() {
		_, want := benchunit.Tidy(1, u.Name)
		line := fmt.Sprintf("BenchmarkX 1 %v %s\n", printed(u.Name, 0), u.Name)
		r := benchfmt.NewReader(strings.NewReader(line), "")
		require.True(t, r.Scan())
		got := r.Result().(*benchfmt.Result).Values[0].Unit
		if u.Name == "ns/op" { // set by every pass, never 0
			continue
		}
		assert.Equal(t, want, got)
	}
}

// The single values of a large round must not cost the rest of its line.
func TestLongSamplesLoseTheirValues(t *testing.T) {
	s := record.Samples{Type: record.TypeSamples, Op: "HTTP/n=50/c=5", Latency: &record.Latency{P50: 7}}
	for range 5000 {
		s.Values = append(s.Values, 1_000_000_000)
	}
	out := silence(t, func() { write(s) })
	assert.Less(t, len(out), record.MaxLine)
	assert.Contains(t, out, `"p50":7`)
	assert.NotContains(t, out, "values_ns")
}

func TestSummarize(t *testing.T) {
	assert.Nil(t, Summarize(nil))
	ns := make([]int64, 0, 101)
	for i := range int64(101) {
		ns = append(ns, 100-i)
	}
	assert.Equal(t, &record.Latency{Min: 0, Mean: 50, P50: 50, P95: 95, P99: 99, Max: 100}, Summarize(ns))
	assert.InDelta(t, 38.5, Summarize([]int64{10, 20, 30, 40}).P95, 1e-9, "type 7 interpolates at (n-1)*p")
}
