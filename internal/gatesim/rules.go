package gatesim

import (
	"math"
	"slices"
	"strconv"

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
	if r.Sequential {
		for i := len(r.ahead); i < total; i++ {
			r.ahead = append(r.ahead, r.boot(float64(i)/float64(total)))
		}
		at := start / 2
		old, new = r.ahead[at:at+k], r.ahead[total/2+at:total/2+at+k]
	} else {
		for i := range k {
			first := r.rng.IntN(2)
			for slot := range 2 {
				boot := r.boot(float64(start+2*i+slot) / float64(total))
				if slot == first {
					old = append(old, boot)
				} else {
					new = append(new, boot)
				}
			}
		}
	}
	for _, boot := range new {
		in.slow(boot)
	}
	return old, new
}

// slow is what the injection does to a boot of the new build.
func (in Injection) slow(boot [][]float64) {
	if in.Size > 0 {
		for j := range boot[in.Op] {
			boot[in.Op][j] += math.Log1p(in.Size)
		}
	}
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
			items[i].Budget, items[i].Group = 0.05, strconv.Itoa(r.Ops[i].Group)
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

// Few returns the gate of k boots a side after which there are no more, 5 to
// 7: maxT, as package compare does it.
func Few(k int) Gate {
	alpha := compare.FewLevel(compare.DefaultRule().Alpha, k)
	return func(r *Release, in Injection) Verdict {
		old, new := r.pair(k, 0, 2*k, in)
		items := make([]*compare.Item, len(r.Ops))
		strata := make([]compare.Stratum, len(r.Ops))
		for i, op := range r.Ops {
			items[i] = &compare.Item{Budget: 0.05, Group: strconv.Itoa(op.Group)}
			strata[i] = compare.Stratum{Old: medians(old, i), New: medians(new, i)}
		}
		compare.Add(items, strata)
		tested := make([]compare.Stratum, len(items))
		for i, it := range items {
			tested[i] = it.Tested[0]
		}
		v := Verdict{Boots: 2 * k}
		for i, p := range compare.MaxT(tested) {
			if p <= alpha && compare.Shift(items[i].Strata) > math.Log1p(items[i].Budget) {
				v.Blocked = append(v.Blocked, i)
			}
		}
		return v
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
