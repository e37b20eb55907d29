package compare

import (
	"math"
	"slices"
	"strconv"
)

// A Stratum is one stage of a measurement: the boots of both sides that ran
// interleaved in one go. Values are logarithms, oriented so that larger is
// worse.
type Stratum struct {
	Old, New []float64
}

// A Ranker does exact stratified rank tests. It remembers null distributions,
// which depend on the sizes and ties of the strata only, so one Ranker should
// judge all ops of a comparison. It is not safe for concurrent use.
type Ranker struct {
	nulls map[string]null
}

// NewRanker returns an empty Ranker.
func NewRanker() *Ranker { return &Ranker{nulls: make(map[string]null)} }

// null is the distribution of the statistic under "same": tail[i] is the
// probability of a value of at least lo+i, once it is summed up; until then
// it is that of lo+i.
type null struct {
	lo   int64
	tail []float64
}

func (n null) atLeast(t int64) float64 {
	switch i := t - n.lo; {
	case i <= 0:
		return 1
	case i >= int64(len(n.tail)):
		return 0
	default:
		return n.tail[i]
	}
}

// P returns the exact one-sided p-value of "new is worse than old by more
// than shift" (shift in log, 0 for any amount): van Elteren's test, the sum
// over strata of the rank sum of New divided by the stratum's size plus one,
// with mid-ranks for ties and the null distribution by convolution.
// Without a stratum that has both sides it returns 1.
func (r *Ranker) P(strata []Stratum, shift float64) float64 {
	stages := make([]stage, 0, len(strata))
	for _, s := range strata {
		if len(s.Old) > 0 && len(s.New) > 0 {
			stages = append(stages, rank(s, shift))
		}
	}
	if len(stages) == 0 {
		return 1
	}
	scale := scales(stages)
	var t int64
	for i, s := range stages {
		t += scale[i] * s.sum
	}
	return r.null(stages, scale).atLeast(t)
}

// stage is a stratum in ranks. Ranks are doubled so that mid-ranks are whole.
type stage struct {
	ranks []int64 // all doubled mid-ranks, ascending
	n     int     // how many of them belong to New
	sum   int64   // the doubled rank sum of New
	tied  bool
}

// rank merges both sides, Old moved by shift.
func rank(s Stratum, shift float64) stage {
	old, new := ascending(s.Old), ascending(s.New)
	for i := range old {
		old[i] += shift
	}
	st := stage{ranks: make([]int64, 0, len(old)+len(new)), n: len(new)}
	for len(old)+len(new) > 0 {
		var least float64
		if len(new) == 0 || len(old) > 0 && old[0] < new[0] {
			least = old[0]
		} else {
			least = new[0]
		}
		o, n := upTo(old, least), upTo(new, least)
		old, new = old[o:], new[n:]
		mid := int64(2*len(st.ranks) + o + n + 1) // twice the mean of their ranks
		for range o + n {
			st.ranks = append(st.ranks, mid)
		}
		st.sum += mid * int64(n)
		st.tied = st.tied || o+n > 1
	}
	return st
}

// upTo returns how many of the ascending values are not above v.
func upTo(values []float64, v float64) (n int) {
	for n < len(values) && !(values[n] > v) {
		n++
	}
	return n
}

func ascending(values []float64) []float64 {
	values = slices.Clone(values)
	slices.Sort(values)
	return values
}

// maxScale bounds the weights, and with them the table of the null
// distribution. Stages of equal size, as plans have them, stay far below it.
const maxScale = 100_000

