package compare

import (
	"cmp"
	"math"
	"slices"
)

// maxPermutations is how many permutations of an op's own values are tried for a
// slowdown; of more, as many are taken at even distances.
const maxPermutations = 252

// mostSlowdown bounds the search for what few boots show: beyond ten times
// the time, boots show nothing that matters.
var mostSlowdown = math.Log(10)

// fewBoots judges the ops whose boots all have a value by MaxT; the others,
// and the groups, are not rejected.
func (r *replay) fewBoots(strata func(op int) []Stratum) []float64 {
	all := make([][]Stratum, r.single())
	for i := range all {
		all[i] = strata(i)
	}
	out := slices.Repeat([]float64{1}, len(r.ops))
	whole, at := wholeStrata(all)
	for k, p := range MaxT(whole) {
		out[at[k]] = p
	}
	return out
}

// wholeStrata returns the strata of the ops whose boots all have a value, and
// which these are.
func wholeStrata(all [][]Stratum) (whole []Stratum, at []int) {
	base, cand := 0, 0
	for _, s := range all {
		if len(s) > 0 {
			base, cand = max(base, len(s[0].Base)), max(cand, len(s[0].Cand))
		}
	}
	for i, s := range all {
		if len(s) > 0 && len(s[0].Base) == base && len(s[0].Cand) == cand {
			whole, at = append(whole, s[0]), append(at, i)
		}
	}
	return whole, at
}

// smallestMaxT says what slowdown these few boots show of each finding: none
// of one that has no value in some of them.
func (j *judge) smallestMaxT(judged []*Finding) {
	all := make([][]Stratum, len(judged))
	for i, f := range judged {
		all[i] = f.replayed.Tested
		f.Smallest = math.Inf(1)
	}
	whole, at := wholeStrata(all)
	limit, within, unit := make([]float64, len(at)), make([]float64, len(at)), make([]float64, len(at))
	for k, i := range at {
		limit[k], within[k], unit[k] = judged[i].op.limit(), mostSlowdown, 1
		if judged[i].Linear {
			// Of a median of 0 there is no ratio: the unit itself is taken.
			unit[k] = cmp.Or(math.Abs(judged[i].Base.Median), 1)
			within[k] = unit[k] * math.Expm1(mostSlowdown)
		}
	}
	for k, by := range SmallestMaxT(whole, j.plan.Alpha, limit, within) {
		f := judged[at[k]]
		if f.Linear {
			f.Smallest = by / unit[k]
		} else {
			f.Smallest = math.Expm1(by)
		}
	}
}

// SmallestMaxT returns for each op the smallest slowdown, in the unit of its
// stratum, that MaxT at level alpha names with 80 % power: +Inf where it names
// none, and never less than the op's limit, which a slowdown has to pass.
// within is how far to look, in the same unit.
//
// It assumes that other boots of this machine scatter as these do. An op's t
// has to pass what the other ops reach under all but a share of alpha of the
// ways to permute the labels; whether it does is tried with the op's own
// values, less the difference of its sides and permuted in every way. So it
// accounts for the number of ops, for what they have in common, and for slow
// boots.
func SmallestMaxT(ops []Stratum, alpha float64, limit, within []float64) []float64 {
	out := make([]float64, len(ops))
	if len(ops) == 0 {
		return out
	}
	base, n := len(ops[0].Base), len(ops[0].Base)+len(ops[0].Cand)
	var perms [][]int
	subsets(n, n-base, func(chosen []int) { perms = append(perms, slices.Clone(chosen)) })
	allowed := int(alpha * float64(len(perms))) // the true labels are one of these
	others := mostOfOthers(ops)
	tried := some(perms)
	for i, s := range ops {
		out[i] = math.Inf(1)
		if allowed == 0 {
			continue
		}
		slices.Sort(others[i])
		pass := others[i][len(perms)-allowed]
		values := slices.Concat(s.Base, shifted(s.Cand, -Shift([]Stratum{s})))
		if by := smallestNamed(values, tried, pass, limit[i]); by <= within[i] {
			out[i] = by
		}
	}
	return out
}

func some(perms [][]int) [][]int {
	if len(perms) <= maxPermutations {
		return perms
	}
	out := make([][]int, maxPermutations)
	for i := range out {
		out[i] = perms[i*len(perms)/maxPermutations]
	}
	return out
}

// smallestNamed returns the slowdown with which four in five perms of the
// values have a t over pass and a shift over limit.
func smallestNamed(values []float64, perms [][]int, pass, limit float64) float64 {
	sizes := make([]float64, len(perms))
	for i, chosen := range perms {
		// A slowdown moves the shift by itself.
		sizes[i] = max(limit, limit-sideShift(values, chosen), passesAt(values, chosen, pass))
	}
	slices.Sort(sizes)
	return sizes[int(math.Ceil(power*float64(len(sizes))))-1]
}

// passesAt returns the slowdown of the k chosen of n values with which their t
// is pass. With A the sum of the chosen less the mean of all, and Q the sum of
// squares, a slowdown x makes t = (A + c*x) / sqrt(Q + 2*A*x + c*x*x), where
// c = k*(n-k)/n. t grows with x, up to sqrt(c); +Inf is where pass is not below
// that.
func passesAt(values []float64, chosen []int, pass float64) float64 {
	n, k := float64(len(values)), float64(len(chosen))
	var mean, q float64
	for _, v := range values {
		mean += v / n
	}
	for _, v := range values {
		q += (v - mean) * (v - mean)
	}
	a, c := sumOf(values, chosen)-k*mean, k*(n-k)/n
	if pass += sameT; pass*pass >= c {
		return math.Inf(1)
	}
	// (A + c*x)^2 = pass^2*(Q + 2*A*x + c*x*x), with y = A + c*x:
	// y^2 = pass^2*(Q - A*A/c) / (1 - pass^2/c), and y has the sign of pass.
	y := math.Copysign(math.Sqrt(max(0, pass*pass*(q-a*a/c)/(1-pass*pass/c))), pass)
	return (y - a) / c
}

// mostOfOthers returns for each op the largest t of all other ops under every
// permutation.
func mostOfOthers(ops []Stratum) [][]float64 {
	scores := make([][]float64, len(ops))
	out := make([][]float64, len(ops))
	for i, s := range ops {
		scores[i] = standardised(slices.Concat(s.Base, s.Cand))
	}
	subsetSums(scores, len(ops[0].Cand), func(sums []float64) {
		first, second, at := math.Inf(-1), math.Inf(-1), -1
		for i, t := range sums {
			switch {
			case t > first:
				first, second, at = t, first, i
			case t > second:
				second = t
			}
		}
		for i := range ops {
			if i == at {
				out[i] = append(out[i], second)
			} else {
				out[i] = append(out[i], first)
			}
		}
	})
	return out
}

// sideShift is Shift of the chosen boots against the others.
func sideShift(values []float64, chosen []int) float64 {
	var s Stratum
	for boot, v := range values {
		if slices.Contains(chosen, boot) {
			s.Cand = append(s.Cand, v)
		} else {
			s.Base = append(s.Base, v)
		}
	}
	return Shift([]Stratum{s})
}

func shifted(values []float64, by float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v + by
	}
	return out
}
