package compare

import (
	"math"
	"slices"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// An observation is what one boot says of one op.
type observation struct {
	boot *Boot
	res  *convert.Result
}

// reading is the value of one metric in one boot; ok is false without one.
type reading struct {
	boot  *Boot
	value float64
	ok    bool
}

func readings(obs []observation, unit string) []reading {
	out := make([]reading, len(obs))
	for i, o := range obs {
		out[i].boot = o.boot
		out[i].value, out[i].ok = value(o.res, unit)
	}
	return out
}

// primaryUnits are the metrics by which an op is compared: the catalogue's,
// and for an op that it does not know those of its category, else ns/op, else
// the only one there is.
func primaryUnits(key string, res *convert.Result) []string {
	if op, ok := catalogue.ByID(key); ok {
		return op.Primary
	}
	if _, rate := res.Values["req/s"]; rate && res.Op.Category == catalogue.HTTP {
		return []string{"req/s", "p95-ns"}
	}
	if _, ok := res.Values["ns/op"]; ok || len(res.Units) == 0 {
		return []string{"ns/op"}
	}
	return res.Units[:1]
}

// warmUp is how many rounds a boot needs before its first one is left out.
const warmUp = 3

// value is what a boot counts as: MiddleHalf of its good rounds after one
// warm-up round. It reports false where there is none, or no number.
func value(res *convert.Result, unit string) (float64, bool) {
	if res.Status != record.OK {
		return 0, false
	}
	v := rounds(res, unit)
	if len(v) == 0 {
		return 0, false
	}
	var few [16]float64
	sorted := append(few[:0], v...)
	slices.Sort(sorted) // NaN first
	if low, high := sorted[0], sorted[len(sorted)-1]; math.IsNaN(low) || math.IsInf(low, 0) || math.IsInf(high, 0) {
		return 0, false
	}
	return MiddleHalf(sorted), true
}

// MiddleHalf returns the mean of the middle half of ascending values, of at
// most four their median. Of nine rounds two at each end are left out: slow ones
// count as little as in the median, and what a boot counts as scatters by an
// eighth less.
func MiddleHalf(sorted []float64) float64 {
	out := (len(sorted) + 1) / 4
	half := sorted[out : len(sorted)-out]
	var sum float64
	for _, v := range half {
		sum += v
	}
	return sum / float64(len(half))
}

// rounds returns the values that count.
func rounds(res *convert.Result, unit string) []float64 {
	v := res.Values[unit].Values()
	if len(v) >= warmUp {
		v = v[1:]
	}
	return v
}
