package compare

import (
	"cmp"
	"math"
	"slices"
)

// mostDeals is how many deals of an op's own values are tried for a slowdown;
// of more, as many are taken at even distances.
const mostDeals = 252

// mostSlowdown bounds the search for what few boots show: beyond ten times
// the time, boots show nothing that matters.
var mostSlowdown = math.Log(10)

// maxTOf judges the items whose boots all have a value; the others are not
// rejected.
func maxTOf(items []Item) []float64 {
	out := make([]float64, len(items))
	for i := range out {
		out[i] = 1
	}
	whole, at := wholeStrata(items)
	for k, p := range MaxT(whole) {
		out[at[k]] = p
	}
	return out
}

// wholeStrata returns the strata of the items whose boots all have a value,
// and which these are.
func wholeStrata(items []Item) (whole []Stratum, at []int) {
	old, new := 0, 0
	for _, it := range items {
		old, new = max(old, len(it.Tested[0].Old)), max(new, len(it.Tested[0].New))
	}
	for i, it := range items {
		if s := it.Tested[0]; len(s.Old) == old && len(s.New) == new {
			whole, at = append(whole, s), append(at, i)
		}
	}
	return whole, at
}

// smallestMaxT says what slowdown these few boots show of each finding: none
// of one that has no value in some of them.
func (j *judge) smallestMaxT(judged []*Finding) {
	items := make([]Item, len(judged))
	for i, f := range judged {
		items[i] = *f.item
		f.Smallest = math.Inf(1)
	}
	whole, at := wholeStrata(items)
	limit, within, unit := make([]float64, len(at)), make([]float64, len(at)), make([]float64, len(at))
	for k, i := range at {
		limit[k], within[k], unit[k] = items[i].limit(), mostSlowdown, 1
		if items[i].Linear {
			// Of a median of 0 there is no ratio: the unit itself is taken.
			unit[k] = cmp.Or(math.Abs(judged[i].Old.Median), 1)
			within[k] = unit[k] * math.Expm1(mostSlowdown)
		}
	}
	for k, by := range SmallestMaxT(whole, j.rule.Alpha, limit, within) {
		f := judged[at[k]]
		if f.item.Linear {
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
// It takes the boots at hand for what boots of this machine are. An op's t has
// to pass what the other ops reach under all but a share of alpha of the ways
// to deal the labels; whether it does is tried with the op's own values, less
// the difference of its sides and dealt anew in every way. So it knows of the
// number of ops, of what they have in common, and of slow boots.
func SmallestMaxT(ops []Stratum, alpha float64, limit, within []float64) []float64 {
	out := make([]float64, len(ops))
	if len(ops) == 0 {
		return out
	}
	old, n := len(ops[0].Old), len(ops[0].Old)+len(ops[0].New)
	var deals [][]int
	subsets(n, n-old, func(chosen []int) { deals = append(deals, slices.Clone(chosen)) })
	allowed := int(alpha * float64(len(deals))) // the true labels are one of these
	others := mostOfOthers(ops, deals)
	for i, s := range ops {
		out[i] = math.Inf(1)
		if allowed == 0 {
			continue
		}
		slices.Sort(others[i])
		pass := others[i][len(deals)-allowed]
		values := slices.Concat(s.Old, shifted(s.New, -Shift([]Stratum{s})))
		out[i] = smallestNamed(values, some(deals), pass, limit[i], within[i])
	}
	return out
}

func some(deals [][]int) [][]int {
	if len(deals) <= mostDeals {
		return deals
	}
	out := make([][]int, mostDeals)
	for i := range out {
		out[i] = deals[i*len(deals)/mostDeals]
	}
	return out
}

// smallestNamed searches the slowdown with which four in five deals of the
// values have a t over pass and a shift over limit.
func smallestNamed(values []float64, deals [][]int, pass, limit, within float64) float64 {
	named := func(by float64) bool {
		n := 0
		for _, chosen := range deals {
			slow := slices.Clone(values)
			for _, boot := range chosen {
				slow[boot] += by
			}
			if sumOf(standardised(slow), chosen) > pass+sameT && sideShift(slow, chosen) > limit {
				n++
			}
		}
		return float64(n) >= 0.8*float64(len(deals))
	}
	if !named(within) {
		return math.Inf(1)
	}
	lo, hi := limit, within
	for hi-lo > within/1000 {
		if mid := (lo + hi) / 2; named(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// mostOfOthers returns for each op the largest t of all other ops under every
// deal.
func mostOfOthers(ops []Stratum, deals [][]int) [][]float64 {
	scores := make([][]float64, len(ops))
	out := make([][]float64, len(ops))
	for i, s := range ops {
		scores[i] = standardised(slices.Concat(s.Old, s.New))
	}
	for _, chosen := range deals {
		first, second, at := math.Inf(-1), math.Inf(-1), -1
		for i := range ops {
			switch t := sumOf(scores[i], chosen); {
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
	}
	return out
}

// sideShift is Shift of the chosen boots against the others.
func sideShift(values []float64, chosen []int) float64 {
	var s Stratum
	for boot, v := range values {
		if slices.Contains(chosen, boot) {
			s.New = append(s.New, v)
		} else {
			s.Old = append(s.Old, v)
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
