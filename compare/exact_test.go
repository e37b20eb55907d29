package compare

import (
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/stretchr/testify/assert"
)

// TestExactRules are metrics that no logarithm or rank does justice to.
func TestExactRules(t *testing.T) {
	t.Parallel()
	const op = "snapshot/10/list"
	set := func(base, cand func(round int) float64, unit string) *boottest.Maker {
		m := boottest.New(12)
		m.Edit = func(b *boottest.Boot) {
			of := base
			if b.Side == boottest.Cand {
				of = cand
			}
			o := b.Find(op)
			if unit != "ns/op" {
				o.ID, o.Name, o.Units = "Snapshot/op=count", "Snapshot/op=count", []string{unit}
				o.Status.Op = o.Name
			}
			for i := range o.Values {
				o.Values[i] = map[string]float64{unit: of(i)}
			}
		}
		return m
	}
	always := func(v float64) func(int) float64 { return func(int) float64 { return v } }
	tests := []struct {
		name       string
		base, cand func(int) float64
		unit       string
		want       Verdict
		by         Judgement
	}{
		{"a count that grew", always(10), always(11), "allocs/op", Slower, ByCount},
		{"a count within its budget", always(100), always(104), "allocs/op", Same, ByCount},
		{"a count that is new", always(0), always(1), "allocs/op", Slower, ByCount},
		{"a count that fell", always(10), always(5), "allocs/op", Faster, ByCount},
		{"within a tick", func(i int) float64 { return float64(30+i%2) * 1e7 }, func(i int) float64 { return float64(31+i%2) * 1e7 }, "ns/op", Same, ByClock},
		{"within a coarse tick", func(i int) float64 { return float64(3+i%2) * 1e7 }, func(i int) float64 { return float64(4+i%2) * 1e7 }, "ns/op", Unsure, ByClock},
		{"two ticks", func(i int) float64 { return float64(30+i%2) * 1e7 }, func(i int) float64 { return float64(40+i%2) * 1e7 }, "ns/op", Slower, ByRank},
		{"not positive", always(0), always(4), "ns/op", Slower, ByRaw},
		{"zero on both sides", always(0), always(0), "ns/op", Same, ByRaw},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := judged(t, set(tt.base, tt.cand, tt.unit), Options{}, 16)
			key := op
			if tt.unit != "ns/op" {
				key = "Snapshot/op=count"
			}
			f := c.find(t, key)
			assert.Equal(t, tt.by, f.Judged)
			assert.Equal(t, tt.want, f.Verdict)
			want := Pass
			if tt.want == Slower {
				want = Block
			}
			d := Gate(c)
			assert.Equal(t, want, d.Status, d.Reasons)
		})
	}
}
