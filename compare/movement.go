package compare

import (
	"math"
	"slices"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// A Movement is a shift that most ops of every category share.
type Movement struct {
	Slower     bool
	Moved, Ops int     // metrics that moved this way, of all
	Median     float64 // the median change of all, as a ratio; larger is slower
}

const (
	moved      = 0.03 // a shift that counts
	movedShare = 0.40 // of the ops of every category
)

// movement finds a shift of the whole machine. It takes two categories and as
// many ops as telling a common movement takes: one category that is slower is
// a finding, not a machine.
func movement(findings []*Finding) *Movement {
	var shifts []float64
	byCategory := make(map[catalogue.Category][]float64)
	for _, f := range findings {
		if f.Primary && !f.Linear && !math.IsNaN(f.Shift) && f.Verdict != NotComparable {
			shifts = append(shifts, f.Shift)
			byCategory[f.Category] = append(byCategory[f.Category], f.Shift)
		}
	}
	if len(byCategory) < 2 || len(shifts) < minCommon {
		return nil
	}
	slices.Sort(shifts)
	for _, slower := range []bool{true, false} {
		in := func(all []float64) (n int) {
			for _, e := range all {
				if slower && e > math.Log1p(moved) || !slower && -e > math.Log1p(moved) {
					n++
				}
			}
			return n
		}
		everywhere := true
		for _, all := range byCategory {
			everywhere = everywhere && float64(in(all)) > movedShare*float64(len(all))
		}
		if everywhere {
			return &Movement{slower, in(shifts), len(shifts), math.Expm1(middle(shifts))}
		}
	}
	return nil
}

// sweeping reports whether the movement is to be told in place of its metrics:
// where the order of the boots does not tell the build from the machine, and
// where most metrics are found to have moved one by one.
func (c *Comparison) sweeping() bool {
	switch {
	case c.Machine == nil:
		return false
	case c.Order.Interleaving != Interleaved:
		return true
	}
	found := 0
	for _, f := range c.Judged() {
		if f.worse && c.Machine.Slower || f.better && !c.Machine.Slower {
			found++
		}
	}
	return float64(found) > movedShare*float64(c.Machine.Ops)
}
