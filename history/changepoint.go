package history

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/montanaflynn/stats"
)

// A Detector finds the places at which a sequence of releases changed level.
//
// Candidates come from E-divisive (Matteson and James, JASA 109, 2014) in the
// hierarchical form that MongoDB described (Daly et al., ICPE 2020): the split
// of a segment with the largest energy statistic is tested by permuting the
// segment, and both halves are searched in the same way. The first split of a
// level that went up and came back is weak, so candidates are taken at a weak
// level first, and each is then tested on the releases between its neighbours
// (Fleming et al., ICPE 2023); the weakest is dropped until all hold.
//
// A permutation test assumes that releases are exchangeable. They are not where
// every release was measured on another day or machine: levels then wander, and
// a test that ignores it finds a change every few releases. So a candidate must
// also stand out from the wander of its own series: its step must exceed Wander
// times the usual step between neighbouring groups of releases.
//
// docs/history.md has the rates at which this errs.
type Detector struct {
	// Alpha is the level of the permutation test, Weak that of a candidate.
	Alpha, Weak float64
	// Permutations are made to look for a candidate, Confirmations to test it.
	// 1/(Confirmations+1) must be well below Alpha: of 22 releases of which the
	// last three are slower, every 770th permutation is as they are.
	Permutations, Confirmations int
	// Wander is how many times the usual step a change must be.
	Wander float64
	// Least is the smallest change that is reported, in log.
	Least float64
	// Window bounds how many releases one search looks at; a longer sequence
	// is searched in windows that overlap by half, as in Fleming et al., ICPE
	// 2023: what happened long ago does not hide or make a change today.
	Window int
	// Reach is from how many releases on each side the size of a step is
	// estimated.
	Reach int
	// Side is the least number of releases on each side of a change.
	Side int
	Seed uint64
}

// DefaultDetector returns the detector whose error rates are published.
func DefaultDetector() Detector {
	return Detector{Alpha: 0.01, Weak: 0.3, Permutations: 99, Confirmations: 999, Wander: 4, Least: math.Log(1.05), Window: 60, Reach: 5, Side: 2, Seed: 1}
}

// A Change is a level that changed between two releases.
type Change struct {
	At     int     // index of the first release with the new level
	Shift  float64 // in log, larger is worse: median of the releases after minus before
	Lo, Hi float64 // 95 % interval of Shift
	P      float64 // of the permutation test
	Wander float64 // Shift over the usual step of the series
}

// find searches a short sequence, which is a part of another that begins there
// at origin; split has the candidates of a window of that.
func (d Detector) find(x []float64, origin int, split func(x []float64, from int) []int) []Change {
	var at []int
	for _, w := range d.windows(origin, origin+len(x)) {
		for _, c := range split(x[w[0]-origin:w[1]-origin], w[0]) {
			at = append(at, c-origin)
		}
	}
	slices.Sort(at)
	return newConfirmation(d, x).confirm(slices.Compact(at))
}

// split searches one segment; from is where it begins in the sequence.
func (d Detector) split(x []float64, from int) []int {
	at, p := d.test(x, d.Weak, d.Permutations)
	if p > d.Weak {
		return nil
	}
	out := append(d.split(x[:at], from), from+at)
	return append(out, d.split(x[at:], from+at)...)
}

// test returns the best split of a segment and its p-value, or 1 as soon as
// that cannot come down to the level any more.
//
// A permutation with the same releases on both sides has the same statistic but
// for rounding, and counts.
func (d Detector) test(x []float64, level float64, permutations int) (at int, p float64) {
	segment := weigh(x)
	at, q := d.best(segment)
	if at < 0 {
		return at, 1
	}
	rng := rand.New(rand.NewPCG(d.Seed, uint64(len(x))))
	reached, most := 1, int(level*float64(permutations+1))
	q *= 1 - 1e-9
	for range permutations {
		rng.Shuffle(len(segment), func(i, j int) { segment[i], segment[j] = segment[j], segment[i] })
		if _, other := d.best(segment); other >= q {
			if reached++; reached > most {
				return at, 1
			}
		}
	}
	return at, float64(reached) / float64(permutations+1)
}

