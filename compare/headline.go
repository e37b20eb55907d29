package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// Headline is the answer in one paragraph, with both values of what changed.
// d is nil where nothing was decided.
func (c *Comparison) Headline(d *Decision) string {
	var parts []string
	switch {
	case d == nil:
		parts = append(parts, c.counts(false))
	case d.Status == Pass:
		parts = append(parts, "PASS: "+c.counts(true))
	case d.Status == Block:
		parts = append(parts, "BLOCK: "+c.blocked(d))
	default:
		parts = append(parts, "CANNOT TELL: "+firstReason(d.Reasons))
	}
	if d != nil && d.Status == Pass && d.Few {
		parts = append(parts, "The boots are few: see below what they could have shown.")
	}
	if rest := c.rest(d); rest != "" {
		parts = append(parts, rest)
	}
	if d != nil && d.Status == CannotTell {
		if leaning := c.leaning(); leaning != "" {
			parts = append(parts, leaning)
		}
	}
	if tails := c.slowTails(); tails != "" {
		parts = append(parts, tails)
	}
	if coarse := c.coarse(); coarse != "" {
		parts = append(parts, coarse)
	}
	if faster := c.fasterLine(); faster != "" {
		parts = append(parts, faster)
	}
	return strings.Join(parts, " ")
}

func firstReason(reasons []string) string {
	if len(reasons) == 1 {
		return reasons[0] + "."
	}
	return fmt.Sprintf("%s. (%d more below.)", reasons[0], len(reasons)-1)
}

// counts says how many metrics changed.
func (c *Comparison) counts(pass bool) string {
	n := len(c.Judged())
	count := make(map[Verdict]int)
	for _, f := range c.Judged() {
		count[f.Verdict]++
	}
	if pass {
		return fmt.Sprintf("none of %s regressed.", termtext.Plural(n, "metric"))
	}
	var out []string
	for _, v := range []Verdict{Slower, Faster, Failed, Missing, New, NotComparable} {
		if count[v] > 0 {
			out = append(out, fmt.Sprintf("%d %s", count[v], v))
		}
	}
	if len(out) == 0 {
		return fmt.Sprintf("No change shown in %s.", termtext.Plural(n, "metric"))
	}
	return fmt.Sprintf("Of %s %s.", termtext.Plural(n, "metric"), strings.Join(out, ", "))
}

// blocked says what blocks.
func (c *Comparison) blocked(d *Decision) string {
	var slower, broken []*Finding
	for _, f := range d.Regressions {
		switch {
		case f.Outcome == Broken:
			broken = append(broken, f)
		case !slices.ContainsFunc(d.Movements, func(m Movement) bool { return m.covers(f) }):
			slower = append(slower, f)
		}
	}
	var out []string
	for _, m := range d.Movements {
		out = append(out, m.Moved()+".")
	}
	if len(slower) > 0 {
		out = append(out, fmt.Sprintf("%d of %s slower. %s", len(slower), termtext.Plural(len(c.Judged()), "metric"), sentences(slower)))
	}
	if len(broken) > 0 {
		var names []string
		for _, f := range broken {
			names = append(names, f.Key()+": "+string(f.Verdict))
		}
		out = append(out, fmt.Sprintf("%d failed or missing: %s.", len(broken), firstOf(names)))
	}
	if len(c.Failures) > 0 {
		out = append(out, firstOf(c.Failures)+".")
	}
	return strings.Join(out, " ")
}

// sentences are the values of the findings that moved most.
func sentences(findings []*Finding) string {
	const most = 3
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b *Finding) int { return -compareFloat(a.Shift, b.Shift) })
	var out []string
	for _, f := range sorted[:min(most, len(sorted))] {
		out = append(out, f.Moved()+".")
	}
	if n := len(sorted) - most; n > 0 {
		out = append(out, fmt.Sprintf("And %d more.", n))
	}
	return strings.Join(out, " ")
}

// Moved says how a finding changed, with both values: "snapshot/100/create
// 35.1ms -> 40.4ms (15.1 % slower, 12.4 to 17.9)".
func (f *Finding) Moved() string {
	values := fmt.Sprintf("%s %s -> %s", f.Key(), Value(f.Base.Median, f.Unit), Value(f.Cand.Median, f.Unit))
	change, lo, hi, ok := f.Change()
	if !ok {
		return values
	}
	bare := func(x float64) string { return strings.TrimPrefix(strings.TrimSuffix(Percent(x), " %"), "+") }
	if math.IsInf(lo, 0) || math.IsInf(hi, 0) || math.IsNaN(lo) || f.Judged == ByCount {
		return fmt.Sprintf("%s (%s)", values, f.inWords(change))
	}
	if change < 0 {
		lo, hi = -hi, -lo
	}
	return fmt.Sprintf("%s (%s, %s to %s)", values, f.inWords(change), bare(lo), bare(hi))
}

