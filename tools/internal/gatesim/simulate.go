package gatesim

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/aclements/go-moremath/mathx"
)

// Outcome sums up many releases under one gate.
type Outcome struct {
	Blocked Rate    // releases that were blocked
	Named   Rate    // releases in which what was slowed was named, an op or all of them
	Wrong   Rate    // releases in which something was named that was not slower
	Boots   float64 // mean, both sides
}

// A Change draws what the new build of a release changes, and what has to be
// named: an op, or -1 for everything as a whole. nil changes nothing.
type Change func(r *Release) (in Injection, op int)

// Judge judges n releases that draw makes. The same seed gives the same
// outcome.
func Judge(n int, seed uint64, draw func(*rand.Rand) *Release, gate Gate, change Change) Outcome {
	var blocked, named, wrong, boots int
	for i := range n {
		r := draw(rand.New(rand.NewPCG(seed, uint64(i))))
		in, op := change(r)
		v := gate(r, in)
		boots += v.Boots
		if len(v.Blocked)+len(v.Groups) > 0 {
			blocked++
		}
		if op >= 0 && slices.Contains(v.Blocked, op) || op < 0 && slices.Contains(v.Groups, "") {
			named++
		}
		if r.wrong(v, in) {
			wrong++
		}
	}
	return Outcome{NewRate(blocked, n), NewRate(named, n), NewRate(wrong, n), float64(boots) / float64(n)}
}

// wrong reports whether a verdict names an op that is not slower, or a group
// of which no op is.
func (r *Release) wrong(v Verdict, in Injection) bool {
	for _, op := range v.Blocked {
		if !in.slows(op) {
			return true
		}
	}
	for _, g := range v.Groups {
		slower := false
		for i, op := range r.Ops {
			slower = slower || in.slows(i) && (g == "" || g == strconv.Itoa(op.Group))
		}
		if !slower {
			return true
		}
	}
	return false
}

// Nothing changes nothing.
func Nothing(*Release) (Injection, int) { return nil, 0 }

// Slower slows one op of a class by size; of any class when that is empty.
func Slower(class Class, size float64) Change {
	return func(r *Release) (Injection, int) {
		op := r.pick(class)
		return Slow(len(r.Ops), op, size), op
	}
}

// SlowerFirst slows the first op by a log ratio.
func SlowerFirst(by float64) Change {
	return func(r *Release) (Injection, int) { return Slow(len(r.Ops), 0, math.Expm1(by)), 0 }
}

// Everything changes all ops by a factor on their time.
func Everything(factor float64) Change {
	return func(r *Release) (Injection, int) {
		return slices.Repeat(Injection{math.Log(factor)}, len(r.Ops)), -1
	}
}

// Groups changes the ops of so many groups by a factor on their time.
func Groups(n int, factor float64) Change {
	return func(r *Release) (Injection, int) {
		chosen := r.rng.Perm(len(groups()))[:n]
		in := make(Injection, len(r.Ops))
		for i, op := range r.Ops {
			if slices.Contains(chosen, op.Group) {
				in[i] = math.Log(factor)
			}
		}
		return in, 0
	}
}

// Part changes n ops of the largest group by a factor on their time.
func Part(n int, factor float64) Change {
	return func(r *Release) (Injection, int) {
		largest, left := len(groups())-1, n
		in := make(Injection, len(r.Ops))
		for _, i := range r.rng.Perm(len(r.Ops)) {
			if r.Ops[i].Group == largest && left > 0 {
				in[i] = math.Log(factor)
				left--
			}
		}
		return in, 0
	}
}

// pick draws an op of the class; any op when class is empty.
func (r *Release) pick(class Class) int {
	for {
		i := r.rng.IntN(len(r.Ops))
		if class == "" || r.Ops[i].Class == class {
			return i
		}
	}
}

// A Rate is a share of trials with its exact 95 % interval (Clopper and
// Pearson 1934).
type Rate struct {
	Hits, Trials int
	Lo, Hi       float64
}

// NewRate returns hits of trials.
func NewRate(hits, trials int) Rate {
	const tail = 0.025
	r := Rate{Hits: hits, Trials: trials, Hi: 1}
	// The share of binomial draws of at least k hits is a regularised
	// incomplete beta function, whose inverse is the limit.
	atLeast := func(k int, p float64) float64 { return mathx.BetaInc(p, float64(k), float64(trials-k+1)) }
	if hits > 0 {
		r.Lo = solve(func(p float64) float64 { return atLeast(hits, p) - tail })
	}
	if hits < trials {
		r.Hi = solve(func(p float64) float64 { return tail - 1 + atLeast(hits+1, p) })
	}
	return r
}

// Share returns the point estimate.
func (r Rate) Share() float64 { return float64(r.Hits) / float64(max(r.Trials, 1)) }

// solve finds the zero of an increasing function on [0, 1].
func solve(f func(float64) float64) float64 {
	lo, hi := 0.0, 1.0
	for range 60 {
		if mid := (lo + hi) / 2; f(mid) < 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}
