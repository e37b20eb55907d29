package convert

import (
	"math"
	"strconv"

	"github.com/dustin/go-humanize"
)

// none stands for a figure that an operation does not have.
const none = "-"

// number formats with the given decimals, and stays short for any value. As
// in Capsem's tables there are no thousands separators, so a figure can be
// copied and found again in the JSON.
func number(v float64, decimals int) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return none
	case math.Abs(v) >= 1e12:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// millis formats ns as ms with Capsem's one decimal.
func millis(ns float64) string { return number(ns/1e6, 1) }

// duration formats ns in the unit that people would choose.
func duration(ns float64) string {
	switch a := math.Abs(ns); {
	case math.IsNaN(ns) || math.IsInf(ns, 0):
		return none
	case a < 1e3:
		return number(ns, 0) + " ns"
	case a < 1e6:
		return number(ns/1e3, 1) + " µs"
	case a < 1e10:
		return number(ns/1e6, 1) + " ms"
	default:
		return number(ns/1e9, 1) + " s"
	}
}

// throughput formats bytes per second in MiB/s, whatever the size, so that a
// column can be compared at a glance.
func throughput(bytesPerSec float64) string {
	v := bytesPerSec / mib
	if v > 0 && v < 0.1 {
		return number(v, 3) + " MiB/s"
	}
	return withUnit(number(v, 1), "MiB/s")
}

// withUnit appends a unit to a figure, not to the absence of one.
func withUnit(s, unit string) string {
	if s == none {
		return s
	}
	return s + " " + unit
}

func size(bytes float64) string {
	if !(bytes >= 0 && bytes < math.MaxInt64) {
		return none
	}
	return humanize.IBytes(uint64(bytes))
}
