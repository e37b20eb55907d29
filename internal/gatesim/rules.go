package gatesim

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/capsem/capsem-bench/compare"
)

// An Injection slows one op of the new build. The zero value slows none.
type Injection struct {
	Op   int
	Size float64 // 0.10 is 10 % slower
}

// A Verdict is what a gate said about one release.
type Verdict struct {
	Blocked []int // the ops it named
	Boots   int   // boots measured, both sides
}

// A Gate judges one release.
type Gate func(r *Release, in Injection) Verdict

// pair measures k boots a side in pairs of random order. start and total
// place them in the whole measurement.
func (r *Release) pair(k, start, total int, in Injection) (old, new [][][]float64) {
	for i := range k {
		at := func(slot int) float64 { return float64(start+2*i+slot) / float64(total) }
		first := r.rng.IntN(2)
		for slot := range 2 {
			boot := r.Boot(at(slot))
			if slot == first {
				old = append(old, boot)
				continue
			}
			if in.Size > 0 {
				for j := range boot[in.Op] {
					boot[in.Op][j] += math.Log1p(in.Size)
				}
			}
			new = append(new, boot)
		}
	}
	return old, new
}

// medians returns the value of one op in every boot.
func medians(boots [][][]float64, op int) []float64 {
	out := make([]float64, len(boots))
	for i, b := range boots {
		out[i] = Median(b[op])
	}
	return out
}

// Adaptive returns the gate of package compare. It drives the code that
// judges real runs. Whole groups are measured further, as categories are.
func Adaptive(rule compare.Rule, rk *compare.Ranker) Gate {
	return func(r *Release, in Injection) Verdict {
		items := make([]compare.Item, len(r.Ops))
		for i := range items {
			items[i].Budget = 0.05
		}
		total := 2 * rule.Looks[len(rule.Looks)-1]
		boots := 0
		for look, k := range rule.Stages() {
			open := openGroups(r, items)
			if len(open) == 0 {
				break
			}
			old, new := r.pair(k, boots, total, in)
			boots += 2 * k
			var measured []*compare.Item
			var strata []compare.Stratum
			for i, op := range r.Ops {
				if open[op.Group] {
					measured = append(measured, &items[i])
					strata = append(strata, compare.Stratum{Old: medians(old, i), New: medians(new, i)})
				}
			}
			compare.Add(measured, strata)
			rule.Settle(rk, look, items)
		}
		return Verdict{Blocked: rule.Convict(rk, items), Boots: boots}
	}
}

func openGroups(r *Release, items []compare.Item) map[int]bool {
	open := make(map[int]bool)
	for i, it := range items {
		if !it.Closed {
			open[r.Ops[i].Group] = true
		}
	}
	return open
}

// Ratio returns the rule of the tool this project replaces: the ratio of the
// medians is over 1.2 and the new median is beyond every old boot.
func Ratio(k int) Gate {
	return func(r *Release, in Injection) Verdict {
		old, new := r.pair(k, 0, 2*k, in)
		v := Verdict{Boots: 2 * k}
		for i := range r.Ops {
			o, n := medians(old, i), medians(new, i)
			slices.Sort(o)
			slices.Sort(n)
			if n[k/2]-o[k/2] > math.Log(1.2) && n[k/2] > o[k-1] {
				v.Blocked = append(v.Blocked, i)
			}
		}
		return v
	}
}

// Benchstat returns what people do with benchstat: all rounds of k boots a
// side pooled, and blocked where it prints a change for the worse (U test,
// p < 0.05).
func Benchstat(k int) Gate {
	return func(r *Release, in Injection) Verdict {
		old, new := r.pair(k, 0, 2*k, in)
		v := Verdict{Boots: 2 * k}
		for i := range r.Ops {
			if p := uTest(pool(old, i), pool(new, i)); p < 0.025 {
				v.Blocked = append(v.Blocked, i)
			}
		}
		return v
	}
}

func pool(boots [][][]float64, op int) []float64 {
	var out []float64
	for _, b := range boots {
		out = append(out, b[op]...)
	}
	return out
}

// uTest is the one-sided U test in its normal approximation, exact enough at
// 50 values a side without ties and much faster than the exact one.
func uTest(old, new []float64) float64 {
	var u float64
	slices.Sort(old)
	for _, n := range new {
		below, _ := slices.BinarySearch(old, n)
		u += float64(below)
	}
	m, n := float64(len(old)), float64(len(new))
	z := (u - m*n/2) / math.Sqrt(m*n*(m+n+1)/12)
	return math.Erfc(z/math.Sqrt2) / 2
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

// Outcome sums up many releases under one gate.
type Outcome struct {
	Blocked Rate    // releases with any op named
	Named   Rate    // releases in which the slowed op was named
	Boots   float64 // mean, both sides
}

// Simulate judges n releases. class chooses the op to slow by size; size 0
// is a comparison of a build with itself. The same seed gives the same
// outcome.
func Simulate(n int, seed uint64, s Scenario, gate Gate, class Class, size float64) Outcome {
	var blocked, named, boots int
	for i := range n {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		r := NewRelease(s, rng)
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
