package main

import (
	"context"
	"fmt"

	"github.com/capsem/capsem-bench/internal/rivals"
)

// A line is one line of the table: a figure of ours, that of a tool where
// there is one, and what has to come of it.
type line struct {
	what, unit, tool string
	ours, theirs     rivals.Measure // theirs may be nil
	target           target
	runs             int // 0: as many as the others
}

// A target is a bound on a ratio, on a difference, or on our figure alone.
type target struct {
	kind  kind
	bound float64
}

type kind int

const (
	timesAtLeast kind = iota // ours to theirs, of what is better when higher
	timesAtMost              // ours to theirs, of what is better when lower
	moreAtMost               // ours beyond theirs, in the line's unit
	atMost                   // ours, in the line's unit
)

func (t target) String() string {
	switch t.kind {
	case timesAtLeast:
		return fmt.Sprintf(">= %.2f x", t.bound)
	case timesAtMost:
		return fmt.Sprintf("<= %.2f x", t.bound)
	case moreAtMost:
		return fmt.Sprintf("<= +%g", t.bound)
	}
	return fmt.Sprintf("<= %g", t.bound)
}

func (t target) result(v float64) string {
	switch t.kind {
	case timesAtLeast, timesAtMost:
		return fmt.Sprintf("%.2f x", v)
	case moreAtMost:
		return fmt.Sprintf("%+.2f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// A row is a line with what was measured.
type row struct {
	line
	rivals.Result
	err error
}

func (l line) run(ctx context.Context, runs int) row {
	if l.runs > 0 {
		runs = l.runs
	}
	if l.theirs == nil {
		v, err := l.ours(ctx)
		return row{l, rivals.Result{Ours: []float64{v}}, err}
	}
	res, err := rivals.Alternate(ctx, runs, l.ours, l.theirs)
	return row{l, res, err}
}

// value is what the target bounds.
func (r row) value() float64 {
	switch r.target.kind {
	case moreAtMost:
		diffs := make([]float64, len(r.Ours))
		for i := range diffs {
			diffs[i] = r.Ours[i] - r.Theirs[i]
		}
		return rivals.Median(diffs)
	case atMost:
		return r.Ours[0]
	}
	return r.Ratio()
}

func (r row) met() bool {
	switch {
	case r.err != nil:
		return false
	case r.target.kind == timesAtLeast:
		return r.value() >= r.target.bound
	}
	return r.value() <= r.target.bound
}
