package gatesim

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/aclements/go-moremath/stats"
	"github.com/capsem/capsem-bench/compare"
)

// An Injection is what the new build changes: the log of the factor on the
// time of each op. nil changes nothing.
type Injection []float64

// Slow slows one op of n, by 0.10 for 10 %.
func Slow(n, op int, size float64) Injection {
	in := make(Injection, n)
	in[op] = math.Log1p(size)
	return in
}

// slows reports whether the op is slower.
func (in Injection) slows(op int) bool { return in != nil && in[op] > 0 }

// A Verdict is what a gate said about one release.
type Verdict struct {
	Blocked []int    // the ops it named
	Groups  []string // the groups that it named as a whole; "" all of them
	Boots   int      // boots measured, both sides
}

// A Gate judges one release.
type Gate func(r *Release, in Injection) Verdict

// pair measures k boots a side in pairs of random order. start and total
// place them in the whole measurement.
func (r *Release) pair(k, start, total int, in Injection) (base, cand [][][]float64) {
	if r.Sequential {
		for i := len(r.ahead); i < total; i++ {
			r.ahead = append(r.ahead, r.boot(float64(i)/float64(total)))
		}
		at := start / 2
		base, cand = r.ahead[at:at+k], r.ahead[total/2+at:total/2+at+k]
	} else {
		for i := range k {
			first := r.rng.IntN(2)
			for slot := range 2 {
				boot := r.boot(float64(start+2*i+slot) / float64(total))
				if slot == first {
					base = append(base, boot)
				} else {
					cand = append(cand, boot)
				}
			}
		}
	}
	for _, boot := range cand {
		in.slow(boot)
	}
	return base, cand
}

// slow is what the injection does to a boot of the new build.
func (in Injection) slow(boot [][]float64) {
	for op, by := range in {
		if by == 0 {
			continue
		}
		for j := range boot[op] {
			boot[op][j] += by
		}
	}
}

// values returns the value of one op in every boot.
func values(boots [][][]float64, op int) []float64 {
	out := make([]float64, len(boots))
	for i, b := range boots {
		out[i] = Value(b[op])
	}
	return out
}

// Product returns the gate of package compare: its plan, replayed over boots
// that are measured on demand. Whole groups are measured further, as
// categories are.
func Product(plan compare.Plan, rk *compare.Ranker) Gate {
	return func(r *Release, in Injection) Verdict {
		res, boots := r.replay(plan, rk, in)
		v := Verdict{Boots: boots}
		for i, op := range res.Ops {
			if op.Regressed {
				v.Blocked = append(v.Blocked, i)
			}
		}
		for _, m := range res.Movements {
			if m.Regressed {
				v.Groups = append(v.Groups, m.Group)
			}
		}
		return v
	}
}

// replay runs a plan and returns what it decides and the boots of both sides.
func (r *Release) replay(plan compare.Plan, rk *compare.Ranker, in Injection) (res compare.Result, boots int) {
	ops := make([]compare.Op, len(r.Ops))
	for i, op := range r.Ops {
		ops[i] = compare.Op{Group: strconv.Itoa(op.Group), Budget: compare.DefaultBudget}
	}
	stages := plan.Stages()
	next := 0 // machine
	res = compare.Replay(plan, rk, ops, func(stage int, open []bool) []compare.Stratum {
		var base, cand [][][]float64
		var blocks [][2]int
		for _, pairs := range compare.BlocksOf(stages[stage], max(1, len(r.fleet))) {
			if len(r.fleet) > 0 {
				r.boot = r.fleet[next%len(r.fleet)]
				next++
			}
			b, c := r.pair(pairs, boots, 2*plan.Last(), in)
			base, cand, blocks = append(base, b...), append(cand, c...), append(blocks, [2]int{pairs, pairs})
			boots += 2 * pairs
		}
		groups := make(map[int]bool)
		for i, is := range open {
			groups[r.Ops[i].Group] = groups[r.Ops[i].Group] || is
		}
		strata := make([]compare.Stratum, len(ops))
		for i, op := range r.Ops {
			if groups[op.Group] {
				strata[i] = compare.Stratum{Base: values(base, i), Cand: values(cand, i), Blocks: blocks}
			}
		}
		return strata
	})
	return res, boots
}

// Finds returns the figures that the gate prints of the first op in n unchanged
// releases: the log of the slowdown that it finds with 80 % power, ascending.
func Finds(n int, seed uint64, draw func(*rand.Rand) *Release, plan compare.Plan, rk *compare.Ranker) []float64 {
	var finds *compare.Sensitivity
	out := make([]float64, n)
	for i := range out {
		r := draw(rand.New(rand.NewPCG(seed, uint64(i))))
		if finds == nil {
			finds = compare.SensitivityOf(plan, rk, len(r.Ops))
		}
		res, _ := r.replay(plan, rk, nil)
		out[i] = finds.Of(compare.Op{Budget: compare.DefaultBudget}, res.Ops[0])
	}
	slices.Sort(out)
	return out
}

// Ratio returns the rule of the tool this project replaces: the ratio of the
// medians is over 1.2 and the new median is beyond every old boot.
func Ratio(k int) Gate {
	return func(r *Release, in Injection) Verdict {
		base, cand := r.pair(k, 0, 2*k, in)
		v := Verdict{Boots: 2 * k}
		for i := range r.Ops {
			o, n := values(base, i), values(cand, i)
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
		base, cand := r.pair(k, 0, 2*k, in)
		v := Verdict{Boots: 2 * k}
		for i := range r.Ops {
			// Two-sided, as benchstat's; and for the worse.
			u, err := stats.MannWhitneyUTest(pool(cand, i), pool(base, i), stats.LocationDiffers)
			if err == nil && u.P < 0.05 && u.U > float64(u.N1*u.N2)/2 {
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
