package convert

import "math"

// A rate is a figure of a document that was computed from the unrounded time:
// amount per second, rounded to some digits behind the point.
type rate struct {
	amount, value float64
	digits        int
}

// unrounded returns the time that agrees with all figures of an operation.
// Capsem rounds the time (to 2*half ns) and computes rates from what it was
// before, so 256 MiB in "202.3 ms" at "1265.5 MiB/s" took 202.29 ms, and only
// with that time does the document come out again. A stated time that already
// agrees, or that nothing agrees with, stays as it is.
func unrounded(ns int64, half float64, rates ...rate) int64 {
	lo, hi := float64(ns)-half, float64(ns)+half
	agrees := true
	for _, r := range rates {
		h := 0.5 * math.Pow10(-r.digits)
		lo = max(lo, r.amount/(r.value+h)*1e9)
		if r.value > h {
			hi = min(hi, r.amount/(r.value-h)*1e9)
		}
		stated := r.amount / (float64(ns) / 1e9)
		agrees = agrees && pyRound(stated, r.digits) == r.value
	}
	if agrees || !(lo <= hi) {
		return ns
	}
	return int64(math.Round((lo + hi) / 2))
}
