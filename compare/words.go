package compare

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// summary says in sentences what a reader has to know before the figures.
func (c *Comparison) summary(d *Decision) []string {
	out := []string{
		fmt.Sprintf("old: %s, %s", termtext.Cell(c.Base), termtext.Plural(c.BaseBoots, "boot")),
		fmt.Sprintf("new: %s, %s", termtext.Cell(c.Cand), termtext.Plural(c.CandBoots, "boot")),
	}
	if d == nil { // a gate's answer is about single metrics and tested movements
		for _, change := range c.Categories() {
			out = append(out, change.String())
		}
	}
	if d == nil || c.Order.Interleaving == Interleaved {
		out = append(out, c.Order.words())
	}
	if c.Forced {
		out = append(out, "forced: compared although it is not comparable")
	}
	for _, diff := range c.Differences {
		if d == nil || diff.Weight == Doubts {
			out = append(out, string(diff.Weight)+": "+termtext.Cell(diff.Text))
		}
	}
	for _, doubt := range c.Doubts {
		out = append(out, "doubt: "+termtext.Cell(doubt))
	}
	if d == nil || c.Power == nil || c.NoMore {
		out = append(out, c.method()...)
	}
	if m := c.Common; m != nil && (d == nil || !m.Slower) {
		out = append(out, m.String()+": "+c.cause())
	}
	for _, m := range c.Movements {
		if d == nil || !slices.Contains(d.Movements, m) && !d.covered(m) {
			out = append(out, m.Moved())
		}
	}
	return out
}

func (o Order) words() string {
	if o.Reason == "" {
		return "interleaved (by the recorded order)"
	}
	return string(o.Interleaving) + ": " + termtext.Cell(o.Reason)
}

// cause says what most ops' shift may come from.
func (c *Comparison) cause() string {
	if c.Refused() != nil {
		return "the sides are not comparable, so this says nothing about the build"
	}
	return "may be the machine: the boots were not interleaved"
}

// covered reports whether a movement that blocks includes this one.
func (d *Decision) covered(m Movement) bool {
	return slices.ContainsFunc(d.Movements, func(all Movement) bool {
		return all.Category == "" && all.Slower == m.Slower && m.Lo <= all.Hi
	})
}

// missed says what slowdown these boots would not have shown: in the quietest
// op, in the middle one and in the noisiest one.
func (c *Comparison) missed() string {
	var ops []*Finding
	for _, f := range c.Judged() {
		if f.op != nil && f.Mute == nil && !math.IsInf(f.Smallest, 1) {
			ops = append(ops, f)
		}
	}
	if len(ops) == 0 {
		return ""
	}
	slices.SortStableFunc(ops, func(a, b *Finding) int { return compareFloat(a.Smallest, b.Smallest) })
	last := ops[len(ops)-1]
	size := func(v float64) string { return strings.TrimPrefix(Percent(v), "+") }
	return fmt.Sprintf("a slowdown below these would likely have been missed: %s in the quietest metric, %s in the middle one, %s in the noisiest (%s)",
		size(ops[0].Smallest), size(ops[len(ops)/2].Smallest), size(last.Smallest), last.Key())
}

func (c *Comparison) method() []string {
	var under *UnderpoweredError
	switch {
	case c.Ops == 0:
		return nil
	case errors.As(c.Power, &under) && (c.Method != MaxTs || !c.NoMore):
		return []string{under.Error()}
	}
	together := termtext.Plural(c.Ops, "metric") + " judged together"
	if c.Order.Interleaving == Interleaved { // no statistic repairs another order
		together += ": less than 1 of 100 unchanged builds is blocked"
	}
	return []string{together}
}

// slowdown says a shift in words.
func slowdown(shift float64) string {
	text := Percent(math.Expm1(shift))
	switch {
	case strings.HasPrefix(text, "×"):
		return text + " the time"
	case strings.HasPrefix(text, "-"):
		return text[1:] + " less time"
	}
	return strings.TrimPrefix(text, "+") + " more time"
}

func median(v []float64) float64 { m, _ := medianMAD(v); return m }

func title(c catalogue.Category) string {
	if c == "" {
		return "other"
	}
	return string(c)
}

// A note is a remark with the metrics that it concerns.
type note struct {
	text string
	ops  []string
}

// notes gathers the reasons and doubts of findings, one a remark.
func notes(findings []*Finding) []note {
	var out []note
	at := make(map[string]int)
	add := func(text string, f *Finding) {
		i, ok := at[text]
		if !ok {
			i = len(out)
			at[text] = i
			out = append(out, note{text: text})
		}
		if label := label(f); len(out[i].ops) == 0 || out[i].ops[len(out[i].ops)-1] != label {
			out[i].ops = append(out[i].ops, label)
		}
	}
	for _, f := range findings {
		if !f.Primary {
			continue
		}
		if f.Reason != "" {
			add(f.Reason, f)
		}
		if f.Mute != nil {
			add(fmt.Sprintf("muted until %s: %s", f.Mute.Until.Format("2006-01-02"), f.Mute.Reason), f)
		}
		for _, d := range f.Doubts {
			add("doubt: "+d, f)
		}
	}
	return out
}

func (n note) String() string {
	const most = 6
	ops := n.ops
	if len(ops) > most {
		ops = append(ops[:most:most], fmt.Sprintf("%d more", len(ops)-most))
	}
	return strings.Join(ops, ", ") + ": " + n.text
}

// label is the metric's name inside the table of its category.
func label(f *Finding) string {
	name := strings.TrimPrefix(f.Key(), string(f.Category)+"/")
	name = strings.TrimPrefix(name, f.Category.Benchmark()+"/")
	return termtext.Cell(name)
}
