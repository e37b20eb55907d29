package gatesim

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Outcome sums up many releases under one gate.
type Outcome struct {
	Blocked Rate    // releases with any op named
	Named   Rate    // releases in which the slowed op was named
	Boots   float64 // mean, both sides
}

// Simulate judges n releases of a scenario. class chooses the op to slow by
// size; size 0 is a comparison of a build with itself. The same seed gives
// the same outcome.
func Simulate(n int, seed uint64, s Scenario, gate Gate, class Class, size float64) Outcome {
	draw := func(rng *rand.Rand) *Release { return NewRelease(s, rng) }
	return Judge(n, seed, draw, gate, class, size)
}

// Judge judges n releases that draw makes.
func Judge(n int, seed uint64, draw func(*rand.Rand) *Release, gate Gate, class Class, size float64) Outcome {
	var blocked, named, boots int
	for i := range n {
		r := draw(rand.New(rand.NewPCG(seed, uint64(i))))
		in := Injection{Op: r.pick(class), Size: size}
		v := gate(r, in)
		boots += v.Boots
		if len(v.Blocked) > 0 {
			blocked++
		}
		if slices.Contains(v.Blocked, in.Op) {
			named++
		}
	}
	return Outcome{NewRate(blocked, n), NewRate(named, n), float64(boots) / float64(n)}
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
	r := Rate{Hits: hits, Trials: trials, Hi: 1}
	if hits > 0 {
		r.Lo = solve(func(p float64) float64 { return 1 - binomialCDF(hits-1, trials, p) - 0.025 })
	}
	if hits < trials {
		r.Hi = solve(func(p float64) float64 { return 0.025 - binomialCDF(hits, trials, p) })
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

func binomialCDF(k, n int, p float64) float64 {
	if p <= 0 {
		return 1
	}
	if p >= 1 {
		return 0
	}
	var sum float64
	for i := 0; i <= k; i++ {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(i + 1))
		c, _ := math.Lgamma(float64(n - i + 1))
		sum += math.Exp(a - b - c + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return min(1, sum)
}