// A weighed value is one of a segment, with the sum of its differences to all
// others, which no permutation changes.
type weighed struct{ v, away float64 }

func weigh(x []float64) []weighed {
	out := make([]weighed, len(x))
	for i, v := range x {
		out[i].v = v
		for j := range i {
			diff := math.Abs(v - x[j])
			out[i].away += diff
			out[j].away += diff
		}
	}
	return out
}

// best returns the split with the largest energy statistic
//
//	Q = mn/(m+n) * (2 mean|x-y| - mean|x-x'| - mean|y-y'|)
//
// in O(n²): moving one value from the right to the left changes three sums.
func (d Detector) best(x []weighed) (at int, q float64) {
	n := len(x)
	if n < 2*d.Side {
		return -1, 0
	}
	var within, across, right float64 // sums of |difference| over pairs
	for _, w := range x {
		right += w.away / 2
	}
	at = -1
	for k := 1; k <= n-d.Side; k++ {
		moved := x[k-1] // to the left
		toLeft := distance(moved.v, x[:k-1])
		toRight := moved.away - toLeft
		within += toLeft
		right -= toRight
		across += toRight - toLeft
		if k < d.Side {
			continue
		}
		l, r := float64(k), float64(n-k)
		e := 2 * across / (l * r)
		if k > 1 {
			e -= within / (l * (l - 1) / 2)
		}
		if n-k > 1 {
			e -= right / (r * (r - 1) / 2)
		}
		if s := l * r / (l + r) * e; at < 0 || s > q {
			at, q = k, s
		}
	}
	return at, q
}

// distance is the sum of the differences of a value to others. An addition
// waits for the one before it; two sums wait half as long.
func distance(v float64, others []weighed) float64 {
	var even, odd float64
	for len(others) >= 2 {
		even += math.Abs(v - others[0].v)
		odd += math.Abs(v - others[1].v)
		others = others[2:]
	}
	if len(others) > 0 {
		even += math.Abs(v - others[0].v)
	}
	return even + odd
}

// A confirmation tests the candidates of one sequence. It keeps what was found
// for a segment, since most segments stay as they are when a candidate goes.
type confirmation struct {
	Detector
	x      []float64
	places map[[2]int]int     // by segment: its best split
	tests  map[[2]int]float64 // by segment: the p-value of that
}

func newConfirmation(d Detector, x []float64) *confirmation {
	return &confirmation{d, x, make(map[[2]int]int), make(map[[2]int]float64)}
}

// confirm places each candidate again among the releases between its
// neighbours and measures it against the wander of the series; where all stand
// out, it tests each on those releases. The one that fails worst goes, until
// all hold: it may have been what cut the change of another in two.
func (c *confirmation) confirm(at []int) []Change {
	for len(at) > 0 {
		at = c.place(at)
		changes := c.measure(at)
		weakest := c.weakest(changes)
		if weakest < 0 {
			for i := range changes {
				changes[i].P = c.probability(at, i)
			}
			weakest = c.weakest(changes)
		}
		if weakest < 0 {
			return changes
		}
		at = slices.Delete(slices.Clone(at), weakest, weakest+1)
	}
	return nil
}

// weakest is the change that holds least, or -1 where all do.
func (c *confirmation) weakest(changes []Change) int {
	weakest, least := -1, 1.0
	for i, ch := range changes {
		if s := c.strength(ch); s < least {
			weakest, least = i, s
		}
	}
	return weakest
}

// place moves each candidate to the best split between its neighbours.
func (c *confirmation) place(at []int) []int {
	at = slices.Clone(at)
	for i := range at {
		before, after := between(c.x, at, i)
		key := [2]int{before, after}
		best, known := c.places[key]
		if !known {
			best, _ = c.best(weigh(c.x[before:after]))
			c.places[key] = best
		}
		if best > 0 {
			at[i] = before + best
		}
	}
	return at
}

