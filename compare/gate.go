package compare

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Decision is the gate's answer.
type Decision struct {
	// Status is 0 no regression, 1 a regression or a failure, 3 cannot tell.
	Status Status
	// Regressions are the findings that block, each with its interval.
	Regressions []*Finding
	// Reasons say why the answer is not 0: one line each.
	Reasons []string
	// Plan says what would give an answer, one step a line. It is empty
	// where there is an answer.
	Plan []string
	// Remarks belong beside the answer and do not change it.
	Remarks []string
	// Few says that the boots were few: a pass is then of what these could
	// have shown, which a remark says.
	Few bool
}

// Answer is the decision in one line.
func (d *Decision) Answer() string {
	if d.Few && d.Status == Pass {
		return "pass: no regression that so few boots could show"
	}
	return d.Status.String()
}

// A Status is the exit status of a decision.
type Status int

const (
	Pass  Status = 0
	Block Status = 1
	// CannotTell is for too few boots, boots in the wrong order, and sides
	// that are not comparable.
	CannotTell Status = 3
)

func (s Status) String() string {
	switch s {
	case Pass:
		return "pass: no regression"
	case Block:
		return "block"
	}
	return "cannot tell"
}

// Gate decides over a comparison and sets the outcome of its findings. What
// failed or vanished blocks whatever the order of the boots; a slowdown blocks
// only when the boots were interleaved and many enough. A pass needs all of
// it: comparable sides, proven order, boots that could have shown a
// regression, and no metric left open.
func Gate(c *Comparison) *Decision {
	g := &gate{c: c, d: new(Decision)}
	if c.Policy == nil {
		c.Policy = DefaultPolicy()
	}
	for _, f := range c.Judged() {
		f.Outcome = g.outcome(f)
	}
	g.broken()
	g.policy()
	g.fit()
	g.regressions()
	g.open()
	g.blind()
	g.remarks()
	switch {
	case len(g.block) > 0:
		g.d.Status, g.d.Reasons = Block, slices.Concat(g.block, g.untold)
	case len(g.untold) > 0:
		g.d.Status, g.d.Reasons = CannotTell, g.untold
	}
	if g.d.Status == Pass {
		g.d.Plan = nil
	}
	return g.d
}

type gate struct {
	c      *Comparison
	d      *Decision
	block  []string
	untold []string
}

func (g *gate) cannot(format string, args ...any) {
	g.untold = append(g.untold, fmt.Sprintf(format, args...))
}

func (g *gate) plan(format string, args ...any) {
	if step := fmt.Sprintf(format, args...); !slices.Contains(g.d.Plan, step) {
		g.d.Plan = append(g.d.Plan, step)
	}
}

// outcome is the gate's word for one metric, before anything else is known.
func (g *gate) outcome(f *Finding) Outcome {
	limit := math.Log1p(f.Budget)
	if f.item != nil {
		limit = f.item.limit()
	} else if f.Linear {
		limit = f.Budget * math.Abs(f.Old.Median)
	}
	switch {
	case f.Mute != nil:
		return Muted
	case f.Verdict == Missing, f.Verdict == Failed && f.New.Bad > 0 && f.Old.Bad == 0:
		return Broken
	case f.Verdict == Failed, f.Verdict == NotComparable, f.Verdict == Skipped, f.Verdict == New:
		return Untold
	case f.Verdict == Slower:
		return Regressed
	case f.Verdict == Faster:
		return Improved
	case f.Thin != "":
		return Untold
	case f.Hi <= limit:
		return NotSlower
	case f.Smallest > g.c.Policy.sensitivity(f):
		return Insensitive
	}
	return NotSeen
}

// broken deals with what has no values to compare.
func (g *gate) broken() {
	for _, f := range g.c.Judged() {
		switch {
		case f.Mute != nil:
		case f.Outcome == Broken:
			g.d.Regressions = append(g.d.Regressions, f)
			g.block = append(g.block, fmt.Sprintf("%s: %s: %s", f.Key(), f.Verdict, f.Reason))
		case f.Verdict == Failed:
			g.cannot("%s: %s", f.Key(), f.Reason)
			g.plan("mend what fails in the baseline, or mute it in gate.toml")
		case f.Thin != "" && !f.Open && !g.few():
			g.cannot("%s: %s", f.Key(), f.Thin)
			g.plan("mend what keeps an operation from being measured in every boot, or mute it in gate.toml")
		case f.Verdict == NotComparable && g.c.Refused() == nil:
			g.cannot("%s: not comparable: %s", f.Key(), f.Reason)
		case len(f.Ungated) > 0 && !f.Forced:
			g.cannot("%s: %s", f.Key(), strings.Join(f.Ungated, "; "))
		}
	}
}

// policy holds the findings to gate.toml.
func (g *gate) policy() {
	for _, name := range g.c.Policy.Required {
		found := false
		for _, f := range g.c.Judged() {
			if !matches(name, f) {
				continue
			}
			found = true
			if f.Verdict == Skipped {
				g.cannot("%s is required and was skipped: %s", f.Key(), f.Reason)
			}
		}
		if !found {
			g.cannot("%s is required and neither side has it", name)
		}
	}
	for _, m := range g.c.Expired {
		g.d.Remarks = append(g.d.Remarks, fmt.Sprintf("%s:%d: the mute of %s expired on %s and no longer applies",
			g.c.Policy.Name, m.Line, m.Op, m.Until.Format("2006-01-02")))
	}
}

