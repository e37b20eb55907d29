package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/montanaflynn/stats"
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
	Strips    []strip
}

// An interval is one line of the interval plot: the change with its 95 %
// interval, and the budget. Places are percentages of the plot's width, so that
// marks and text keep their size on any screen.
type interval struct {
	Op, Verdict, Class string
	Text               string // the change in words
	Lo, Hi, At         string
	BudgetLo, BudgetHi string
	Values             string
	Drawn              bool // there is a line to draw
	Below, Above       bool // it goes on beyond the plot
}

// A strip has every boot of both sides of one op: in the order in which they
// ran, which shows drift, and each side by itself, which shows two modes and
// outliers that a median hides.
type strip struct {
	Op, Unit string
	Boots    []stripBoot
	Sides    []stripSide
	Ticks    []tick
	Summary  string
}

// A stripSide has the boots of one side, beside each other where they would
// cover each other.
type stripSide struct {
	Name, Class, X   string
	From, To, Median string // of the line at the median
	Boots            []stripBoot
}

type stripBoot struct {
	X, Y, Class, Tip string
}

const (
	intervalLeft, intervalRight = 6.0, 94.0 // percent of the width
	intervalTicks               = 11.0      // percent between two ticks: 37 pixels on a phone
	stripLeft, stripOrder       = 58.0, 236.0
	stripTop, stripTo           = 10.0, 110.0
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
	for _, r := range []float64{-0.7, -0.5, -0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3, 0.5, 1, 2} {
		if at := math.Log1p(r); math.Abs(at) <= widest {
			out.Ticks = append(out.Ticks, tick{px(x.at(at)), percentShort(r)})
		}
	}
	out.Ticks = spaced(out.Ticks, intervalTicks)
	for i := range out.Ticks {
		out.Ticks[i].At += "%"
	}
	out.Zero = px(x.at(0)) + "%"
	for _, f := range primary {
		out.Intervals = append(out.Intervals, newInterval(f, x))
	}
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
		if at := t.at(); at-last >= width {
			out, last = append(out, t), at
		}
	}
	return out
}

// fitting drops ticks whose labels would touch or stick out of the picture.
func fitting(ticks []tick) []tick {
	return slices.DeleteFunc(spaced(ticks, labelWidth), func(t tick) bool { return t.at() > chartWidth-labelWidth/2 })
}

// at is where the tick stands, as a number.
func (t tick) at() (at float64) {
	_, _ = fmt.Sscan(t.At, &at)
	return at
}

func newInterval(f *compare.Finding, x scale) interval {
	out := interval{
		Op: termtext.Cell(f.Key()), Verdict: string(f.Verdict), Class: class(f),
		Values: fmt.Sprintf("%s → %s", sideValue(f.Base, f.Unit), sideValue(f.Cand, f.Unit)),
	}
	if f.Linear || math.IsNaN(f.Shift) || math.IsInf(f.Shift, 0) {
		out.Text = out.Op + ": " + string(f.Verdict)
		return out
	}
	at := func(v float64) string { return px(x.at(min(max(v, x.lo), x.hi))) + "%" }
	lo, hi := f.Lo, f.Hi
	if math.IsNaN(lo) || math.IsNaN(hi) {
		lo, hi = f.Shift, f.Shift
	}
	out.Drawn, out.Below, out.Above = true, lo < x.lo, hi > x.hi
	out.At, out.Lo, out.Hi = at(f.Shift), at(lo), at(hi)
	out.BudgetLo, out.BudgetHi = at(-math.Log1p(f.Budget)), at(math.Log1p(f.Budget))
	out.Text = fmt.Sprintf("%s: %s (%s to %s; more is slower), %s", out.Op, compare.Percent(math.Expm1(f.Shift)), compare.Percent(math.Expm1(lo)), compare.Percent(math.Expm1(hi)), f.Verdict)
	return out
}

// sideValue is the median of a side, or that it has none.
func sideValue(s compare.Sample, unit string) string {
	if s.Boots == 0 {
		return "none"
	}
	return compare.Value(s.Median, unit)
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
	for _, v := range y.ticks(3, f.Unit) {
		s.Ticks = append(s.Ticks, tick{px(y.at(v)), compare.Value(v, f.Unit)})
	}
	for i, v := range values {
		x := stripLeft + 10
		if len(values) > 1 {
			x += float64(i) / float64(len(values)-1) * (stripOrder - stripLeft - 20)
		}
		s.Boots = append(s.Boots, stripBoot{px(x), px(y.at(v.value)), v.class, fmt.Sprintf("%s, %s: %s", v.class, v.name, compare.Value(v.value, f.Unit))})
	}
	s.Sides = []stripSide{newStripSide("base", "base", 260, values, y), newStripSide("candidate", "cand", 304, values, y)}
	return s
}

// newStripSide places the boots of a side around x. One that would cover another
// goes beside it: left, right, further left and so on.
func newStripSide(name, class string, x float64, values []bootValue, y scale) stripSide {
	const apart, half = 5.5, 20.0 // pixels between two boots, and to the side's edge
	out := stripSide{Name: name, Class: class, X: px(x), From: px(x - half), To: px(x + half)}
	var placed [][2]float64
	var all []float64
	for _, v := range values {
		if v.class != class {
			continue
		}
		all = append(all, v.value)
		at := [2]float64{x, y.at(v.value)}
		covers := func(p [2]float64) bool { return math.Hypot(p[0]-at[0], p[1]-at[1]) < apart }
		for n := 1; slices.ContainsFunc(placed, covers); n++ {
			away := apart * float64((n+1)/2)
			if away > half {
				at[0] = x // more than fit beside each other
				break
			}
			if n%2 == 1 {
				away = -away
			}
			at[0] = x + away
		}
		placed = append(placed, at)
		out.Boots = append(out.Boots, stripBoot{X: px(at[0]), Y: px(at[1])})
	}
	if middle, err := stats.Median(all); err == nil {
		out.Median = px(y.at(middle))
	}
	return out
}
