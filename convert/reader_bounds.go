package convert

import (
	"slices"

	"github.com/capsem/capsem-bench/internal/record"
)

// maxNumber bounds every number of a text, which a broken or hostile guest
// may have written: 1e15 is 11 days in ns, and 1 PB. What is computed from
// numbers below it stays finite and fits an int64.
const maxNumber = 1_000_000_000_000_000

// possible reports whether a value can be a measurement. It is false for NaN.
func possible(v float64) bool { return v >= 0 && v <= maxNumber }

// hasFigure reports samples that say something of what was measured.
func hasFigure(s record.Samples) bool {
	return s.ElapsedNS != 0 || s.Count != 0 || s.Failed != 0 || len(s.Values) > 0 || len(s.Metrics) > 0 || s.Latency != nil || s.Histogram != ""
}

// bounded is the number, or the bound that it passed.
func bounded(n int64) int64 { return min(max(n, 0), maxNumber) }

func possibleSamples(s *record.Samples) bool {
	outside := func(n int64) bool { return n != bounded(n) }
	if slices.ContainsFunc([]int64{s.ElapsedNS, s.WarmNS, s.Count, s.Failed, s.Bytes, s.Block, s.Files}, outside) || slices.ContainsFunc(s.Values, outside) {
		return false
	}
	if s.HTTPCode != 0 && (s.HTTPCode < 100 || s.HTTPCode > 599) {
		return false
	}
	for _, v := range s.Metrics {
		if !possible(v) {
			return false
		}
	}
	if l := s.Latency; l != nil {
		return !slices.ContainsFunc([]float64{l.Min, l.Mean, l.P50, l.P95, l.P99, l.Max}, func(v float64) bool { return !possible(v) })
	}
	return true
}
