package compare

import (
	"math"
	"slices"
)

// commonShare is the part of a boot's common movement that is taken out of
// every op. An op follows its machine only in part, and the estimate has
// noise of its own; in simulation 0.4 names 4 points more of the 10 %
// slowdowns at the same rate of false alarms, and the whole adds noise.
const commonShare = 0.4

// minCommon is the fewest ops from which a boot's common movement can be
// told; below it one slowed op would be a large part of the estimate.
const minCommon = 8

// RemoveCommonMode takes the strata of all ops measured in one stage, boot i
// of a side at index i in every op, and returns them without the movement
// that a boot's ops share: a boot on a busy machine is slow in most ops, and
// that says nothing about any of them. A boot's movement is the median over
// the ops of its distance from the op's median, in units of the op's median
// absolute deviation, so one slowed op does not move it.
//
// The result is for testing only: both sides are treated alike, so the rank
// test stays exact, but a build that slows most ops loses part of its shift.
// Estimates are made from the original values.
func RemoveCommonMode(ops []Stratum) []Stratum {
	out := make([]Stratum, len(ops))
	centre, spread := make([]float64, len(ops)), make([]float64, len(ops))
	moving := 0
	for i, s := range ops {
		out[i] = Stratum{Old: slices.Clone(s.Old), New: slices.Clone(s.New)}
		centre[i], spread[i] = medianMAD(slices.Concat(s.Old, s.New))
		if spread[i] > 0 {
			moving++
		}
	}
	if moving < minCommon {
		return out
	}
	z := make([]float64, 0, len(ops))
	steady := func(side func(int) []float64) {
		for boot := range side(0) {
			z = z[:0]
			for i := range out {
				if spread[i] > 0 {
					z = append(z, (side(i)[boot]-centre[i])/spread[i])
				}
			}
			slices.Sort(z)
			move := commonShare * middle(z)
			for i := range out {
				side(i)[boot] -= move * spread[i]
			}
		}
	}
	steady(func(i int) []float64 { return out[i].Old })
	steady(func(i int) []float64 { return out[i].New })
	return out
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
