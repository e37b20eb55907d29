package compare

import (
	"maps"
	"slices"
)

// minGroup is the smallest number of ops whose common movement is a member of its own:
// the median of fewer is one op's.
const minGroup = 3

// groupsOf returns the groups that are tested as a whole: those of at least
// minGroup ops, and "" for all where there are two groups and minCommon ops.
func groupsOf(ops []Op) []string {
	count := make(map[string]int)
	var out []string
	n := 0
	for _, op := range ops {
		if op.Linear {
			continue
		}
		if count[op.Group]++; count[op.Group] == minGroup && op.Group != "" {
			out = append(out, op.Group)
		}
		n++
	}
	if len(count) >= 2 && n >= minCommon {
		out = append(out, "")
	}
	return out
}

// groupMovements returns the movement of each group in every boot: the median
// over its ops of how far the boot is from the op's median, and for "" the
// mean of these over all groups that ops have. A single op, however slow,
// moves no median. Of ops measured in part there is no movement: the strata
// are those of ops that have a value in every boot, and a group that was not
// measured has an empty one.
func groupMovements(groups []string, ops []Op, strata []Stratum) []Stratum {
	out := make([]Stratum, len(groups))
	members := make(map[string][]Stratum)
	for i, s := range strata {
		if ops[i].Linear {
			continue
		}
		centre := median(slices.Concat(s.Base, s.Cand))
		members[ops[i].Group] = append(members[ops[i].Group], Stratum{shifted(s.Base, -centre), shifted(s.Cand, -centre), s.Blocks})
	}
	byGroup := make(map[string]Stratum)
	for g, all := range members {
		byGroup[g] = boots(all, func(v []float64) float64 { slices.Sort(v); return middle(v) })
	}
	var every []Stratum
	complete := true
	for i, g := range groups {
		if g != "" && len(members[g]) < minGroup {
			complete = false
		} else if g != "" {
			out[i] = byGroup[g]
		}
	}
	for _, g := range sortedKeys(byGroup) {
		every = append(every, byGroup[g])
	}
	if n := len(groups); n > 0 && groups[n-1] == "" && complete && len(every) >= 2 {
		out[n-1] = boots(every, func(v []float64) float64 {
			sum := 0.0
			for _, x := range v {
				sum += x
			}
			return sum / float64(len(v))
		})
	}
	return out
}

// boots sums up the values of each boot over several strata of the same boots.
func boots(strata []Stratum, sum func([]float64) float64) Stratum {
	side := func(of func(Stratum) []float64) []float64 {
		out := make([]float64, len(of(strata[0])))
		values := make([]float64, len(strata))
		for boot := range out {
			for i, s := range strata {
				values[i] = of(s)[boot]
			}
			out[boot] = sum(values)
		}
		return out
	}
	return Stratum{
		side(func(s Stratum) []float64 { return s.Base }),
		side(func(s Stratum) []float64 { return s.Cand }),
		strata[0].Blocks,
	}
}

func sortedKeys(m map[string]Stratum) []string { return slices.Sorted(maps.Keys(m)) }
