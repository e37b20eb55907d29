package compare

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// summary says in sentences what a reader has to know before the figures.
func (c *Comparison) summary() []string {
	out := []string{
		fmt.Sprintf("old: %s, %s", printable(c.Old), plural(c.OldBoots, "boot")),
		fmt.Sprintf("new: %s, %s", printable(c.New), plural(c.NewBoots, "boot")),
		c.Order.words(),
	}
	if c.Forced {
		out = append(out, "forced: compared although it is not comparable")
	}
	for _, d := range c.Differences {
		out = append(out, string(d.Weight)+": "+printable(d.Text))
	}
	for _, d := range c.Doubts {
		out = append(out, "doubt: "+printable(d))
	}
	out = append(out, c.method()...)
	if m := c.Machine; m != nil {
		out = append(out, m.String()+": "+c.blame())
	}
	return out
}

func (o Order) words() string {
	if o.Reason == "" {
		return "interleaved (by the recorded order)"
	}
	return string(o.Interleaving) + ": " + printable(o.Reason)
}

// blame says what a movement of everything comes from.
func (c *Comparison) blame() string {
	if c.Refused() != nil {
		return "the sides are not comparable, so this says nothing about the build"
	}
	if c.Order.Interleaving == Interleaved {
		return "as the boots were interleaved, it is the build or its VM as a whole, not the machine"
	}
	return "this is the machine, not the build. Measure again with interleaved boots: 'capsem-bench ab'"
}

func (c *Comparison) method() []string {
	var under *UnderpoweredError
	switch {
	case c.Ops == 0:
		return nil
	case c.Method == MaxTs:
		return []string{fmt.Sprintf("%s judged together at %s by %s, as these are few boots", plural(c.Ops, "metric"), share(c.alpha), c.Method)}
	case errors.As(c.Power, &under):
		return []string{under.Error() + "; verdicts are held to 1 % over all metrics"}
	}
	return []string{fmt.Sprintf("%s judged together at 1 %% by Holm's correction", plural(c.Ops, "metric"))}
}

// byCategory sums up a movement without naming every op.
func (c *Comparison) byCategory() []string {
	var out []string
	for _, cat := range append(catalogue.Categories(), "") {
		var shifts []float64
		for _, f := range c.Judged() {
			if f.Category == cat && !f.Linear && !math.IsNaN(f.Shift) {
				shifts = append(shifts, f.Shift)
			}
		}
		if len(shifts) > 0 {
			out = append(out, fmt.Sprintf("%s: %s, %s in the median", title(cat), plural(len(shifts), "metric"), slowdown(median(shifts))))
		}
	}
	for _, f := range c.Judged() { // what has no values did not move
		if slices.Contains([]Verdict{Failed, Missing, New, NotComparable}, f.Verdict) {
			out = append(out, printable(f.Key()+": "+string(f.Verdict)+": "+f.Reason))
		}
	}
	return out
}

// slowdown says a shift in words.
func slowdown(shift float64) string {
	text := percent(math.Expm1(shift))
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
	return printable(name)
}
