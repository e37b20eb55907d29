package compare

import (
	"math"
	"slices"
)

// An Op is what a plan has to know of one op.
type Op struct {
	Group  string  // the category: what its boots are measured together with
	Budget float64 // the slowdown to tolerate, as a ratio: 0.05
	// Linear says that the values are no logarithms, because some are not
	// positive. Budget is then in their unit and no margin applies.
	Linear bool
}

// limit is the budget in the unit of the values.
func (op Op) limit() float64 {
	if op.Linear {
		return op.Budget
	}
	return math.Log1p(op.Budget)
}

// Boots returns what the boots of a stage (from 0) measured: a stratum for
// every op, in step with the ops. Boot i of a side is at index i in all of
// them, NaN where it has no value of the op; the stratum of an op that was not
// measured is empty. open says which ops the plan needs. It returns nil when
// there are no more boots.
type Boots func(stage int, open []bool) []Stratum

// A Result is what a plan decides on all ops.
type Result struct {
	Ops []OpResult // in step with the ops
	// Movements are what the ops of a group, and those of all groups, have in
	// common: members of the family that is tested, as the ops are.
	Movements []GroupResult
	Stages    int  // stages that were replayed
	Stopped   bool // a look before the last found a regression
	// Needed says which ops the next stage has to measure; nil: none.
	Needed []bool
}

// A GroupResult is what a plan decides on a group as a whole.
type GroupResult struct {
	Group string // "" for all groups
	OpResult
}

// An OpResult is what a plan decides on one op.
type OpResult struct {
	Strata []Stratum // its values by stage, as measured
	Tested []Stratum // without what its boots have in common
	Closed bool      // settled at an earlier look: not rejected
	Shift  float64   // of Strata
	// P is the one-sided p-value of "slower", Adjusted and AdjustedFaster
	// those of "slower" and "faster" over the family. Where an early look
	// found the regression, P and Adjusted are of its test.
	P, Adjusted, AdjustedFaster float64
	Regressed, Improved         bool

	stages  []int // of Strata and Tested, from 0
	shifted int   // stages that Shift is of
	ranked  int   // stages that rank is of
	rank    float64
}

// Open reports whether the plan needs further boots of the op.
func (p Plan) Open(res Result, op int) bool { return p.more(res) && !res.Ops[op].Closed }

// more reports whether the plan has looks left that it needs.
func (p Plan) more(res Result) bool {
	return len(p.Cuts) > 0 && res.Stages < len(p.Looks) && !res.Stopped
}

// Replay runs a plan over boots, stage by stage, and returns what it decides.
// It is the one decision of the gate: 'gate' replays what was recorded, 'ab'
// replays what it has after each stage, and the simulator measures on demand.
func Replay(plan Plan, rk *Ranker, ops []Op, boots Boots) Result {
	r := newReplay(plan, rk, ops)
	for stage := range plan.Looks {
		open := r.open()
		if stage > 0 && !slices.Contains(open, true) {
			break
		}
		strata := boots(stage, open)
		if strata == nil {
			break
		}
		r.Stages++
		r.add(strata)
		if stage == len(plan.Looks)-1 {
			r.last()
			break
		}
		r.settle(stage)
		if r.stop(stage) {
			break
		}
	}
	r.decide()
	return r.result()
}

// replay is a plan under way.
type replay struct {
	plan    Plan
	rk      *Ranker
	ops     []Op       // those asked about, then one a group, then one for all
	groups  []string   // of the ops that stand for a group, in step; the last is ""
	all     []OpResult // in step with ops
	first   []int      // of each stage, its first block in the shape
	Stages  int
	Stopped bool
}

func newReplay(plan Plan, rk *Ranker, ops []Op) *replay {
	r := &replay{plan: plan, rk: rk, ops: slices.Clone(ops), groups: groupsOf(ops)}
	for _, g := range r.groups {
		r.ops = append(r.ops, Op{Group: g, Budget: plan.Budget})
	}
	r.all = make([]OpResult, len(r.ops))
	return r
}

// single returns how many ops stand for themselves.
func (r *replay) single() int { return len(r.ops) - len(r.groups) }

func (r *replay) result() Result {
	n := r.single()
	res := Result{Ops: r.all[:n], Stages: r.Stages, Stopped: r.Stopped}
	for i, g := range r.groups {
		res.Movements = append(res.Movements, GroupResult{g, r.all[n+i]})
	}
	if open := r.open(); r.plan.more(res) && slices.Contains(open, true) {
		res.Needed = open
	}
	return res
}