// between returns the places of a candidate's neighbours.
func between(x []float64, at []int, i int) (before, after int) {
	after = len(x)
	if i > 0 {
		before = at[i-1]
	}
	if i+1 < len(at) {
		after = at[i+1]
	}
	return before, after
}

// strength is how far a change holds, from 1: by its test, its size and the
// wander, whichever is least. Without a test P is 0.
func (d Detector) strength(c Change) float64 {
	return min(d.Alpha/c.P, math.Abs(c.Wander)/d.Wander, math.Abs(c.Shift)/d.Least)
}

// sides returns the releases on both sides of a place, up to the neighbouring
// changes and at most Reach.
func (d Detector) sides(n, at, before, after int) (lo, hi int) {
	return max(before, at-d.Reach), min(after, at+d.Reach, n)
}

// step is the difference of the medians on both sides of a place.
func (d Detector) step(x []float64, at, before, after int) float64 {
	lo, hi := d.sides(len(x), at, before, after)
	return median(x[at:hi]) - median(x[lo:at])
}

// usual is the size of a step where nothing changed: the root of the mean
// square of the steps at all places that do not straddle a change, with the
// largest tenth left out. The wander of a random walk is in it, as is the
// noise of single releases.
func (d Detector) usual(x []float64, at []int) float64 {
	var steps []float64
	for i := d.Side; i <= len(x)-d.Side; i++ {
		before, after := 0, len(x)
		near := false
		for _, c := range at {
			if c <= i {
				before = c
			} else if after == len(x) {
				after = c
			}
			near = near || c == i
		}
		if !near && i-before >= d.Side && after-i >= d.Side {
			s := d.step(x, i, before, after)
			steps = append(steps, s*s)
		}
	}
	if len(steps) < 3 {
		return d.least(x)
	}
	slices.Sort(steps)
	steps = steps[:len(steps)-len(steps)/10]
	mean, _ := stats.Mean(steps)
	return max(math.Sqrt(mean), 1e-9)
}

// least stands in for the usual step of a series that is too short to tell:
// the median difference of neighbours.
func (d Detector) least(x []float64) float64 {
	var diffs []float64
	for i := 1; i < len(x); i++ {
		diffs = append(diffs, math.Abs(x[i]-x[i-1]))
	}
	return max(median(diffs)*1.4826, 1e-9)
}

// measure returns the changes at the given places, not yet tested.
func (c *confirmation) measure(at []int) []Change {
	usual := c.usual(c.x, at)
	out := make([]Change, len(at))
	for i, place := range at {
		before, after := between(c.x, at, i)
		lo, hi := c.sides(len(c.x), place, before, after)
		shift := c.step(c.x, place, before, after)
		out[i] = Change{At: place, Shift: shift, Wander: shift / usual}
		out[i].Lo, out[i].Hi = interval(c.x[lo:place], c.x[place:hi], usual)
	}
	return out
}

// probability is the p-value of a change among the releases between its
// neighbours.
func (c *confirmation) probability(at []int, i int) float64 {
	before, after := between(c.x, at, i)
	key := [2]int{before, after}
	if _, known := c.tests[key]; !known {
		_, c.tests[key] = c.test(c.x[before:after], 1, c.Confirmations)
	}
	return c.tests[key]
}

// interval is that of the shift of the level. It widens the one that the
// scatter of the releases gives by the usual step, since a level that wanders
// moves also where no build changed.
func interval(before, after []float64, usual float64) (lo, hi float64) {
	shift := median(after) - median(before)
	half := 1.96 * usual
	return shift - half, shift + half
}

func median(x []float64) float64 {
	m, err := stats.Median(x)
	if err != nil {
		return math.NaN()
	}
	return m
}
