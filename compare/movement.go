package compare

import (
	"fmt"
	"math"
	"slices"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// A Movement is a change of a category, or of everything, as a whole.
type Movement struct {
	Category catalogue.Category // "" is everything
	Slower   bool
	// Shift is the log of new to old with its 95 % interval, of the median op
	// of a category, and of the mean category of everything.
	Shift, Lo, Hi float64
	P             float64 // over all ops and groups together
	Ops           int     // metrics that it is the movement of
	Categories    int     // that everything is the mean of; 0 of a category
	// Partly says that a category did not move along, so that the mean of all
	// moved and not everything.
	Partly bool
}

// Name is what moved, in words.
func (m Movement) Name() string {
	switch {
	case m.Category == "" && m.Partly:
		return "the suite as a whole"
	case m.Category == "":
		return "everything"
	}
	return string(m.Category) + " as a whole"
}

// of is what its figure is of.
func (m Movement) of() string {
	if m.Category == "" {
		return fmt.Sprintf("the mean of %d categories", m.Categories) // two at least
	}
	return "the median of " + termtext.Plural(m.Ops, "metric")
}

// left reports whether a category shows that it did not follow a movement of
// everything: the intervals of most of its metrics end before half of it.
func (m Movement) left(category []*Finding) bool {
	behind, all := 0, 0
	for _, f := range category {
		if f.Linear || math.IsNaN(f.Lo) || math.IsNaN(f.Hi) {
			continue
		}
		all++
		if m.Slower && f.Hi < m.Shift/2 || !m.Slower && f.Lo > m.Shift/2 {
			behind++
		}
	}
	return 2*behind > all
}

// movementPlace orders movements: everything, then the categories.
func movementPlace(m Movement) int {
	if m.Category == "" {
		return -1
	}
	return categoryPlace(m.Category)
}

// covers reports whether an op moved no further than the movement did, by more
// than its budget, so that it needs no line of its own.
func (m Movement) covers(f *Finding) bool {
	if m.Category != "" && m.Category != f.Category || f.Linear {
		return false
	}
	beyond, apart := f.Shift-m.Shift, f.Lo > m.Hi
	if !m.Slower {
		beyond, apart = -beyond, f.Hi < m.Lo
	}
	return !apart || beyond <= math.Log1p(f.Budget)
}

// A CommonShift is a shift in one direction of most ops of every category.
type CommonShift struct {
	Slower     bool
	Moved, Ops int     // metrics that moved this way, of all
	Median     float64 // the median change of all, as a ratio; larger is slower
}

const (
	moved      = 0.03 // a shift that counts
	movedShare = 0.40 // of the ops of every category
)

// commonShift finds what most ops share. It takes two categories and as many
// ops as telling a common movement takes.
func commonShift(findings []*Finding) *CommonShift {
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
			return &CommonShift{slower, in(shifts), len(shifts), math.Expm1(middle(shifts))}
		}
	}
	return nil
}
