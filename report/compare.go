package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// A comparison is two sides, drawn.
type comparison struct {
	Verdict   string
	Reasons   []string
	Doubts    []string
	Base      string
	Cand      string
	Intervals []interval
	Ticks     []tick
	Zero      string
	Height    string
	Strips    []strip
}

// An interval is one line of the interval plot: the change with its 95 %
// interval, and the budget.
type interval struct {
	Op, Verdict, Class string
	Text               string // the change in words
	Y, Lo, Hi, At      string
	BudgetLo, BudgetHi string
	LabelY             string
	Values             string
	hasInterval        bool
}

// HasInterval reports whether there is a line to draw.
func (i interval) HasInterval() bool { return i.hasInterval }

// A strip has every boot of both sides of one op, in the order in which they
// ran: it shows two modes and outliers that a median hides, and drift.
type strip struct {
	Op, Unit string
	Boots    []stripBoot
	Ticks    []tick
	Summary  string
}

type stripBoot struct {
	X, Y, Class, Tip string
}

const (
	rowHeight                     = 22.0
	intervalLeft, intervalRight   = 170.0, 520.0
	stripWidth, stripLeft         = 336.0, 58.0
	stripRight, stripTop, stripTo = 328.0, 10.0, 110.0
)

// newComparison draws what compare found.
func newComparison(c *compare.Comparison, d *compare.Decision, base, cand *compare.Side) *comparison {
	out := &comparison{Base: termtext.Cell(c.Base), Cand: termtext.Cell(c.Cand)}
	if d != nil {
		out.Verdict = verdict(d)
		for _, r := range d.Reasons {
			out.Reasons = append(out.Reasons, termtext.Cell(r))
		}
	}
	for _, t := range c.Doubts {
		out.Doubts = append(out.Doubts, termtext.Cell(t))
	}
	for _, t := range c.Differences {
		out.Doubts = append(out.Doubts, termtext.Cell(t.Text))
	}
	var primary []*compare.Finding
	widest := 0.1
	for _, f := range c.Findings {
		if !f.Primary {
			continue
		}
		primary = append(primary, f)
		if !f.Linear && !math.IsNaN(f.Lo) && !math.IsInf(f.Lo, 0) && !math.IsInf(f.Hi, 0) {
			widest = max(widest, math.Abs(f.Lo), math.Abs(f.Hi))
		}
	}
	widest = min(widest, math.Log(4)) // one that is four times slower does not flatten the others
	x := scale{lo: -widest * 1.05, hi: widest * 1.05, from: intervalLeft, to: intervalRight}
	for _, r := range []float64{-0.7, -0.5, -0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.35, 0.5, 1, 2} {
		if at := math.Log1p(r); math.Abs(at) <= widest {
			out.Ticks = append(out.Ticks, tick{px(x.at(at)), percentShort(r)})
		}
	}
	out.Ticks = spaced(out.Ticks, 46) // its text is larger than that of charts
	out.Zero = px(x.at(0))
	for i, f := range primary {
		out.Intervals = append(out.Intervals, newInterval(f, float64(i), x))
	}
	out.Height = px(float64(len(primary))*rowHeight + 30)
	out.Strips = strips(primary, base, cand)
	return out
}

func percentShort(r float64) string {
	if r == 0 {
		return "0"
	}
	return fmt.Sprintf("%+.0f %%", 100*r)
}

// spaced drops ticks whose labels would touch: those nearer to the one before
// than a width.
func spaced(ticks []tick, width float64) []tick {
	var out []tick
	last := math.Inf(-1)
	for _, t := range ticks {
		var at float64
		_, _ = fmt.Sscan(t.At, &at)
		if at-last >= width {
			out, last = append(out, t), at
		}
	}
	return out
}

func newInterval(f *compare.Finding, i float64, x scale) interval {
	y := 24 + i*rowHeight
	out := interval{
		Op: termtext.Cell(f.Key()), Verdict: string(f.Verdict), Class: class(f), Y: px(y), LabelY: px(y + 4),
		Values: fmt.Sprintf("%s → %s", compare.Value(f.Base.Median, f.Unit), compare.Value(f.Cand.Median, f.Unit)),
	}
	if f.Linear || math.IsNaN(f.Shift) || math.IsInf(f.Shift, 0) {
		out.Text = string(f.Verdict)
		return out
	}
	clip := func(v float64) float64 { return min(max(v, x.lo), x.hi) }
	out.hasInterval = true
	out.At = px(x.at(clip(f.Shift)))
	lo, hi := f.Lo, f.Hi
	if math.IsNaN(lo) || math.IsNaN(hi) {
		lo, hi = f.Shift, f.Shift
	}
	out.Lo, out.Hi = px(x.at(clip(lo))), px(x.at(clip(hi)))
	out.BudgetLo, out.BudgetHi = px(x.at(clip(-math.Log1p(f.Budget)))), px(x.at(clip(math.Log1p(f.Budget))))
	out.Text = fmt.Sprintf("%s: %s slower (%s to %s), %s", out.Op, percent(math.Expm1(f.Shift)), percent(math.Expm1(lo)), percent(math.Expm1(hi)), f.Verdict)
	return out
}

// class is the colour of a verdict.
func class(f *compare.Finding) string {
	switch f.Verdict {
	case compare.Slower, compare.Failed, compare.Missing:
		return "worse"
	case compare.Faster:
		return "better"
	}
	return "same"
}

func verdict(d *compare.Decision) string {
	text := d.Answer()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

func strips(findings []*compare.Finding, base, cand *compare.Side) []strip {
	values := make(map[string][]bootValue)
	for class, side := range map[string]*compare.Side{"base": base, "cand": cand} {
		if side == nil {
			continue
		}
		for i, b := range side.Boots {
			slot := i
			if b.Boot != nil {
				slot = b.Boot.Slot
			}
			for _, fig := range compare.Figures(b) {
				if fig.OK && fig.Primary {
					key := fig.Op + " " + fig.Unit
					values[key] = append(values[key], bootValue{slot, class, fig.Value, termtext.Cell(b.Name)})
				}
			}
		}
	}
	var out []strip
	for _, f := range findings {
		if v := values[f.Op+" "+f.Unit]; len(v) > 1 {
			out = append(out, newStrip(f, v))
		}
	}
	return out
}

type bootValue struct {
	slot  int
	class string
	value float64
	name  string
}

func newStrip(f *compare.Finding, values []bootValue) strip {
	sortBy(values, func(a, b bootValue) bool { return a.slot < b.slot || a.slot == b.slot && a.class < b.class })
	all := make([]float64, len(values))
	for i, v := range values {
		all[i] = v.value
	}
	y := newScale(all, stripTo, stripTop)
	s := strip{Op: termtext.Cell(f.Key()), Unit: f.Unit}
	s.Summary = fmt.Sprintf("%s in %d boots of base, %s in %d of candidate", compare.Value(f.Base.Median, f.Unit), f.Base.Boots, compare.Value(f.Cand.Median, f.Unit), f.Cand.Boots)
	for _, v := range y.ticks(3) {
		s.Ticks = append(s.Ticks, tick{px(y.at(v)), compare.Value(v, f.Unit)})
	}
	for i, v := range values {
		x := stripLeft + 10
		if len(values) > 1 {
			x += float64(i) / float64(len(values)-1) * (stripRight - stripLeft - 20)
		}
		s.Boots = append(s.Boots, stripBoot{px(x), px(y.at(v.value)), v.class, fmt.Sprintf("%s, %s: %s", v.class, v.name, compare.Value(v.value, f.Unit))})
	}
	return s
}
