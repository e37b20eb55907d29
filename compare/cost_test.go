package compare

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestCostOfTies bounds what the exact tests of 60 ops and 64 boots a side
// cost, by the additions they make: 1,000 million take about a second.
func TestCostOfTies(t *testing.T) {
	t.Parallel()
	const most = 1_000_000_000
	for _, looks := range [][]int{{64}, {32, 64}, {5, 12, 23, 41, 64}} {
		for _, step := range []float64{0, 0.001, 0.01, 0.05} { // of the values: 0 ties none
			rng := rand.New(rand.NewPCG(1, 2))
			ops := make([]Op, 60)
			for i := range ops {
				ops[i] = Op{Budget: 0.05, Group: strconv.Itoa(i / 10)}
			}
			plan, err := PlanOf(looks)
			assert.NoError(t, err)
			value := func(by float64) float64 {
				v := by + 0.03*rng.NormFloat64()
				if step > 0 {
					v = math.Round(v/step) * step
				}
				return v
			}
			rk := NewRanker()
			res := Replay(plan, rk, ops, func(stage int, _ []bool) []Stratum {
				out := make([]Stratum, len(ops))
				for i := range out {
					for range plan.Stages()[stage] {
						out[i].Base, out[i].Cand = append(out[i].Base, value(0)), append(out[i].Cand, value(0.1))
					}
				}
				return out
			})
			assert.True(t, res.Ops[7].Regressed, "looks %v, step %g", looks, step)
			assert.Less(t, rk.work, int64(most), "looks %v, step %g", looks, step)
		}
	}
}

// TestMirrorOfTies holds both tails of tied stages, which share a
// distribution, to what all ways to choose the labels say.
func TestMirrorOfTies(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(21, 22))
	rk := NewRanker()
	for range 60 {
		strata := make([]Stratum, 2)
		for i := range strata {
			for range 4 {
				strata[i].Base = append(strata[i].Base, float64(rng.IntN(3)))
				strata[i].Cand = append(strata[i].Cand, float64(rng.IntN(4)))
			}
		}
		assert.InDelta(t, enumerate(strata), rk.P(strata, 0), 1e-12, "%v", strata)
		assert.InDelta(t, enumerate(mirror(strata)), rk.P(mirror(strata), 0), 1e-12, "%v", strata)
	}
	// A tail keeps its digits: 8 of 8 above, all but two of a side tied.
	low, high := slices.Repeat([]float64{1}, 8), slices.Repeat([]float64{2}, 8)
	low[0], high[7] = 0, 3
	assert.InEpsilon(t, 1.0/12870, rk.P(one(low, high), 0), 1e-12)
	assert.InEpsilon(t, 1.0/12870, rk.P(mirror(one(high, low)), 0), 1e-12)
}

// TestIntervalOfWholeNumbers covers as often as that of others: ties are not
// counted as if they spoke.
func TestIntervalOfWholeNumbers(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(23, 24))
	rk := NewRanker()
	const trials, by = 1500, 2
	for _, sd := range []float64{0.6, 1, 2} {
		for _, stages := range [][]int{{16}, {6, 4, 6}} {
			covered := 0
			for range trials {
				strata := make([]Stratum, len(stages))
				for i, k := range stages {
					for range k {
						strata[i].Base = append(strata[i].Base, math.Round(20+sd*rng.NormFloat64()))
						strata[i].Cand = append(strata[i].Cand, math.Round(20+sd*rng.NormFloat64())+by)
					}
				}
				if _, lo, hi := rk.Interval(strata, 0.95); lo <= by && by <= hi {
					covered++
				}
			}
			// 1,500 trials at 95 % have a standard deviation of 0.6 points.
			assert.Greater(t, float64(covered)/trials, 0.935, "sd %g, stages %v", sd, stages)
		}
	}
}

// TestPassesAt holds the slowdown that few boots show to the t that it makes:
// one formula an op and permutation, no search.
func TestPassesAt(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(25, 26))
	for range 200 {
		values := make([]float64, 12)
		for i := range values {
			values[i] = rng.NormFloat64()
		}
		chosen := rng.Perm(12)[:6]
		slices.Sort(chosen)
		pass := 2*rng.Float64() - 0.3
		by := passesAt(values, chosen, pass)
		if pass >= math.Sqrt(3) {
			assert.True(t, math.IsInf(by, 1), "no slowdown has such a t")
			continue
		}
		at := func(by float64) float64 {
			slow := slices.Clone(values)
			for _, boot := range chosen {
				slow[boot] += by
			}
			return sumOf(standardised(slow), chosen)
		}
		assert.InDelta(t, pass, at(by), 1e-6)
		assert.Greater(t, at(by+0.1), pass)
	}
}
