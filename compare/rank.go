package compare

import (
	"cmp"
	"math"
	"slices"
	"strconv"
)

// A Stratum is one stage of a measurement: the boots of both sides that ran
// interleaved in one go. Values are logarithms, oriented so that larger is
// worse.
type Stratum struct {
	Base, Cand []float64
	// Blocks are the boots of each side on each machine, where the stage has
	// several; the values are in that order. nil is one machine.
	Blocks [][2]int
}

// A Ranker does exact stratified rank tests. It remembers null distributions,
// which depend on the sizes and ties of the strata only, so one Ranker should
// judge all ops of a comparison. It is not safe for concurrent use.
type Ranker struct {
	nulls map[string]null
	perms map[string]permutations
	work  int64 // additions in tables so far
}

// NewRanker returns an empty Ranker.
func NewRanker() *Ranker {
	return &Ranker{nulls: make(map[string]null), perms: make(map[string]permutations)}
}

// null is the distribution of the statistic under "same": tail[i] is the
// probability of a value of at least lo+i, once it is summed up; until then
// it is that of lo+i. head[i] is the probability of at most lo+i: a small one
// is exact to as many digits there as in tail.
type null struct {
	lo         int64
	tail, head []float64
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

func (n null) atMost(t int64) float64 {
	switch i := t - n.lo; {
	case i < 0:
		return 0
	case i >= int64(len(n.head)):
		return 1
	default:
		return n.head[i]
	}
}

// P returns the exact one-sided p-value of "new is worse than old by more
// than shift" (shift in log, 0 for any amount): van Elteren's test, the sum
// over strata of the rank sum of New divided by the stratum's size plus one,
// with mid-ranks for ties and the null distribution by convolution.
// Without a stratum that has both sides it returns 1.
func (r *Ranker) P(strata []Stratum, shift float64) float64 {
	if anyBlocked(strata) {
		return r.blockedP(strata, shift)
	}
	stages := make([]stage, 0, len(strata))
	for _, s := range strata {
		if len(s.Base) > 0 && len(s.Cand) > 0 {
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
	if mirrored, sum := reflected(stages, scale); mirrored != nil {
		return r.null(mirrored, scale).atMost(sum - t)
	}
	return r.null(stages, scale).atLeast(t)
}

// reflected returns tied stages with their ranks counted from the other end,
// where that is the one of the two to keep a distribution of: values and the
// same values with their signs turned, of which both p-values are wanted, then
// share one. The statistic t of one is sum-t of the other.
func reflected(stages []stage, scale []int64) (out []stage, sum int64) {
	if !slices.ContainsFunc(stages, func(s stage) bool { return s.tied }) {
		return nil, 0
	}
	for i, s := range stages {
		twice := int64(2 * (len(s.ranks) + 1))
		m := stage{ranks: make([]int64, len(s.ranks)), n: s.n, tied: s.tied}
		for k, x := range s.ranks {
			m.ranks[len(s.ranks)-1-k] = twice - x
		}
		out, sum = append(out, m), sum+scale[i]*twice*int64(s.n)
	}
	for i := range stages {
		switch slices.Compare(out[i].ranks, stages[i].ranks) {
		case -1:
			return out, sum
		case 1:
			return nil, 0
		}
	}
	return nil, 0
}

// stage is a stratum in ranks. Ranks are doubled so that mid-ranks are whole.
type stage struct {
	ranks []int64 // all doubled mid-ranks, ascending
	n     int     // how many of them belong to New
	sum   int64   // the doubled rank sum of New
	tied  bool
	size  int // boots of the stratum that it is a block of; 0: it is all
}

// rank merges both sides, Old moved by shift.
func rank(s Stratum, shift float64) stage {
	base, cand := ascending(s.Base), ascending(s.Cand)
	for i := range base {
		base[i] += shift
	}
	st := stage{ranks: make([]int64, 0, len(base)+len(cand)), n: len(cand)}
	for len(base)+len(cand) > 0 {
		var least float64
		if len(cand) == 0 || len(base) > 0 && base[0] < cand[0] {
			least = base[0]
		} else {
			least = cand[0]
		}
		o, n := upTo(base, least), upTo(cand, least)
		base, cand = base[o:], cand[n:]
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
const maxScale = 5_000

// scales returns whole-number weights proportional to 1/(N+1). Where the
// sizes have no small common multiple it returns equal weights, with which
// the test is as exact and a little less powerful.
func scales(stages []stage) []int64 {
	l := int64(1)
	for _, s := range stages {
		d := s.boots() + 1
		if l = l / gcd(l, d) * d; l > maxScale {
			return slices.Repeat([]int64{1}, len(stages))
		}
	}
	out := make([]int64, len(stages))
	for i, s := range stages {
		out[i] = l / (s.boots() + 1)
	}
	return out
}

// boots are those of the stratum.
func (s stage) boots() int64 { return int64(cmp.Or(s.size, len(s.ranks))) }

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
	n := r.sums(stages, scale)
	n.head = slices.Clone(n.tail)
	for i := 1; i < len(n.head); i++ {
		n.head[i] += n.head[i-1]
	}
	n.cumulate()
	r.nulls[key] = n
	return n
}

// sums is the distribution of the sum over all stages, not cumulated.
func (r *Ranker) sums(stages []stage, scale []int64) null {
	n := null{tail: []float64{1}}
	for i, s := range stages {
		n = r.convolve(n, s, scale[i])
	}
	return n
}

// cumulate makes the tail that of each value and all above it.
func (n null) cumulate() {
	for i := len(n.tail) - 2; i >= 0; i-- {
		n.tail[i] += n.tail[i+1]
	}
}

// convolve adds a stage, weighted by scale, to the distribution so far.
func (r *Ranker) convolve(n null, s stage, scale int64) null {
	base, prob := r.distribution(s)
	out := null{
		lo:   n.lo + scale*base,
		tail: make([]float64, int64(len(n.tail))+scale*int64(len(prob)-1)),
	}
	for y, q := range prob {
		if q == 0 {
			continue
		}
		to := out.tail[scale*int64(y):][:len(n.tail)]
		for x, p := range n.tail {
			to[x] += p * q
		}
		r.work += int64(len(to))
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
// table counts subsets by size and sum, and only those that can still have n
// ranks in the end; float64 holds the counts exactly to 2^53, beyond which the
// relative error is 1e-16 a step.
func (r *Ranker) distribution(s stage) (base int64, prob []float64) {
	// least[k] and the sums of the last k ranks bound the sums of k ranks, so
	// that only sums which exist are counted: a 40th of the whole table.
	least := make([]int64, s.n+1)
	for k := range s.n {
		least[k+1] = least[k] + s.ranks[k]
	}
	counts := make([][]float64, s.n+1)
	counts[0] = []float64{1}
	for i, x := range s.ranks {
		left := len(s.ranks) - i - 1
		for k := min(i+1, s.n); k >= max(1, s.n-left); k-- {
			from := counts[k-1]
			if from == nil {
				continue
			}
			shift := least[k-1] + x - least[k]
			need := int(shift) + len(from)
			to := counts[k]
			if need > len(to) {
				to = append(to, make([]float64, need-len(to))...)
				counts[k] = to
			}
			to = to[shift:need]
			for sum, c := range from {
				to[sum] += c
			}
			r.work += int64(len(from))
		}
	}
	prob = counts[s.n]
	var total float64
	for _, c := range prob {
		total += c
	}
	for i := range prob {
		prob[i] /= total
	}
	return least[s.n], prob
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