// open says of each op asked about whether it, its group or everything needs
// boots.
func (r *replay) open() []bool {
	n := r.single()
	group := make(map[string]bool)
	for i, g := range r.groups {
		group[g] = r.Stages > 0 && !r.all[n+i].Closed && len(r.all[n+i].Strata) > 0
	}
	out := make([]bool, n)
	for i := range out {
		out[i] = !r.all[i].Closed || group[r.ops[i].Group] || group[""]
	}
	return out
}

// add gives the ops that were measured in a stage their strata. What boots
// have in common is estimated only from ops that have a value in all of them.
func (r *replay) add(strata []Stratum) {
	var whole []int
	strata = slices.Clone(strata)
	for i, s := range strata {
		strata[i] = s.aligned()
		s = strata[i]
		kept := s.present()
		switch {
		case len(kept.Base) == 0 || len(kept.Cand) == 0:
			continue
		case len(kept.Base) == len(s.Base) && len(kept.Cand) == len(s.Cand):
			whole = append(whole, i)
		}
		r.all[i].Strata = append(r.all[i].Strata, kept)
		r.all[i].Tested = append(r.all[i].Tested, kept)
		r.all[i].stages = append(r.all[i].stages, r.Stages-1)
	}
	ops, values := make([]Op, len(whole)), make([]Stratum, len(whole))
	for k, i := range whole {
		ops[k], values[k] = r.ops[i], strata[i]
	}
	for k, s := range removeCommonMode(r.rk, ops, values) {
		v := &r.all[whole[k]]
		v.Tested[len(v.Tested)-1] = s
	}
	for i, s := range groupMovements(r.groups, ops, values) {
		if len(s.Base) > 0 && len(s.Cand) > 0 {
			v := &r.all[r.single()+i]
			v.Strata, v.Tested, v.stages = append(v.Strata, s), append(v.Tested, s), append(v.stages, r.Stages-1)
		}
	}
}

// numbers returns the values that are there.
func numbers(values []float64) []float64 {
	if !slices.ContainsFunc(values, math.IsNaN) {
		return values
	}
	return slices.DeleteFunc(slices.Clone(values), math.IsNaN)
}

// settle closes the open ops that need no boots after a look (from 0). An op
// whose boots could not have kept it open stays open all the same.
func (r *replay) settle(look int) {
	if look >= len(r.plan.Cuts) {
		return
	}
	cut := r.plan.Cuts[look]
	for i := range r.all {
		v := &r.all[i]
		if v.Closed || len(v.Tested) == 0 || MinP(sizes(v.Tested)...) > cut*(1+1e-9) {
			continue
		}
		v.Closed = !(r.shift(i) > r.ops[i].limit()) || r.pTested(i) > cut
	}
}

// shift is the op's shift in all that was measured.
func (r *replay) shift(i int) float64 {
	v := &r.all[i]
	if v.shifted != len(v.Strata) || v.shifted == 0 {
		v.Shift, v.shifted = Shift(v.Strata), len(v.Strata)
	}
	return v.Shift
}

// pTested is the p-value of its values without the common movement.
func (r *replay) pTested(i int) float64 {
	v := &r.all[i]
	if v.ranked != len(v.Tested) || v.ranked == 0 {
		v.rank, v.ranked = r.p(i, v.Tested), len(v.Tested)
	}
	return v.rank
}

// p is the p-value of "op i is slower by more than the margin".
func (r *replay) p(i int, strata []Stratum) float64 {
	if r.ops[i].Linear {
		return r.rk.P(strata, 0)
	}
	return r.rk.P(strata, r.plan.Margin)
}

// holdsZero is the one-sided level at which a 95 % interval holds 0.
const holdsZero = 0.025

// slower reports whether an op may be called a regression, whatever its
// p-value over the family: its shift is over the budget, and the interval of
// what was measured does not hold 0. The p-value is of values without the
// common movement, which must not be all that speaks for it.
func (r *replay) slower(i int) bool {
	return r.shift(i) > r.ops[i].limit() && r.rk.P(r.all[i].Strata, 0) <= holdsZero
}

// faster is slower's mirror.
func (r *replay) faster(i int) bool {
	return -r.shift(i) > r.ops[i].limit() && r.rk.P(mirror(r.all[i].Strata), 0) <= holdsZero
}

// stop looks for regressions before the last look (from 0), with a test that
// so few boots allow. One is enough to stop: the build is blocked.
func (r *replay) stop(look int) bool {
	if look >= len(r.plan.Early) {
		return false
	}
	r.Stopped = r.reject(r.plan.Early[look])
	return r.Stopped
}

// last looks for regressions among what is open after the last look.
func (r *replay) last() {
	if r.plan.Final > 0 {
		r.reject(r.plan.Final)
	}
}

