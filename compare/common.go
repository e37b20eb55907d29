package compare

import (
	"maps"
	"math"
	"slices"
)

// commonShare is the part of a boot's common movement that is taken out of
// every op. An op follows its machine only in part, and the estimate has
// noise of its own; in simulation 0.4 names 4 points more of the 10 %
// slowdowns at the same rate of false alarms, and the whole adds noise.
const commonShare = 0.4

// slowBoot is how far above the slowest quarter of its stage a boot's common
// movement has to be for it to count as a slow boot as a whole: 20 %.
const slowBoot = 0.1823

// minCommon is the smallest number of ops from which a boot's common movement
// can be estimated; below it one slowed op would be a large part of the estimate.
const minCommon = 8

// mostFollow bounds what is taken out of an op to so many times the boot's
// plain movement. Where most boots are the same to the digit, one that differs
// is any number of deviations away; and the deviation of a slowed op is its
// slowdown, so without a bound the two together could hide it.
const mostFollow = 3

// fewGroups is the smallest number of groups whose median one of them cannot
// move; below
// it all ops count alike.
const fewGroups = 3

// removeCommonMode takes the strata of all ops measured in one stage, boot
// i of a side at index i in every op, and returns them without the movement
// that a boot's ops share: a boot on a busy machine is slow in most ops, and
// that says nothing about any of them.
//
// A boot's movement is the median over the groups of the median over their
// ops, so neither one slowed op nor one slowed category moves it. Of the
// movement in units of each op's median absolute deviation a share is taken
// out, within a bound. A slow boot, whose plain movement stands out from its stage, is of no
// use to a rank test at all: its whole plain movement is taken out.
//
// The result is for testing only. Labels play no part in it, both sides are
// treated alike, so the rank test stays exact; but a build that slows most
// ops loses part of its shift. Estimates are made from the original values.
func removeCommonMode(rk *Ranker, items []Op, strata []Stratum) []Stratum {
	out := make([]Stratum, len(strata))
	ops := make([]movingOp, len(strata))
	moving := 0
	for i, s := range strata {
		out[i] = Stratum{Base: slices.Clone(s.Base), Cand: slices.Clone(s.Cand), Blocks: s.Blocks}
		ops[i].Op = items[i]
		ops[i].centre, ops[i].spread = medianMAD(slices.Concat(s.Base, s.Cand))
		if ops[i].spread > 0 {
			moving++
		}
	}
	if moving < minCommon {
		return out
	}
	sides := []func(Stratum) []float64{
		func(s Stratum) []float64 { return s.Base },
		func(s Stratum) []float64 { return s.Cand },
	}
	movement := newMovement(ops)
	var scaled, plain []float64 // of every boot, Old's first
	for _, side := range sides {
		for boot := range side(strata[0]) {
			at := func(i int) float64 { return side(strata[i])[boot] - ops[i].centre }
			scaled = append(scaled, movement.of(func(i int) float64 { return at(i) / ops[i].spread }))
			plain = append(plain, movement.of(func(i int) float64 {
				if ops[i].Linear {
					return math.NaN()
				}
				return at(i)
			}))
		}
	}
	if n := len(strata[0].Base); differ2(rk, strata[0], plain[:n], plain[n:]) || differ2(rk, strata[0], scaled[:n], scaled[n:]) {
		return out
	}
	limit := upperQuartile(plain) + slowBoot
	slow := func(by float64) bool { return by > limit }
	if strata[0].blocked() {
		// A slow boot moves its machine's middle, and with it its partner.
		slow = func(by float64) bool { return math.Abs(by) > limit }
	}
	n := 0
	for _, side := range sides {
		for boot := range side(strata[0]) {
			for i, op := range ops {
				if slow(plain[n]) && !op.Linear {
					side(out[i])[boot] -= plain[n]
				} else {
					side(out[i])[boot] -= op.follows(scaled[n], plain[n])
				}
			}
			n++
		}
	}
	return out
}

// differ2 reports whether the common movement differs between the sides, by a
// two-sided rank test at 5 %. It is then not the machine's alone, and to take
// it out would make what did not change look as if it had.
func differ2(rk *Ranker, like Stratum, base, cand []float64) bool {
	const level = 0.05
	s := []Stratum{{Base: base, Cand: cand, Blocks: like.Blocks}}
	return rk.P(s, 0) <= level/2 || rk.P(mirror(s), 0) <= level/2
}

// movingOp is an op with the middle of its values in a stage.
type movingOp struct {
	Op
	centre, spread float64
}

// follows is how far the op moves with its boot, whose movement is scaled in
// deviations and plain in log. A linear op has no log: its bound is as many of
// its deviations.
func (op *movingOp) follows(scaled, plain float64) float64 {
	bound := mostFollow * math.Abs(plain)
	if op.Linear {
		bound = mostFollow * commonShare * op.spread
	}
	return max(-bound, min(bound, commonShare*scaled*op.spread))
}

// movement is the median over the groups of the median of their ops'
// movements. Ops that do not move, and those without a number, are left out.
type movement struct {
	groups                [][]int // of ops that move
	values, medians, each []float64
}

func newMovement(ops []movingOp) *movement {
	byGroup := make(map[string][]int)
	for i, op := range ops {
		if op.spread != 0 {
			byGroup[op.Group] = append(byGroup[op.Group], i)
		}
	}
	return &movement{groups: slices.Collect(maps.Values(byGroup))}
}

func (m *movement) of(op func(i int) float64) float64 {
	m.medians, m.each = m.medians[:0], m.each[:0]
	for _, group := range m.groups {
		m.values = m.values[:0]
		for _, i := range group {
			if v := op(i); !math.IsNaN(v) {
				m.values = append(m.values, v)
			}
		}
		if len(m.values) > 0 {
			m.each = append(m.each, m.values...)
			slices.Sort(m.values)
			m.medians = append(m.medians, middle(m.values))
		}
	}
	out := m.medians
	if len(out) == 0 {
		return 0
	}
	if len(out) < fewGroups {
		out = m.each
	}
	slices.Sort(out)
	return middle(out)
}

func upperQuartile(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)*3/4]
}

func medianMAD(v []float64) (median, mad float64) {
	if len(v) == 0 {
		return 0, 0
	}
	slices.Sort(v)
	median = middle(v)
	for i := range v {
		v[i] = math.Abs(v[i] - median)
	}
	slices.Sort(v)
	return median, middle(v)
}
