package convert

import (
	"fmt"
	"math"
	"slices"
)

// Bounds of what is said about the rounds of a boot. They are wide: on a machine
// that others use two rounds often differ by a fifth, and a remark at every
// operation is one that nobody reads.
const (
	slowStart    = 1.5  // the first round to the median of the others
	farOut       = 1.5  // a later round to the median of its boot
	farOutMADs   = 10   // and its distance, in median absolute deviations
	drifted      = 1.2  // the last third of the rounds to the first
	driftChance  = 0.01 // of as much order in rounds that do not drift
	fewestOut    = 5    // rounds of which one can be far out
	fewestDrift  = 8    // rounds that can show a drift
	fewestRounds = 3    // the first and two others
)

// doubts are the remarks of the guest, then those about the rounds.
func (r *Result) doubts() []string {
	out := slices.Clone(r.Note.Doubts)
	for _, d := range r.unsteady() {
		if !slices.Contains(out, d) { // a document that was imported has it already
			out = append(out, d)
		}
	}
	return out
}

// unsteady says what a reader of the single rounds would ask about: a first one
// that is slower than all others, later ones that are far out, and rounds that
// become slower or faster one after the other. Each boot is looked at by itself.
// A comparison has its own rules: it leaves out first rounds, and takes medians.
func (r *Result) unsteady() []string {
	if !usable(r) {
		return nil
	}
	boots := r.byBoot(r.Values["ns/op"])
	var start, out, drift []float64
	var late string
	for _, b := range boots {
		if f := slowFirst(b); f > 0 {
			start = append(start, f)
		}
		if far := outliers(b); len(far) > 0 {
			out = append(out, far...)
			if len(boots) == 1 && len(far) == 1 {
				middle := medianFloats(b)
				late = fmt.Sprintf("round %d", 2+slices.IndexFunc(b[1:], func(v float64) bool { return v/middle == far[0] }))
			}
		}
		if f := trend(b); f > 0 {
			drift = append(drift, f)
		}
	}
	var said []string
	say := func(who string, factors []float64, why string) {
		if len(factors) > 0 {
			said = append(said, who+" "+times(factors)+why)
		}
	}
	say("round 1 was", start, in(len(start), len(boots))+": warm-up?")
	if late == "" {
		late = fmt.Sprintf("of %d rounds %d were", len(r.Values["ns/op"].Values()), len(out))
	} else {
		late += " was"
	}
	say(late, out, " than the median: did something else run?")
	say("the rounds became", drift, in(len(drift), len(boots))+" from first to last: does something fill up, or throttle?")
	return said
}

// byBoot cuts values into the rounds of each boot. It returns nil where the
// order is lost: beyond as many values as a series keeps.
func (r *Result) byBoot(s *Series) [][]float64 {
	values := s.Values()
	if len(values) == 0 || s.N != int64(len(values)) {
		return nil
	}
	var out [][]float64
	for _, n := range r.Runs {
		if n > len(values) {
			break // a round without ns/op
		}
		out, values = append(out, values[:n]), values[n:]
	}
	if len(values) > 0 {
		out = append(out, values)
	}
	return out
}

// slowFirst returns by what factor the first round is slower than the others: 0
// if it is not, or lies no further out than they spread.
func slowFirst(v []float64) float64 {
	if len(v) < fewestRounds {
		return 0
	}
	rest := v[1:]
	most, middle := slices.Max(rest), medianFloats(rest)
	if middle <= 0 || v[0] < slowStart*middle || v[0] <= most+most-slices.Min(rest) {
		return 0
	}
	return v[0] / middle
}

// outliers returns the factors to the median of the rounds after the first that
// are far out. The distance is in median absolute deviations, as in hyperfine:
// the outliers themselves do not widen it.
func outliers(v []float64) (factors []float64) {
	if len(v) < fewestOut {
		return nil
	}
	middle := medianFloats(v)
	if middle <= 0 {
		return nil
	}
	distance := make([]float64, len(v))
	for i, x := range v {
		distance[i] = math.Abs(x - middle)
	}
	const consistent = 1.4826 // MAD to standard deviation of a normal distribution
	limit := farOutMADs * consistent * medianFloats(distance)
	for i, x := range v[1:] {
		if f := x / middle; (f >= farOut || f <= 1/farOut) && distance[i+1] > limit {
			factors = append(factors, f)
		}
	}
	return factors
}

// trend returns by what factor the last third of the rounds after the first is
// slower than the first third: 0 without a trend. It is one by the test of Mann
// and Kendall: the rounds are in order more often than chance has it.
func trend(v []float64) float64 {
	if len(v) < fewestDrift {
		return 0
	}
	v = v[1:]
	s, n := 0, float64(len(v))
	for i := range v {
		for j := range i {
			switch {
			case v[i] > v[j]:
				s++
			case v[i] < v[j]:
				s--
			}
		}
	}
	// The normal approximation with its correction for continuity, of both sides.
	z := (math.Abs(float64(s)) - 1) / math.Sqrt(n*(n-1)*(2*n+5)/18)
	first, last := medianFloats(v[:len(v)/3]), medianFloats(v[len(v)-len(v)/3:])
	if first <= 0 || last <= 0 || math.Erfc(z/math.Sqrt2) > driftChance {
		return 0
	}
	if f := last / first; f >= drifted || f <= 1/drifted {
		return f
	}
	return 0
}

// times says factors in words: "1.8 times slower", "1.5 to 2.1 times slower".
func times(factors []float64) string {
	slower, size := "slower", slices.Clone(factors)
	if medianFloats(size) < 1 {
		slower = "faster"
		for i := range size {
			size[i] = 1 / size[i]
		}
	}
	least, most := number(slices.Min(size), 1), number(slices.Max(size), 1)
	if least == most || slices.Min(size) < 1 { // some one way and some the other
		return most + " times " + slower
	}
	return least + " to " + most + " times " + slower
}

// in says in how many boots something was, where there are several.
func in(n, boots int) string {
	if boots == 1 {
		return ""
	}
	return fmt.Sprintf(" in %d of %d boots", n, boots)
}
