package report

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchunit"
)

// A scale maps values to coordinates. It is logarithmic where all values are
// positive: a change by a factor is the same height everywhere.
type scale struct {
	lo, hi   float64 // of the values, in log where log is set
	from, to float64 // coordinates of lo and hi
	log      bool
}

// newScale covers the values with a margin of a twelfth. Values that are all
// the same get a range of 10 % around them.
func newScale(values []float64, from, to float64) scale {
	s := scale{from: from, to: to, log: true, lo: math.Inf(1), hi: math.Inf(-1)}
	s.log = !slices.ContainsFunc(values, func(v float64) bool { return v <= 0 })
	for _, v := range values {
		if s.log {
			v = math.Log(v)
		}
		s.lo, s.hi = min(s.lo, v), max(s.hi, v)
	}
	least := 0.1
	if !s.log {
		least = max(0.1*math.Abs(s.hi), 1e-9)
	}
	if len(values) == 0 {
		s.lo, s.hi = 0, 1
	}
	if missing := least - (s.hi - s.lo); missing > 0 {
		s.lo, s.hi = s.lo-missing/2, s.hi+missing/2
	}
	margin := (s.hi - s.lo) / 12
	s.lo, s.hi = s.lo-margin, s.hi+margin
	return s
}

// at returns the coordinate of a value.
func (s scale) at(v float64) float64 {
	if s.log {
		v = math.Log(v)
	}
	return s.from + (v-s.lo)/(s.hi-s.lo)*(s.to-s.from)
}

// ticks returns at most about n values inside the scale that are round in their
// unit, which of bytes has powers of 1024.
func (s scale) ticks(n int, unit string) []float64 {
	lo, hi, size := s.lo, s.hi, 1.0
	if s.log {
		lo, hi = math.Exp(lo), math.Exp(hi)
	}
	if benchunit.ClassOf(unit) == benchunit.Binary || strings.HasSuffix(unit, "-B") {
		for lo/size >= 1024 {
			size *= 1024
		}
	}
	var out []float64
	if s.log && hi/lo > 30 {
		for e := math.Ceil(math.Log10(lo / size)); math.Pow(10, e)*size <= hi; e++ {
			out = append(out, math.Pow(10, e)*size)
		}
		return everySecond(out, n)
	}
	step := size * math.Pow(10, math.Floor(math.Log10((hi-lo)/size/float64(n))))
	for _, f := range []float64{1, 2, 5, 10} {
		if (hi-lo)/(step*f) <= float64(n) {
			step *= f
			break
		}
	}
	for v := math.Ceil(lo/step) * step; v <= hi && len(out) < 2*n; v += step {
		out = append(out, v)
	}
	return out
}

// everySecond keeps every second value until there are few enough.
func everySecond(values []float64, n int) []float64 {
	for len(values) > n {
		kept := values[:0:0]
		for i := 0; i < len(values); i += 2 {
			kept = append(kept, values[i])
		}
		values = kept
	}
	return values
}

// px writes a coordinate with one decimal: a tenth of a pixel is enough.
func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }
