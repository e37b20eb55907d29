package compare

import (
	"fmt"
	"math"
	"slices"
)

// A Rule is the adaptive, interleaved rank gate: boots run in interleaved
// pairs, the op set is looked at after Looks boots a side, an op whose data
// show no slowdown is settled, and only open ops are measured further. A
// regression is an op that is still open at the last look, slower by more
// than its budget, and rejected by Holm's correction over all ops.
//
// Settling early can only remove rejections, so looking does not inflate the
// error rate of the last test. The op settles at a look unless its
// Hodges-Lehmann shift is over the budget and its p-value is at most the cut
// of that look.
type Rule struct {
	Looks []int     // boots a side, cumulative: 6, 10, 16
	Cuts  []float64 // p-value cuts of all looks but the last
	Alpha float64   // family-wise level of the last look
	// Margin, a log ratio, tests for slowdowns beyond it. 0 tests for any.
	Margin float64
}

// DefaultRule returns looks after 6, 10 and 16 boots a side at level 1 %.
// 16 is what 50 ops need so that two unlucky baseline boots do not make the
// correction unreachable; the cuts were chosen by simulation.
func DefaultRule() Rule {
	return Rule{Looks: []int{6, 10, 16}, Cuts: []float64{0.05, 0.01}, Alpha: 0.01}
}

// BadBoots is how many slow baseline boots the last look has to tolerate.
const BadBoots = 2

// Stages returns the boots a side that each stage adds: 6, 4, 6.
func (r Rule) Stages() []int {
	out := slices.Clone(r.Looks)
	for i := len(out) - 1; i > 0; i-- {
		out[i] -= r.Looks[i-1]
	}
	return out
}

// An UnderpoweredError says that a plan could never block anything, however
// slow the new build is.
type UnderpoweredError struct {
	Ops, Boots, Need int // ops judged, boots a side planned and needed
}

func (e *UnderpoweredError) Error() string {
	return fmt.Sprintf("underpowered: %s a side cannot convict one of %d ops; needs %d boots a side", plural(e.Boots, "boot"), e.Ops, e.Need)
}

// CanFire reports nil when the planned boots can reject the hypothesis for
// one of m ops even if BadBoots baseline boots are slower than everything
// else, and an *UnderpoweredError otherwise.
func (r Rule) CanFire(rk *Ranker, m int) error {
	last := r.Looks[len(r.Looks)-1]
	level := r.Alpha / float64(max(m, 1))
	var stages [][2]int
	for _, k := range r.Stages() {
		stages = append(stages, [2]int{k, k})
	}
	if worstP(rk, stages) <= level {
		return nil
	}
	need := last
	for worst := 1.0; worst > level; {
		need++
		worst = worstP(rk, [][2]int{{need, need}})
	}
	return &UnderpoweredError{Ops: m, Boots: last, Need: need}
}

// worstP is the largest p-value of fully separated data with BadBoots old
// boots above everything, over all ways to spread these over the stages.
func worstP(rk *Ranker, stages [][2]int) float64 {
	total := 0
	for _, s := range stages {
		total += s[0]
	}
	if total <= BadBoots {
		return 1 // every baseline boot may be a bad one
	}
	bad := make([]int, len(stages))
	worst := 0.0
	var place func(stage, left int)
	place = func(i, left int) {
		if i == len(stages)-1 {
			bad[i] = left
			if left <= stages[i][0] {
				worst = max(worst, rk.P(separated(stages, bad), 0))
			}
			return
		}
		for b := 0; b <= min(left, stages[i][0]); b++ {
			bad[i] = b
			place(i+1, left-b)
		}
	}
	place(0, BadBoots)
	return worst
}

// separated are values whose new boots are above all old ones but the bad.
func separated(stages [][2]int, bad []int) []Stratum {
	out := make([]Stratum, len(stages))
	for i, k := range stages {
		for j := range k[0] {
			old := float64(j)
			if j < bad[i] {
				old += 2 * float64(k[0]+k[1])
			}
			out[i].Old = append(out[i].Old, old)
		}
		for j := range k[1] {
			out[i].New = append(out[i].New, float64(k[0]+j))
		}
	}
	return out
}

// An Item is what the rule knows of one op.
type Item struct {
	Strata []Stratum // as measured; the shift is estimated from these
	Tested []Stratum // without the common mode of their boots; the test uses these
	Budget float64   // the slowdown to tolerate, as a ratio: 0.05
	Closed bool      // settled at an earlier look
	Group  string    // the category, for what the ops of a boot have in common
	// Linear says that the values are no logarithms, because some are not
	// positive. Budget is then in their unit and no margin applies.
	Linear bool
}

// Add gives the items that were measured in one stage their strata. The
// slices run in step.
func Add(items []*Item, strata []Stratum) {
	for i, s := range RemoveCommonMode(items, strata) {
		items[i].Strata = append(items[i].Strata, strata[i])
		items[i].Tested = append(items[i].Tested, s)
	}
}

// limit is the budget in the unit of the strata.
func (it *Item) limit() float64 {
	if it.Linear {
		return it.Budget
	}
	return math.Log1p(it.Budget)
}

// reaches reports whether the item's boots could have a p-value of at most
// level if they were apart as far as can be.
func (it *Item) reaches(level float64) bool {
	return len(it.Tested) > 0 && MinP(it.sizes()...) <= level*(1+1e-9)
}

// sizes are the boots of the sides in each stratum.
func (it *Item) sizes() [][2]int {
	var out [][2]int
	for _, s := range it.Tested {
		out = append(out, [2]int{len(s.Old), len(s.New)})
	}
	return out
}

func (it *Item) overBudget() bool { return Shift(it.Strata) > it.limit() }

// p is the p-value of "slower by more than the margin".
func (r Rule) p(rk *Ranker, it *Item) float64 {
	if it.Linear {
		return rk.P(it.Tested, 0)
	}
	return rk.P(it.Tested, r.Margin)
}

// Settle looks at the open items after the given look (from 0) and closes
// those that need no further boots. An item whose boots could not have kept
// it open stays open all the same. At the last look it does nothing.
func (r Rule) Settle(rk *Ranker, look int, items []Item) {
	if look >= len(r.Cuts) {
		return
	}
	for i := range items {
		it := &items[i]
		if it.Closed || !it.reaches(r.Cuts[look]) {
			continue
		}
		it.Closed = !it.overBudget() || r.p(rk, it) > r.Cuts[look]
	}
}

// Convict returns the indices of the items that are regressions at the last
// look. All items count for the correction, the closed ones with p = 1.
func (r Rule) Convict(rk *Ranker, items []Item) []int {
	adjusted := r.Adjusted(rk, items)
	var out []int
	for i := range items {
		if adjusted[i] <= r.Alpha && items[i].overBudget() {
			out = append(out, i)
		}
	}
	return out
}

// Adjusted returns the p-values of all items after Holm's correction.
func (r Rule) Adjusted(rk *Ranker, items []Item) []float64 {
	p := make([]float64, len(items))
	for i := range items {
		p[i] = 1
		if !items[i].Closed {
			p[i] = r.p(rk, &items[i])
		}
	}
	return Holm(p)
}

// Holm returns p-values adjusted for testing all of them at once (Holm 1979,
// A simple sequentially rejective multiple test procedure).
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p[a] < p[b]:
			return -1
		case p[a] > p[b]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(p))
	running := 0.0
	for rank, i := range order {
		running = max(running, min(1, float64(len(p)-rank)*p[i]))
		out[i] = running
	}
	return out
}