// fit says whether these boots can convict or acquit at all.
func (g *gate) fit() {
	for _, d := range g.c.Differences {
		if d.Weight == Refuses || d.Weight == RefusesGate {
			g.cannot("not comparable: %s", d.Text)
		}
	}
	if g.c.Forced {
		g.cannot("compared by force; a forced comparison decides nothing")
	}
	if g.c.Order.Interleaving != Interleaved {
		g.cannot("%s: %s", g.c.Order.Interleaving, g.c.Order.Reason)
		g.plan("measure both builds with 'capsem-bench ab', which interleaves their boots")
	}
	var under *UnderpoweredError
	if errors.As(g.c.Power, &under) && !g.few() {
		g.cannot("%s", under)
		if g.c.Method == MaxTs {
			g.plan("run %d boots a side; if there can be no more, --no-more tests these with less power", under.Need)
		} else {
			g.plan("run %d boots a side", under.Need)
		}
	}
	if g.c.Ops == 0 && len(g.block) == 0 && !slices.ContainsFunc(g.c.Judged(), func(f *Finding) bool { return f.Judged == ByCount || f.Judged == ByClock }) {
		g.cannot("no metric has values on both sides")
	}
}

// regressions convicts, or nominates where the boots cannot convict.
func (g *gate) regressions() {
	if m := g.c.Machine; m != nil && m.Slower && g.c.Order.Interleaving != Interleaved {
		g.cannot("%s", m)
		g.plan("measure both builds with 'capsem-bench ab', which interleaves their boots")
		return
	}
	var slower []string
	for _, f := range g.c.Judged() {
		switch {
		case f.Mute != nil || f.Open:
		case f.Outcome == Regressed && g.convicts(f):
			g.d.Regressions = append(g.d.Regressions, f)
			slower = append(slower, f.Sentence())
		case f.Outcome == Regressed || g.nominated(f):
			f.Outcome = Untold
			g.cannot("suspect: %s", f.Sentence())
			g.plan("measure both builds with 'capsem-bench ab', which interleaves their boots")
		}
	}
	if m := g.c.Machine; m != nil && m.Slower && len(slower) > 1 && g.c.sweeping() {
		slower = []string{fmt.Sprintf("%s, %d of them beyond chance; %s", m, len(slower), g.c.blame())}
	}
	g.block = append(g.block, slower...)
}

// convicts reports whether a slowdown may be held against the build.
func (g *gate) convicts(f *Finding) bool {
	fit := g.c.Order.Interleaving == Interleaved && !f.Forced && len(f.Ungated) == 0 &&
		!slices.ContainsFunc(g.c.Differences, func(d Difference) bool { return d.Weight != Doubts })
	return fit && (g.c.Power == nil || g.few() || f.Judged == ByCount)
}

// nominated reports whether boots that cannot convict make an op suspect.
func (g *gate) nominated(f *Finding) bool {
	if len(g.untold) == 0 || math.IsNaN(f.Shift) || f.Forced || f.Verdict != Unsure {
		return false
	}
	return f.Lo > 0 && f.item != nil && f.Shift > f.item.limit()
}

// open asks for the boots that a later look needs.
func (g *gate) open() {
	if g.c.Settled() {
		return
	}
	var names, categories []string
	for _, f := range g.c.Judged() {
		if f.Open {
			f.Outcome = Untold
			names = append(names, f.Sentence())
		}
	}
	for _, c := range g.c.Open() {
		categories = append(categories, string(c))
	}
	g.cannot("look %d of %d: open: %s", g.c.Looked, g.c.Looks, strings.Join(names, "; "))
	g.plan("measure %s further: 'capsem-bench ab' goes on where it stopped", strings.Join(categories, ", "))
}

func (g *gate) remarks() {
	for _, f := range g.c.Judged() {
		if f.Mute != nil {
			g.d.Remarks = append(g.d.Remarks, fmt.Sprintf("%s is muted until %s: %s", f.Key(), f.Mute.Until.Format("2006-01-02"), f.Mute.Reason))
		}
	}
	if g.few() && g.c.Ops > 0 {
		g.d.Remarks = append(g.d.Remarks, fmt.Sprintf("few boots: %s at %s, whose smallest p with %d and %d boots is %.2g; %s",
			g.c.Method, share(g.c.alpha), g.c.OldBoots, g.c.NewBoots, MinP([2]int{g.c.OldBoots, g.c.NewBoots}), g.c.couldShow()))
	}
}

// Sentence names the metric with its change and interval.
func (f *Finding) Sentence() string {
	change, lo, hi, ok := f.Change()
	switch {
	case f.Linear && (!ok || f.Judged == ByCount):
		return fmt.Sprintf("%s: %s against %s", f.Key(), Value(f.New.Median, f.Unit), Value(f.Old.Median, f.Unit))
	case !ok:
		return f.Key() + ": " + string(f.Verdict)
	}
	return fmt.Sprintf("%s: %s %s, 95 %% interval %s to %s, budget %s", f.Key(), percent(change), f.Unit, percent(lo), percent(hi), percent(f.Budget))
}

func (m *Movement) String() string {
	way := "faster"
	if m.Slower {
		way = "slower"
	}
	return fmt.Sprintf("%d of %d metrics of all categories are more than 3 %% %s (%s in the median)", m.Moved, m.Ops, way, slowdown(math.Log1p(m.Median)))
}
