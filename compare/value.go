package compare

import (
	"math"
	"strconv"
	"strings"

	"golang.org/x/perf/benchunit"
)

// Value formats a value of a metric for people, with three digits:
// "1.23GiB/s", "4.57ms".
func Value(v float64, unit string) string {
	text, _ := formatted(v, unit)
	return text
}

// ValueAlone is Value for where nothing beside it says the unit: with the name
// of one that has no sign, "5.29k iops".
func ValueAlone(v float64, unit string) string {
	text, says := formatted(v, unit)
	if !says && unit != "" {
		text += " " + unit
	}
	return text
}

// formatted is a value as text, and reports whether the text says the unit.
func formatted(v float64, unit string) (text string, says bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-", true
	}
	v, tidy := benchunit.Tidy(v, unit)
	scaled := scale(v, benchunit.ClassOf(tidy))
	switch {
	case tidy == "sec", tidy == "sec/op", strings.HasSuffix(tidy, "-sec"):
		return scaled + "s", true
	case tidy == "B/s", tidy == "B", tidy == "B/op":
		return scaled + strings.TrimSuffix(tidy, "/op"), true
	case strings.HasSuffix(tidy, "-B"):
		return scale(v, benchunit.Binary) + "B", true
	case strings.HasSuffix(tidy, "/s"):
		return scaled + "/s", true
	}
	return scaled, false
}

// scale is benchunit's, with one digit less: a table has 80 columns.
func scale(v float64, class benchunit.Class) string {
	s := benchunit.CommonScale([]float64{v}, class)
	s.Prec = max(s.Prec-1, 0)
	return s.Format(v)
}

// Percent formats a change with its sign: "+12.3 %", and one of tenfold and more
// as what it is times: "×12.5".
func Percent(ratio float64) string {
	switch p := 100 * ratio; {
	case math.IsNaN(p):
		return "?"
	case math.IsInf(p, 1):
		return "+∞"
	case math.IsInf(p, -1) || p < -99.95:
		return "-100 %"
	case p >= 999.5:
		return "×" + strconv.FormatFloat(1+ratio, 'g', 3, 64)
	default:
		s := strconv.FormatFloat(p, 'f', 1, 64)
		if !strings.HasPrefix(s, "-") {
			s = "+" + s
		}
		if s == "-0.0" {
			s = "+0.0"
		}
		return s + " %"
	}
}