// scales returns whole-number weights proportional to 1/(N+1). Where the
// sizes have no small common multiple it returns equal weights, with which
// the test is as exact and a little less powerful.
func scales(stages []stage) []int64 {
	l := int64(1)
	for _, s := range stages {
		d := int64(len(s.ranks) + 1)
		if l = l / gcd(l, d) * d; l > maxScale {
			return slices.Repeat([]int64{1}, len(stages))
		}
	}
	out := make([]int64, len(stages))
	for i, s := range stages {
		out[i] = l / int64(len(s.ranks)+1)
	}
	return out
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (r *Ranker) null(stages []stage, scale []int64) null {
	key := nullKey(stages)
	if n, ok := r.nulls[key]; ok {
		return n
	}
	n := null{tail: []float64{1}}
	for i, s := range stages {
		n = n.convolve(s, scale[i])
	}
	for i := len(n.tail) - 2; i >= 0; i-- {
		n.tail[i] += n.tail[i+1]
	}
	r.nulls[key] = n
	return n
}

// convolve adds a stage, weighted by scale, to the distribution so far.
func (n null) convolve(s stage, scale int64) null {
	base, prob := s.distribution()
	out := null{
		lo:   n.lo + scale*base,
		tail: make([]float64, int64(len(n.tail))+scale*int64(len(prob)-1)),
	}
	for y, q := range prob {
		if q == 0 {
			continue
		}
		to := out.tail[scale*int64(y):]
		for x, p := range n.tail {
			to[x] += p * q
		}
	}
	return out
}

func nullKey(stages []stage) string {
	var b []byte
	for _, s := range stages {
		b = strconv.AppendInt(b, int64(s.n), 10)
		b = append(b, '/')
		b = strconv.AppendInt(b, int64(len(s.ranks)), 10)
		if s.tied {
			for _, x := range s.ranks {
				b = append(b, ',')
				b = strconv.AppendInt(b, x, 10)
			}
		}
		b = append(b, ';')
	}
	return string(b)
}

// distribution returns the probability of every doubled rank sum when any n
// of the ranks are equally likely to be New's, from the sum base on. The
// table counts subsets by size and sum; float64 holds the counts exactly to
// 2^53, beyond which the relative error is 1e-16 a step.
func (s stage) distribution() (base int64, prob []float64) {
	var top int64
	for i, x := range s.ranks {
		if i < s.n {
			base += x
		}
		if i >= len(s.ranks)-s.n {
			top += x
		}
	}
	width := top + 1
	counts := make([]float64, int64(s.n+1)*width)
	counts[0] = 1
	for i, x := range s.ranks {
		for k := min(i+1, s.n); k >= 1; k-- {
			from := counts[int64(k-1)*width : int64(k)*width]
			to := counts[int64(k)*width : int64(k+1)*width]
			for sum, c := range from[:width-min(x, width)] {
				if c != 0 {
					to[int64(sum)+x] += c
				}
			}
		}
	}
	prob = counts[int64(s.n)*width+base:]
	var total float64
	for _, c := range prob {
		total += c
	}
	for i := range prob {
		prob[i] /= total
	}
	return base, prob
}

// MinP returns the smallest p-value that strata of the given sizes can give:
// the product of 1/C(old+new, new). A plan whose MinP is above the corrected
// level can never block anything.
func MinP(sizes ...[2]int) float64 {
	log := 0.0
	for _, s := range sizes {
		log -= logChoose(s[0]+s[1], s[1])
	}
	return math.Exp(log)
}

func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// Shift returns the stratified Hodges-Lehmann estimate: the median of all
// differences New-Old within strata, in log. It is NaN without a pair.
func Shift(strata []Stratum) float64 {
	d := pairwise(strata)
	if len(d) == 0 {
		return math.NaN()
	}
	return middle(d)
}

func pairwise(strata []Stratum) []float64 {
	var d []float64
	for _, s := range strata {
		for _, o := range s.Old {
			for _, n := range s.New {
				d = append(d, n-o)
			}
		}
	}
	slices.Sort(d)
	return d
}

// middle is the median of sorted values.
func middle(sorted []float64) float64 {
	h := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[h]
	}
	return (sorted[h-1] + sorted[h]) / 2
}

// Interval returns the shift, as Shift does, with its exact two-sided
// confidence interval at the given level (0.95), by inverting the test. A side
// that the number of boots cannot bound is infinite.
func (r *Ranker) Interval(strata []Stratum, level float64) (shift, lo, hi float64) {
	d := pairwise(strata)
	tail := (1 - level) / 2
	if len(d) == 0 {
		return math.NaN(), math.Inf(-1), math.Inf(1)
	}
	// The test's p-value grows with the shift; just below a difference it is
	// that of the open interval to its left. The lower limit is the first
	// difference at which "worse by more than that" is no longer rejected.
	gap := smallestGap(d) / 2
	i, _ := slices.BinarySearchFunc(d, tail, func(x, tail float64) int {
		if r.P(strata, x+gap) <= tail {
			return -1
		}
		return 1
	})
	lo = math.Inf(-1)
	if r.P(strata, d[0]-gap) <= tail && i < len(d) {
		lo = d[i]
	}
	mirrored := mirror(strata)
	m := make([]float64, len(d))
	for i := range d {
		m[i] = -d[len(d)-1-i]
	}
	j, _ := slices.BinarySearchFunc(m, tail, func(x, tail float64) int {
		if r.P(mirrored, x+gap) <= tail {
			return -1
		}
		return 1
	})
	hi = math.Inf(1)
	if r.P(mirrored, m[0]-gap) <= tail && j < len(m) {
		hi = -m[j]
	}
	return middle(d), lo, hi
}

func smallestGap(sorted []float64) float64 {
	gap := math.Inf(1)
	for i := 1; i < len(sorted); i++ {
		if g := sorted[i] - sorted[i-1]; g > 0 {
			gap = min(gap, g)
		}
	}
	if math.IsInf(gap, 1) {
		return 1e-9
	}
	return gap
}

// mirror swaps the meaning of better and worse.
func mirror(strata []Stratum) []Stratum {
	out := make([]Stratum, len(strata))
	for i, s := range strata {
		out[i] = Stratum{Old: negate(s.Old), New: negate(s.New)}
	}
	return out
}

func negate(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = -x
	}
	return out
}
