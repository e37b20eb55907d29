package main

import (
	"context"
	"fmt"

	"github.com/capsem/capsem-bench/tools/internal/reference"
)

// A line is one line of a table: a figure of ours, that of a tool where there
// is one, and what has to come of it.
type line struct {
	what, unit, tool string
	ours, theirs     reference.Measure // theirs may be nil
	target           target
	runs             int // 0: as many as the others
}

const (
	leastTolerance = 0.05 // a file of one run lies elsewhere on the disk than that of another
	mostTolerance  = 0.50
)

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
	agrees                   // ours to theirs is 1 within the tolerance of [row.tolerance]
	noted                    // nothing; ours, and the ratio where there is another
)

func (t target) String() string {
	switch t.kind {
	case timesAtLeast:
		return fmt.Sprintf(">= %.2f x", t.bound)
	case timesAtMost:
		return fmt.Sprintf("<= %.2f x", t.bound)
	case moreAtMost:
		return fmt.Sprintf("<= +%g", t.bound)
	case agrees:
		return "the same"
	case noted:
		return ""
	}
	return fmt.Sprintf("<= %g", t.bound)
}

func (t target) result(v float64) string {
	switch t.kind {
	case timesAtLeast, timesAtMost, agrees, noted:
		return fmt.Sprintf("%.2f x", v)
	case moreAtMost:
		return fmt.Sprintf("%+.2f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// A row is a line with what was measured.
type row struct {
	line
	reference.Result
	err error
}

func (l line) run(ctx context.Context, runs int) row {
	if l.runs > 0 {
		runs = l.runs
	}
	if l.theirs == nil {
		v, err := l.ours(ctx)
		return row{l, reference.Result{Ours: []float64{v}}, err}
	}
	res, err := reference.Alternate(ctx, runs, l.ours, l.theirs)
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
		return reference.Median(diffs)
	case atMost:
		return r.Ours[0]
	}
	return r.Ratio()
}

// result is what the table shows of the value; of a figure that is only noted,
// and has none beside it, that is nothing more.
func (r row) result() string {
	if r.target.kind == noted && r.theirs == nil {
		return ""
	}
	return r.target.result(r.value())
}

// tolerance is how far the ratio of figures that agree may be from 1: the
// spread of our runs plus that of theirs, and never less than 5 %. For seven
// pairs of normally distributed runs that is four standard errors of the ratio.
func (r row) tolerance() float64 {
	return max(leastTolerance, reference.Spread(r.Ours)+reference.Spread(r.Theirs))
}

// A verdict is what became of a line.
type verdict string

const (
	met      verdict = "met"
	missed   verdict = "MISSED"
	measured verdict = "measured"  // there is no target
	tooNoisy verdict = "too noisy" // nothing can be decided on this machine now
	failed   verdict = "failed"
)

func (r row) verdict() verdict {
	if r.err != nil {
		return failed
	}
	if r.target.kind == noted {
		return measured
	}
	ok := r.value() <= r.target.bound
	switch r.target.kind {
	case timesAtLeast:
		ok = r.value() >= r.target.bound
	case agrees:
		limit := 1 + r.tolerance()
		if ok = r.value() <= limit && r.value() >= 1/limit; ok && limit > 1+mostTolerance {
			return tooNoisy
		}
	}
	if ok {
		return met
	}
	return missed
}

// status is the exit status that rows stand for.
func status(rows []row) int {
	code := reference.ExitOK
	for _, r := range rows {
		switch r.verdict() {
		case missed, failed:
			return reference.ExitFailed
		case tooNoisy:
			code = reference.ExitUnfit
		}
	}
	return code
}
