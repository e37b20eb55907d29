package compare

import (
	"math"
	"slices"
)

// Smallest returns the smallest slowdown, as a ratio, that boots with standard
// deviation sd (in log) show with 80 % power when the test of one op is held
// to level and its shift has to pass budget: +Inf where no slowdown could.
// sizes are the boots of the sides in each stage.
//
// The test's share is Noether's formula (1987, Sample size determination for
// some common nonparametric tests) for a shift of normal values, the budget's
// share is the scatter of the Hodges-Lehmann estimate. For the default rule
// and 50 ops it agrees to a tenth with simulated releases.
func Smallest(sd float64, sizes [][2]int, level, budget float64) float64 {
	const power = 0.80
	if len(sizes) == 0 || MinP(sizes...) > level {
		return math.Inf(1)
	}
	var inverse float64 // of the effective boots a side
	var old, new float64
	for _, s := range sizes {
		old, new = old+float64(s[0]), new+float64(s[1])
	}
	inverse = 1/old + 1/new
	zPower := quantile(power)
	// Noether: the probability that a new boot is slower than an old one has
	// to be 1/2 plus this.
	lead := (quantile(1-level) + zPower) * math.Sqrt(inverse/12)
	if lead >= 0.5 {
		lead = 0.5 - 0.5/(old*new) // all but one of the pairs
	}
	test := math.Sqrt2 * sd * quantile(0.5+lead)
	const efficiency = 3 / math.Pi // of the estimate, for normal values
	estimate := math.Log1p(budget) + zPower*sd*math.Sqrt(inverse/efficiency)
	return math.Expm1(max(test, estimate))
}

// quantile is that of the standard normal distribution.
func quantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// Scatter returns the standard deviation between boots of one side and stage,
// in log: 1.0483 times the median of the distances between two boots (Shamos
// 1976), which a slow boot in ten does not move. It is NaN without a pair.
func Scatter(strata []Stratum) float64 {
	const consistent = 1.0483 // for normal values
	var d []float64
	for _, s := range strata {
		for _, side := range [][]float64{s.Old, s.New} {
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
	return consistent * middle(d)
}
