package compare

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/termtext"
)

// A Decision is the gate's answer.
type Decision struct {
	// Status is 0 no regression, 1 a regression or a failure, 3 cannot tell.
	Status Status
	// Regressions are the findings that block, each with its interval.
	Regressions []*Finding
	// Movements are what blocks as a whole, the ops of which need no line each.
	Movements []Movement
	// Reasons say why the answer is not 0: one line each.
	Reasons []string
	// Plan says what to do next, one step a line: what would give an answer, or
	// measure the build that mends what blocks. It is empty after a pass.
	Plan []string
	// Where says what stands for what in Plan; "" where nothing does.
	Where string
	// Remarks belong beside the answer and do not change it.
	Remarks []string
	// Few says that the boots were few: a pass is then of what these could
	// have shown, which a remark says.
	Few bool

	commands []string // of Plan: those that are for a shell as they are
	slower   []string // of Reasons: those that the table of changes says too
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

// Gate decides on a comparison and sets the outcome of its findings. What
// failed or vanished blocks whatever the order of the boots; a slowdown blocks
// only when the boots were interleaved and many enough. A pass needs all of it:
// comparable sides, proven order, boots that could have shown a regression, and
// no metric left open.
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
	g.insensitive()
	g.remarks()
	switch {
	case len(g.block) > 0:
		g.d.Status, g.d.Reasons = Block, slices.Concat(g.block, g.untold)
	case len(g.untold) > 0:
		g.d.Status, g.d.Reasons = CannotTell, g.untold
	}
	if g.d.Status != CannotTell {
		g.d.Plan, g.d.commands, g.d.Where = nil, nil, ""
	}
	if g.d.Status == Block {
		g.mend()
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

// command plans a step that a shell takes as it is.
func (g *gate) command(step string) {
	g.d.commands = append(g.d.commands, step)
	g.plan("%s", step)
}

// outcome is the gate's word for one metric, before anything else is known.
func (g *gate) outcome(f *Finding) Outcome {
	limit := math.Log1p(f.Budget)
	if f.op != nil {
		limit = f.op.limit()
	} else if f.Linear {
		limit = f.Budget * math.Abs(f.Base.Median)
	}
	switch {
	case f.Mute != nil:
		return Muted
	case f.Verdict == Missing, f.Verdict == Failed && f.Cand.Bad > 0 && f.Base.Bad == 0:
		return Broken
	case f.Verdict == Failed, f.Verdict == NotComparable, f.Verdict == Skipped, f.Verdict == New:
		return Undecided
	case f.Verdict == Slower:
		return Regressed
	case f.Verdict == Faster:
		return Improved
	case f.TooFewBoots != "":
		return Undecided
	case f.Hi <= limit && f.tail == "":
		return NotSlower
	case f.Smallest > g.c.Policy.sensitivity(f):
		return Insensitive
	}
	return NotSeen
}

// broken decides on what has no values to compare.
func (g *gate) broken() {
	g.block = append(g.block, g.c.Failures...)
	for _, f := range g.c.Judged() {
		switch {
		case f.Mute != nil:
		case f.Outcome == Broken:
			g.d.Regressions = append(g.d.Regressions, f)
			g.block = append(g.block, fmt.Sprintf("%s: %s: %s", f.Key(), f.Verdict, f.Reason))
		case f.Verdict == Failed:
			g.cannot("%s: %s", f.Key(), f.Reason)
			g.plan("mend what fails in the baseline, or mute it in gate.toml")
		case f.TooFewBoots != "" && !f.Open && !g.few():
			g.cannot("%s: %s", f.Key(), f.TooFewBoots)
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

// fit says whether these boots can tell anything at all.
func (g *gate) fit() {
	for _, d := range g.c.Differences {
		switch {
		case d.Weight != Refuses && d.Weight != RefusesGate:
		case d.What == "machine":
			g.cannot("%s", d.Text)
			g.command(doctor)
			g.interleave()
		default:
			g.cannot("not comparable: %s", d.Text)
			g.interleave()
		}
	}
	if g.c.Forced {
		g.cannot("compared by force; a forced comparison decides nothing")
	}
	if g.c.Order.Interleaving != Interleaved {
		g.cannot("%s: %s", g.c.Order.Interleaving, g.c.Order.Reason)
		g.interleave()
	}
	var under *UnderpoweredError
	if errors.As(g.c.Power, &under) && !g.few() {
		g.cannot("%s", under)
		g.more(under.Need)
	}
	if g.c.Ops == 0 && len(g.block) == 0 && !slices.ContainsFunc(g.c.Judged(), func(f *Finding) bool { return f.Judged == ByCount || f.Judged == ByClock }) {
		g.cannot("no metric has values on both sides")
	}
}

// regressions blocks on what is slower, or asks to measure it again where the
// boots cannot block.
func (g *gate) regressions() {
	if m := g.c.Common; m != nil && m.Slower {
		g.cannot("%s: %s", m, g.c.cause())
		g.interleave()
		return
	}
	var slower, again []string
	for _, m := range g.c.Movements {
		if m.Slower && g.mayBlock(nil) && !g.covered(m) {
			g.d.Movements = append(g.d.Movements, m)
			slower = append(slower, m.Sentence())
		}
	}
	for _, f := range g.c.Judged() {
		switch {
		case f.Mute != nil || f.Open:
		case f.Outcome == Regressed && g.mayBlock(f):
			g.d.Regressions = append(g.d.Regressions, f)
			if !slices.ContainsFunc(g.d.Movements, func(m Movement) bool { return m.covers(f) }) {
				slower = append(slower, f.Sentence())
			}
		case f.Outcome == Regressed || g.remeasured(f):
			f.Outcome = Undecided
			again = append(again, f.Moved())
		}
	}
	if len(again) > 0 {
		g.cannot("may be slower, to be measured again: %s", strings.Join(again, "; "))
		g.interleave()
	}
	g.block, g.d.slower = append(g.block, slower...), slower
}

// covered reports whether a larger movement was named that includes this one.
func (g *gate) covered(m Movement) bool {
	return slices.ContainsFunc(g.d.Movements, func(all Movement) bool { return all.Category == "" && m.Lo <= all.Hi })
}

// mayBlock reports whether a slowdown may be held against the build; of a
// movement, nil.
func (g *gate) mayBlock(f *Finding) bool {
	if g.c.Order.Interleaving != Interleaved || g.c.Forced || f != nil && (f.Forced || len(f.Ungated) > 0) ||
		slices.ContainsFunc(g.c.Differences, func(d Difference) bool { return d.Weight != Doubts }) {
		return false
	}
	return g.c.Power == nil || g.few() || f != nil && f.Judged == ByCount
}

// remeasured reports whether boots that cannot block make an op a candidate
// for measuring it again: by a p-value over all metrics, as one metric in
// twenty is slower by chance alone.
func (g *gate) remeasured(f *Finding) bool {
	if len(g.untold) == 0 || math.IsNaN(f.Shift) || f.Forced || f.Verdict != Unsure || f.op == nil {
		return false
	}
	return f.Lo > 0 && f.Shift > f.op.limit() && f.Adjusted <= 0.05
}

// open asks for the boots that a later look needs.
func (g *gate) open() {
	if g.c.Settled() {
		return
	}
	var names, categories []string
	for _, f := range g.c.Judged() {
		if f.Open {
			f.Outcome = Undecided
			names = append(names, f.Moved())
		}
	}
	for _, c := range g.c.Open() {
		categories = append(categories, string(c))
	}
	g.cannot("look %d of %d: open: %s", g.c.Looked, g.c.Looks, strings.Join(names, "; "))
	if g.c.resume != "" {
		g.command(g.c.resume)
		return
	}
	g.plan("measure %s further: 'capsem-bench ab' goes on where it stopped", strings.Join(categories, ", "))
}

// mostInsensitive is the share of metrics in which a slowdown over their limit
// would likely go unseen, beyond which a pass says nothing.
const mostInsensitive = 0.20

// insensitive warns of metrics whose slowdown would likely have been missed,
// and keeps a gate from passing where these are many.
func (g *gate) insensitive() {
	if g.few() || g.c.Power != nil || g.c.Ops == 0 {
		return // said already
	}
	var names []string
	ranked := 0
	for _, f := range g.c.Judged() {
		if f.op == nil || f.Mute != nil {
			continue
		}
		ranked++
		if f.Outcome == Insensitive {
			names = append(names, fmt.Sprintf("%s (from %s)", f.Key(), Percent(f.Smallest)))
		}
	}
	if len(names) == 0 {
		return
	}
	text := fmt.Sprintf("a slowdown of %s would likely be missed in %d of %s: %s", Percent(g.c.Policy.Sensitivity), len(names), termtext.Plural(ranked, "metric"), firstOf(names))
	if float64(len(names)) > mostInsensitive*float64(ranked) {
		g.cannot("%s", text)
		g.quieter()
		return
	}
	g.d.Remarks = append(g.d.Remarks, "warning: "+text)
}

func (g *gate) remarks() {
	if text := g.c.missed(); text != "" && !g.few() && g.c.Power == nil {
		g.d.Remarks = append(g.d.Remarks, text)
	}
	if text := g.c.repeated(); text != "" {
		g.d.Remarks = append(g.d.Remarks, text)
	}
	for _, f := range g.c.Judged() {
		if f.Mute != nil {
			g.d.Remarks = append(g.d.Remarks, fmt.Sprintf("%s is muted until %s: %s", f.Key(), f.Mute.Until.Format("2006-01-02"), f.Mute.Reason))
		}
	}
	if g.few() && g.c.Ops > 0 {
		g.d.Remarks = append(g.d.Remarks, fmt.Sprintf("few boots: %d and %d. %s", g.c.BaseBoots, g.c.CandBoots, g.c.couldShow()))
	}
}

// Sentence names the metric with its change and interval.
func (f *Finding) Sentence() string {
	change, lo, hi, ok := f.Change()
	switch {
	case f.Linear && (!ok || f.Judged == ByCount):
		return fmt.Sprintf("%s: %s against %s", f.Key(), Value(f.Cand.Median, f.Unit), Value(f.Base.Median, f.Unit))
	case !ok:
		return f.Key() + ": " + string(f.Verdict)
	}
	return fmt.Sprintf("%s: %s %s, 95 %% interval %s to %s, budget %s", f.Key(), Percent(change), f.Unit, Percent(lo), Percent(hi), Percent(f.Budget))
}

// Moved says how far what moved, in words: "everything is slower: 9.9 % more
// time (9.5 to 10.4), the mean of 6 categories".
func (m Movement) Moved() string {
	way := "faster"
	if m.Slower {
		way = "slower"
	}
	return fmt.Sprintf("%s is %s: %s, %s", m.Name(), way, m.change(), m.of())
}

// change is how far, with the interval in the same direction.
func (m Movement) change() string {
	bare := func(shift float64) string {
		return strings.TrimLeft(strings.TrimSuffix(Percent(math.Expm1(shift)), " %"), "+-")
	}
	lo, hi := m.Lo, m.Hi
	if !m.Slower {
		lo, hi = hi, lo
	}
	return fmt.Sprintf("%s (%s to %s)", slowdown(m.Shift), bare(lo), bare(hi))
}

// Sentence says how far what moved, with its interval.
func (m Movement) Sentence() string {
	return fmt.Sprintf("%s: %s, 95 %% interval %s to %s, %s", m.Name(), slowdown(m.Shift),
		Percent(math.Expm1(m.Lo)), Percent(math.Expm1(m.Hi)), m.of())
}

func (m *CommonShift) String() string {
	way := "faster"
	if m.Slower {
		way = "slower"
	}
	return fmt.Sprintf("%d of %d metrics of all categories are more than 3 %% %s (%s in the median)", m.Moved, m.Ops, way, slowdown(math.Log1p(m.Median)))
}
