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

// One round whose host kept its caches is enough for the operation to say so.
func TestHostCachesOfRounds(t *testing.T) {
	kept := record.Status{Cache: record.CacheCold, Host: record.HostKept, Doubts: []string{"kept"}}
	dropped := record.Status{Cache: record.CacheCold, Host: record.HostDropped}
	for _, st := range []record.Status{worse(kept, dropped), worse(dropped, kept)} {
		assert.Equal(t, record.HostKept, st.Host)
		assert.Equal(t, []string{"kept"}, st.Doubts)
	}
}