// reject names the regressions that a look finds at its level, and reports
// whether there is one.
func (r *replay) reject(level float64) bool {
	var candidates []int
	for i := range r.all {
		if !r.all[i].Closed && r.slower(i) {
			candidates = append(candidates, i)
		}
	}
	if len(candidates) == 0 {
		return false
	}
	found := false
	for i, p := range r.clippedMaxT(candidates, level) {
		if p <= level {
			found = true
			r.all[i].P, r.all[i].Adjusted, r.all[i].Regressed = p, p, true
		}
	}
	if found {
		r.describe(candidates)
	}
	return found
}

// together is the level of a group's movement in a build that is blocked
// already: the question is then how to say it, not whether.
const together = 0.01

// describe names the groups that are slower as a whole where a look found
// some op: everything, and the groups that have such an op.
func (r *replay) describe(candidates []int) {
	found := map[string]bool{"": true}
	for i, v := range r.all[:r.single()] {
		if v.Regressed {
			found[r.ops[i].Group] = true
		}
	}
	for _, i := range candidates {
		if i < r.single() || r.all[i].Regressed || !found[r.ops[i].Group] {
			continue
		}
		if p := r.pTested(i); p <= together {
			r.all[i].P, r.all[i].Adjusted, r.all[i].Regressed = p, p, true
		}
	}
}

// decide corrects the p-values over the family, in which closed ops count
// with 1, and names the regressions. What an early look found stays.
func (r *replay) decide() {
	mirrored := make([][]Stratum, len(r.all))
	for i := range r.all {
		v := &r.all[i]
		r.shift(i)
		if !v.Regressed {
			v.P = r.pTested(i)
		}
		mirrored[i] = mirror(v.Tested)
	}
	var slower, faster []float64
	if r.plan.Few {
		slower, faster = r.fewBoots(func(i int) []Stratum { return r.all[i].Tested }), r.fewBoots(func(i int) []Stratum { return mirrored[i] })
	} else {
		slower, faster = make([]float64, len(r.all)), make([]float64, len(r.all))
		for i := range r.all {
			slower[i], faster[i] = r.all[i].P, r.p(i, mirrored[i])
			if r.all[i].Closed {
				slower[i] = 1
			}
		}
		slower, faster = r.holm(slower), r.holm(faster)
		if r.fewSoFar() && r.anyFaster(r.single()) {
			faster = r.fewBoots(func(i int) []Stratum { return mirrored[i] })
		}
	}
	for i := range r.all {
		v := &r.all[i]
		v.AdjustedFaster = faster[i]
		v.Improved = faster[i] <= r.plan.Alpha && r.faster(i)
		if v.Regressed {
			continue
		}
		v.Adjusted = slower[i]
		v.Regressed = !r.tested() && slower[i] <= r.plan.Alpha && r.slower(i)
	}
}

// fewSoFar reports whether the boots of one stage are too few for ranks and
// Holm's correction: what got faster is then told as of few boots.
func (r *replay) fewSoFar() bool {
	shape := r.shape()
	return len(shape) == 1 && min(shape[0][0], shape[0][1]) >= MinFewBoots && max(shape[0][0], shape[0][1]) <= MaxFewBoots
}

// anyFaster reports whether one of the first n ops may be faster.
func (r *replay) anyFaster(n int) bool {
	for i := range n {
		if r.faster(i) {
			return true
		}
	}
	return false
}

// tested reports whether the last look was tested at its own level, which is
// the end of it.
func (r *replay) tested() bool {
	return r.plan.Final > 0 && r.Stages == len(r.plan.Looks)
}

// holm corrects ops and groups for themselves, each at its own level. What it
// returns of groups is scaled so that Alpha is the level of both.
func (r *replay) holm(p []float64) []float64 {
	out := Holm(p[:r.single()])
	for _, x := range Holm(p[r.single():]) {
		if r.plan.Groups > 0 {
			x = min(1, x*r.plan.Alpha/r.plan.Groups)
		} else {
			x = 1
		}
		out = append(out, x)
	}
	return out
}

// sizes are the boots of the sides in each stratum, those of each machine apart.
func sizes(strata []Stratum) (out [][2]int) {
	for _, s := range strata {
		out = append(out, s.cells()...)
	}
	return out
}

// Holm returns p-values adjusted for testing all of them at once (Holm 1979,
// A simple sequentially rejective multiple test procedure).
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return compareFloat(p[a], p[b]) })
	out := make([]float64, len(p))
	running := 0.0
	for rank, i := range order {
		running = max(running, min(1, float64(len(p)-rank)*p[i]))
		out[i] = running
	}
	return out
}
