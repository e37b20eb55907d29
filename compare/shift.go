package compare

import (
	"math"
	"slices"
)

// Shift returns the stratified Hodges-Lehmann estimate: the median of all
// differences New-Old within strata, in log. It is NaN without a pair.
func Shift(strata []Stratum) float64 {
	d := pairwise(strata)
	if len(d) == 0 {
		return math.NaN()
	}
	return middle(d)
}

func pairwise(strata []Stratum) []float64 {
	pairs := 0
	for _, s := range strata {
		pairs += len(s.Base) * len(s.Cand)
	}
	d := make([]float64, 0, pairs)
	for _, s := range strata {
		for _, o := range s.Base {
			for _, n := range s.Cand {
				d = append(d, n-o)
			}
		}
	}
	slices.Sort(d)
	return d
}

// middle is the median of sorted values.
func middle(sorted []float64) float64 {
	h := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[h]
	}
	return (sorted[h-1] + sorted[h]) / 2
}

// Interval returns the shift, as Shift does, with its exact two-sided
// confidence interval at the given level (0.95), by inverting the test for
// values without ties (Moses 1965; Lehmann 1963). With ties it is closed and
// covers at least as much. A side that the number of boots cannot bound is
// infinite.
func (r *Ranker) Interval(strata []Stratum, level float64) (shift, lo, hi float64) {
	if anyBlocked(strata) {
		return r.blockedInterval(strata, level)
	}
	d := pairwise(strata)
	lo, hi = math.Inf(-1), math.Inf(1)
	if len(d) == 0 {
		return math.NaN(), lo, hi
	}
	pairs, reject := r.untied(strata, (1-level)/2)
	// Worse by more than x is rejected where the pairs above x weigh enough:
	// the lower limit is the first difference at which they do not.
	slices.SortFunc(pairs, func(a, b weighted) int { return -compareFloat(a.d, b.d) })
	if w, ok := limit(pairs, reject); ok {
		lo = w
	}
	slices.Reverse(pairs)
	if w, ok := limit(pairs, reject); ok {
		hi = w
	}
	return middle(d), lo, hi
}

// weighted is the difference of a pair of boots with its stage's weight.
type weighted struct {
	d float64
	w int64
}

// untied returns all pairs of boots, and how much the pairs that speak for
// "worse" have to weigh for a p-value of at most level, if no values are tied.
func (r *Ranker) untied(strata []Stratum, level float64) (pairs []weighted, reject int64) {
	var stages []stage
	var kept []Stratum
	for _, s := range strata {
		if len(s.Base) > 0 && len(s.Cand) > 0 {
			stages, kept = append(stages, untiedStage(len(s.Base), len(s.Cand))), append(kept, s)
		}
	}
	scale := scales(stages)
	var least int64 // the statistic when no pair speaks for it
	for i, s := range kept {
		n := int64(len(s.Cand))
		least += scale[i] * n * (n + 1)
		for _, o := range s.Base {
			for _, c := range s.Cand {
				pairs = append(pairs, weighted{c - o, 2 * scale[i]})
			}
		}
	}
	return pairs, r.null(stages, scale).critical(level) - least
}

// untiedStage is a stage whose values all differ.
func untiedStage(base, cand int) stage {
	st := stage{n: cand}
	for i := range base + cand {
		st.ranks = append(st.ranks, int64(2*i+2))
	}
	return st
}

// critical is the smallest statistic whose p-value is at most level.
func (n null) critical(level float64) int64 {
	i, _ := slices.BinarySearchFunc(n.tail, level, func(p, level float64) int {
		if p > level*(1+1e-12) {
			return -1
		}
		return 1
	})
	return n.lo + int64(i)
}

// limit returns the difference of the pair, in order, with which the weights
// reach what it takes; false where they never do.
func limit(pairs []weighted, reject int64) (float64, bool) {
	var sum int64
	for _, p := range pairs {
		if sum += p.w; sum >= reject {
			return p.d, true
		}
	}
	return 0, false
}

// mirror swaps the meaning of better and worse.
func mirror(strata []Stratum) []Stratum {
	out := make([]Stratum, len(strata))
	for i, s := range strata {
		out[i] = Stratum{Base: negate(s.Base), Cand: negate(s.Cand), Blocks: s.Blocks}
	}
	return out
}

func negate(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = -x
	}
	return out
}
