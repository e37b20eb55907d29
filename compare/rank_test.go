package compare

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/perf/benchmath"
)

func one(base, cand []float64) []Stratum { return []Stratum{{Base: base, Cand: cand}} }

func TestPVectors(t *testing.T) {
	r := NewRanker()
	tests := []struct {
		name       string
		base, cand []float64
		want       float64
	}{
		{"5 against 5 separated", []float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 1.0 / 252},
		{"5 against 5 one inversion", []float64{1, 2, 3, 4, 6}, []float64{5, 7, 8, 9, 10}, 2.0 / 252},
		{"3 against 3 separated", []float64{1, 2, 3}, []float64{4, 5, 6}, 0.05},
		{"3 against 3 with ties", []float64{1, 1, 2}, []float64{2, 3, 3}, 0.10},
		{"all tied", []float64{1, 1, 1}, []float64{1, 1, 1}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.InDelta(t, tt.want, r.P(one(tt.base, tt.cand), 0), 1e-12)
		})
	}
	assert.Equal(t, 1.0, r.P(nil, 0))
	assert.Equal(t, 1.0, r.P(one(nil, []float64{1}), 0))
}

// TestPAgainstEnumeration compares the convolution with every relabelling of
// two small stages.
func TestPAgainstEnumeration(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		strata := []Stratum{draw(rng, 3, 3, 6), draw(rng, 2, 3, 4)}
		assert.InDelta(t, enumerate(strata), NewRanker().P(strata, 0), 1e-12)
	}
}

func draw(rng *rand.Rand, base, cand, values int) Stratum {
	var s Stratum
	for range base {
		s.Base = append(s.Base, float64(rng.IntN(values)))
	}
	for range cand {
		s.Cand = append(s.Cand, float64(rng.IntN(values)))
	}
	return s
}

func enumerate(strata []Stratum) float64 {
	type part struct{ stats []float64 }
	var parts []part
	var observed float64
	for _, s := range strata {
		st := rank(s, 0)
		w := 1 / float64(len(st.ranks)+1)
		observed += w * float64(st.sum)
		var p part
		for mask := range 1 << len(st.ranks) {
			var n int
			var sum int64
			for i, x := range st.ranks {
				if mask>>i&1 == 1 {
					n++
					sum += x
				}
			}
			if n == st.n {
				p.stats = append(p.stats, w*float64(sum))
			}
		}
		parts = append(parts, p)
	}
	var hit, all float64
	for _, a := range parts[0].stats {
		for _, b := range parts[1].stats {
			all++
			if a+b >= observed-1e-9 {
				hit++
			}
		}
	}
	return hit / all
}

// TestPAgainstBenchmath holds one stage without ties to the two-sided U test
// that benchstat uses.
func TestPAgainstBenchmath(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	r := NewRanker()
	for range 50 {
		var base, cand []float64
		for range 8 {
			base = append(base, rng.NormFloat64())
			cand = append(cand, rng.NormFloat64()+0.8)
		}
		th := benchmath.DefaultThresholds
		c := benchmath.AssumeNothing.Compare(benchmath.NewSample(base, &th), benchmath.NewSample(cand, &th))
		strata := one(base, cand)
		p := min(1, 2*min(r.P(strata, 0), r.P(mirror(strata), 0)))
		assert.InDelta(t, c.P, p, 1e-9)
	}
}

func TestShift(t *testing.T) {
	assert.True(t, math.IsNaN(Shift(nil)))
	assert.Equal(t, 3.0, Shift(one([]float64{1, 2, 3}, []float64{4, 5, 6})))
	// A step between stages is no difference between sides.
	assert.Equal(t, 0.0, Shift([]Stratum{{Base: []float64{1}, Cand: []float64{1}}, {Base: []float64{9}, Cand: []float64{9}}}))
}

func TestIntervalCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	r := NewRanker()
	const trials = 600
	var covered int
	for range trials {
		strata := make([]Stratum, 2)
		for i := range strata {
			stage := rng.NormFloat64()
			for range 5 {
				strata[i].Base = append(strata[i].Base, stage+rng.NormFloat64())
				strata[i].Cand = append(strata[i].Cand, stage+0.5+rng.NormFloat64())
			}
		}
		shift, lo, hi := r.Interval(strata, 0.95)
		assert.Equal(t, Shift(strata), shift)
		assert.LessOrEqual(t, lo, Shift(strata))
		assert.GreaterOrEqual(t, hi, Shift(strata))
		if lo <= 0.5 && 0.5 <= hi {
			covered++
		}
	}
	assert.Greater(t, float64(covered)/trials, 0.93)
	_, lo, hi := r.Interval(one([]float64{1, 2}, []float64{3, 4}), 0.95)
	assert.True(t, math.IsInf(lo, -1) && math.IsInf(hi, 1), "two boots a side bound nothing at 95 %%")
}

func TestMinP(t *testing.T) {
	assert.InDelta(t, 1.0/252, MinP([2]int{5, 5}), 1e-12)
	assert.InDelta(t, 1.0/(924*70), MinP([2]int{6, 6}, [2]int{4, 4}), 1e-12)
}
