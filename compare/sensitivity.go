package compare

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/aclements/go-moremath/stats"
)

// power is the share of slowdowns that "finds" refers to.
const power = 0.80

// A Sensitivity says how small a slowdown of one op a plan finds with 80 %
// power. It is worked out from draws of normal boots, with a fixed seed: in
// each the plan names every slowdown beyond some size. 'just gate-check' holds
// it to what the plan does name, for boots of a standard deviation of 1 to 20 %.
type Sensitivity struct {
	// With boots of standard deviation 1, a slowdown has to be larger than
	// log(1 + budget) + estimate*sd for the estimate to pass the budget, and
	// larger than margin + test*sd for the tests to reject, at every look.
	estimate, test []float64
	margin         float64
}

// SensitivityOf returns what a plan finds when so many ops are tested together.
// A slowdown that a look before the last stops for is nearly always one that
// the last look finds too, so of the levels only the last counts.
func SensitivityOf(plan Plan, rk *Ranker, family int) *Sensitivity {
	draws := 1000
	if plan.Last() > 24 {
		draws = 300 // a draw has as many differences as the square of its boots
	}
	pass := plan.passes(family)
	rng := rand.New(rand.NewPCG(2, 2))
	s := &Sensitivity{make([]float64, draws), make([]float64, draws), plan.Margin}
	for i := range draws {
		s.estimate[i], s.test[i] = math.Inf(-1), math.Inf(-1)
		var strata []Stratum
		for look, k := range plan.Stages() {
			st := Stratum{Base: make([]float64, k), Cand: make([]float64, k)}
			for b := range k {
				st.Base[b], st.Cand[b] = rng.NormFloat64(), rng.NormFloat64()
			}
			strata = append(strata, st)
			if look < len(plan.Looks)-1 && look >= len(plan.Cuts) {
				continue // settles nothing
			}
			s.estimate[i] = max(s.estimate[i], -Shift(strata))
			switch {
			case look < len(plan.Looks)-1:
				s.test[i] = max(s.test[i], rk.turnsRank(strata, plan.Cuts[look]))
			case plan.Final > 0:
				s.test[i] = max(s.test[i], turnsT(strata, pass))
			default:
				s.test[i] = max(s.test[i], rk.turnsRank(strata, plan.Alpha/float64(max(family, 1))))
			}
		}
	}
	return s
}

// turnsRank returns the slowdown with which the rank test rejects at a level.
func (r *Ranker) turnsRank(strata []Stratum, level float64) float64 {
	pairs, reject := r.untied(strata, level)
	for p := range pairs {
		pairs[p].d = -pairs[p].d // the slowdown that turns the pair
	}
	slices.SortFunc(pairs, func(a, b weighted) int { return compareFloat(a.d, b.d) })
	if by, ok := limit(pairs, reject); ok {
		return by
	}
	return math.Inf(1)
}

// passes is the statistic of clippedMaxT that the last look asks of one of so
// many ops. Of normal boots it is, unclipped, that of a correlation with the
// labels, r = t/sqrt(t*t+df), times half the root of all boots. Ops are taken
// for independent.
func (p Plan) passes(family int) float64 {
	n := 2 * p.Last()
	stages := p.cells()
	df := float64(n - len(stages) - 1)
	if df < 1 || MinP(stages...) > p.Final {
		return math.Inf(1) // no slowdown has so small a share of permutations
	}
	level := -math.Expm1(math.Log1p(-p.Final) / float64(max(family, 1)))
	dist := stats.TDist{V: df}
	lo, hi := 0.0, 1e6
	for range 60 {
		if mid := (lo + hi) / 2; dist.CDF(-mid) > level {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi / math.Sqrt(hi*hi+df) * math.Sqrt(float64(n)) / 2
}

// turnsT returns the slowdown with which the clipped statistic of boots of
// standard deviation 1 is pass.
func turnsT(strata []Stratum, pass float64) float64 {
	lo, hi := -1.0, 7.0
	if clippedT(strata, hi) < pass {
		if lo, hi = hi, 32; clippedT(strata, hi) < pass {
			return math.Inf(1)
		}
	}
	for range 8 {
		if mid := (lo + hi) / 2; clippedT(strata, mid) >= pass {
			hi = mid
		} else {
			lo = mid
		}
	}
	return (lo + hi) / 2
}

// clippedT is the statistic of clippedMaxT for one op whose candidate boots
// are slower by so much.
func clippedT(strata []Stratum, by float64) (t float64) {
	var square float64
	for _, s := range strata {
		values := clipValues(s.Base, shifted(s.Cand, by))
		var mean float64
		for _, v := range values {
			mean += v / float64(len(values))
		}
		for k, v := range values {
			square += (v - mean) * (v - mean)
			if k >= len(s.Base) {
				t += v - mean
			}
		}
	}
	if square == 0 {
		return 0
	}
	return t / math.Sqrt(square)
}

// Of returns the smallest slowdown that the plan finds of an op whose boots
// are as these are, in the unit of its budget's limit: log, or the op's own.
// +Inf is where it finds none. It is the same whichever look settled the op.
func (s *Sensitivity) Of(op Op, res OpResult) float64 {
	margin := s.margin
	if op.Linear {
		margin = 0
	}
	return s.Smallest(Scatter(res.Strata), Scatter(res.Tested), margin, op.limit())
}

// Smallest returns the smallest slowdown found of an op whose boots have the
// standard deviation sd as measured and tested without their common movement.
func (s *Sensitivity) Smallest(sd, tested, margin, limit float64) float64 {
	if math.IsNaN(sd) || math.IsNaN(tested) {
		return math.Inf(1)
	}
	sizes := make([]float64, len(s.test))
	for i := range sizes {
		sizes[i] = max(limit+s.estimate[i]*sd, margin+s.test[i]*tested)
		if math.IsInf(s.test[i], 1) {
			sizes[i] = math.Inf(1) // also of boots that are alike to the digit
		}
	}
	slices.Sort(sizes)
	return sizes[int(math.Ceil(power*float64(len(sizes))))-1]
}

// Scatter returns the standard deviation between boots of one side and stage:
// 1.0483 times the median of the distances between two boots (Shamos 1976),
// which a slow boot in ten does not move. It is NaN without a pair.
func Scatter(strata []Stratum) float64 {
	const consistent = 1.0483 // for normal values
	var d []float64
	boots, middles := 0, 0
	for _, s := range strata {
		if boots += len(s.Base) + len(s.Cand); s.blocked() {
			middles += len(s.Blocks)
		}
		for _, side := range [][]float64{s.Base, s.Cand} {
			for i, a := range side {
				for _, b := range side[:i] {
					d = append(d, math.Abs(a-b))
				}
			}
		}
	}
	if len(d) == 0 {
		return math.NaN()
	}
	slices.Sort(d)
	// A value that is aligned with n others scatters by 1-1/n of its variance.
	return consistent * middle(d) * math.Sqrt(float64(boots)/float64(max(boots-middles, 1)))
}
