package gatesim

import (
	"math"
	"slices"

	"github.com/capsem/capsem-bench/compare"
)

// Ranks returns the rule whose last look alone rejects: medians of boots, exact
// ranks stratified by stage, and Holm's correction at 1 % after 16 boots a
// side. It is what the gate's early looks are compared with.
func Ranks(rk *compare.Ranker) Gate {
	stages, cuts := []int{6, 4, 6}, []float64{0.10, 0.03}
	const total, alpha = 16, 0.01
	limit := math.Log1p(compare.DefaultBudget)
	return func(r *Release, in Injection) Verdict {
		var v Verdict
		strata := make([][]compare.Stratum, len(r.Ops))
		p := make([]float64, len(r.Ops))
		closed := make([]bool, len(r.Ops))
		for look, k := range stages {
			base, cand := r.pair(k, v.Boots, 2*total, in)
			v.Boots += 2 * k
			for i := range r.Ops {
				if closed[i] {
					continue
				}
				strata[i] = append(strata[i], compare.Stratum{Base: medians(base, i), Cand: medians(cand, i)})
				p[i] = rk.P(strata[i], 0)
				slower := compare.Shift(strata[i]) > limit
				closed[i] = !slower || look < len(cuts) && p[i] > cuts[look]
				if closed[i] {
					p[i] = 1
				}
			}
			if !slices.Contains(closed, false) {
				return v
			}
		}
		for i, adjusted := range compare.Holm(p) {
			if adjusted <= alpha {
				v.Blocked = append(v.Blocked, i)
			}
		}
		return v
	}
}

// medians returns the median of one op's rounds after the warm-up in every boot.
func medians(boots [][][]float64, op int) []float64 {
	out := make([]float64, len(boots))
	for i, b := range boots {
		rounds := slices.Sorted(slices.Values(warmed(b[op])))
		out[i] = (rounds[(len(rounds)-1)/2] + rounds[len(rounds)/2]) / 2
	}
	return out
}
