package compare

import (
	"math"
	"slices"
)

// constant reports whether at least two rounds all have one value.
func constant(obs []observation, unit string) bool {
	v := allRounds(obs, unit)
	return len(v) > 1 && !slices.ContainsFunc(v, func(x float64) bool { return x != v[0] })
}

const (
	capsemTick = 100e3 // ns: Capsem's JSON has ms with one decimal
	finestTick = 1e3   // ns: below, a common divisor says nothing about a clock
)

// tick returns the resolution of the times in ns, 0 where it does not matter:
// that of Capsem's JSON, or the largest time that divides all values. Two
// different values always have a divisor, so it takes three.
func tick(op *opBoots, unit string) float64 {
	var least float64
	for _, o := range slices.Concat(op.base, op.cand) {
		if o.boot.Imported && o.boot.Run != nil && o.boot.Run.Source != "" {
			least = max(least, capsemTick/shares(o))
		}
	}
	all := slices.Concat(allRounds(op.base, unit), allRounds(op.cand, unit))
	var divisor int64
	for _, v := range all {
		if v != math.Trunc(v) || math.Abs(v) >= 1<<53 {
			return least
		}
		if divisor = gcd(int64(math.Abs(v)), divisor); divisor != 0 && divisor < finestTick {
			return least
		}
	}
	slices.Sort(all)
	if len(slices.Compact(all)) < 3 {
		return least
	}
	return max(least, float64(divisor))
}

// shares is by how many operations a time of Capsem's JSON was divided: of
// accesses it has the time of all, of the rest that of one.
func shares(o observation) float64 {
	if _, rate := o.res.Values["iops"]; !rate || len(o.res.Samples) == 0 {
		return 1
	}
	return float64(max(o.res.Samples[0].Count, 1))
}