// inWords says a change with its direction: "15 % more time", "78 % fewer
// requests/s".
func (f *Finding) inWords(change float64) string {
	size := strings.TrimPrefix(Percent(math.Abs(change)), "+")
	if strings.HasPrefix(size, "×") {
		size += " as much, "
	}
	more, less := "more", "less"
	what := "time"
	switch {
	case f.Unit == "req/s":
		what, less = "requests/s", "fewer"
	case f.Unit == "iops":
		what, less = "operations/s", "fewer"
	case f.Unit == "B/s":
		what = "throughput"
	case catalogue.UnitOf(f.Unit).Kind.IsTime():
	default:
		what = f.Unit
	}
	if change < 0 {
		return size + " " + less + " " + what
	}
	return size + " " + more + " " + what
}

// rest says by how much the metrics that are not named may be slower.
func (c *Comparison) rest(d *Decision) string {
	if d == nil || d.Status == CannotTell || len(d.Movements) > 0 && d.Movements[0].Category == "" {
		return ""
	}
	worst, n, unbounded, tails := math.Inf(-1), 0, 0, false
	for _, f := range c.Judged() {
		switch {
		case f.tail != "" && f.Mute == nil: // has a sentence of its own
			tails = true
		case f.Linear || f.Judged == ByClock || f.Mute != nil || slices.Contains(d.Regressions, f) || math.IsNaN(f.Hi):
		case slices.ContainsFunc(d.Movements, func(m Movement) bool { return m.covers(f) }): // named with its category
		case math.IsInf(f.Hi, 0):
			unbounded++
		default:
			n++
			worst = max(worst, f.Hi)
		}
	}
	if n == 0 {
		return ""
	}
	who := "None"
	switch {
	case d.Status != Block && tails:
		who = "None of the others"
	case d.Status == Block:
		who = fmt.Sprintf("Of the %d others none", n+unbounded)
	}
	out := fmt.Sprintf("%s is slower by more than %s.", who, strings.TrimPrefix(Percent(math.Expm1(max(worst, 0))), "+"))
	if unbounded > 0 {
		out = strings.TrimSuffix(out, ".") + fmt.Sprintf(", but for %d that the boots cannot bound.", unbounded)
	}
	return out
}

// fasterLine says what got faster.
func (c *Comparison) fasterLine() string {
	for _, m := range c.Movements {
		if !m.Slower && m.Category == "" {
			return fmt.Sprintf("Faster: %s, %s.", m.Name(), m.change())
		}
	}
	var faster []*Finding
	for _, f := range c.Judged() {
		if _, _, _, ok := f.Change(); ok && f.Verdict == Faster {
			faster = append(faster, f)
		}
	}
	if len(faster) == 0 {
		return ""
	}
	slices.SortStableFunc(faster, func(a, b *Finding) int { return compareFloat(a.Shift, b.Shift) })
	change, _, _, _ := faster[0].Change()
	out := fmt.Sprintf("Faster: %s (%s)", faster[0].Key(), faster[0].inWords(change))
	if n := len(faster) - 1; n > 0 {
		out += fmt.Sprintf(" and %d more", n)
	}
	return out + "."
}

// leaning says what may be slower where nothing can be told: the intervals lie on
// that side, but boots that cannot show a slowdown cannot show these either.
func (c *Comparison) leaning() string {
	slower := slices.DeleteFunc(slices.Clone(c.Judged()), func(f *Finding) bool {
		return f.Verdict != Unsure || f.Mute != nil || f.Judged == ByClock || !(f.Lo > 0)
	})
	if len(slower) == 0 {
		return ""
	}
	return "May be slower, measure again: " + sentences(slower)
}

// slowTails says what some new boots are much slower in, which no test of the
// middle of the boots shows.
func (c *Comparison) slowTails() string {
	var names []string
	for _, f := range c.Judged() {
		if f.tail != "" && f.Mute == nil {
			names = append(names, f.Key()+": "+f.tail)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "Slow in some boots: " + firstOf(names) + "."
}

// coarse says what changed by a tick of a clock that is too coarse to tell.
func (c *Comparison) coarse() string {
	var names []string
	for _, f := range c.Judged() {
		if f.Judged == ByClock && f.Verdict == Unsure && f.Mute == nil {
			names = append(names, fmt.Sprintf("%s %s -> %s", f.Key(), Value(f.Base.Median, f.Unit), Value(f.Cand.Median, f.Unit)))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "Not told, as the clock is too coarse: " + firstOf(names) + ". 'capsem-bench doctor' says how fine this machine's is."
}

// changed are the findings that a reader wants first.
func (c *Comparison) changed() []*Finding {
	return slices.DeleteFunc(c.Judged(), func(f *Finding) bool {
		return !slices.Contains([]Verdict{Slower, Faster, Failed, Missing, New, NotComparable}, f.Verdict)
	})
}
