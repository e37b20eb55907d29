package compare

import (
	"fmt"
	"math"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// A CategoryChange is by how much a category is slower or faster on the whole:
// the geometric mean of what its metrics changed. It is a summary and no test;
// a category of which a test says that it moved is a [Movement].
type CategoryChange struct {
	Category catalogue.Category
	Slowdown float64 // new to old, as a factor; larger is slower
	Metrics  int     // that it is the mean of
	Verdicts map[Verdict]int
}

// Categories are the changes of the categories that both sides have values of,
// in report order.
func (c *Comparison) Categories() []CategoryChange {
	var out []CategoryChange
	for _, cat := range catalogue.Categories() {
		change := CategoryChange{Category: cat, Verdicts: make(map[Verdict]int)}
		sum := 0.0
		for _, f := range c.Judged() {
			if f.Category != cat {
				continue
			}
			change.Verdicts[f.Verdict]++
			if f.Linear || f.Verdict == NotComparable || math.IsNaN(f.Shift) || math.IsInf(f.Shift, 0) {
				continue
			}
			sum += f.Shift
			change.Metrics++
		}
		if change.Metrics > 0 {
			change.Slowdown = math.Exp(sum / float64(change.Metrics))
			out = append(out, change)
		}
	}
	return out
}

// String says the change with what is behind it: "startup: 1.12 times faster,
// the mean of 5 metrics (4 faster, 1 unsure)".
func (c CategoryChange) String() string {
	var verdicts []string
	for _, v := range []Verdict{Slower, Faster, Same, Unsure, Failed, Missing, New, Skipped, NotComparable} {
		if n := c.Verdicts[v]; n > 0 {
			verdicts = append(verdicts, fmt.Sprintf("%d %s", n, v))
		}
	}
	of := ""
	if c.Metrics > 1 {
		of = fmt.Sprintf(", the mean of %s", termtext.Plural(c.Metrics, "metric"))
	}
	return fmt.Sprintf("%s: %s%s (%s)", c.Category, c.words(), of, strings.Join(verdicts, ", "))
}

func (c CategoryChange) words() string {
	const alike = 0.005 // what two decimals of a factor do not show
	switch {
	case math.Abs(c.Slowdown-1) < alike:
		return "as fast as before"
	case c.Slowdown > 1:
		return factor(c.Slowdown) + " times slower"
	}
	return factor(1/c.Slowdown) + " times faster"
}

// factor has two decimals, and none where they say nothing.
func factor(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// jsonCategories are the changes for WriteJSON.
func jsonCategories(changes []CategoryChange) []jsonCategory {
	var out []jsonCategory
	for _, c := range changes {
		out = append(out, jsonCategory{string(c.Category), c.Slowdown - 1, c.Metrics, c.Verdicts[Slower], c.Verdicts[Faster], c.String()})
	}
	return out
}

type jsonCategory struct {
	Category string  `json:"category"`
	Slowdown float64 `json:"slowdown"` // 0.12 is 12 % slower
	Metrics  int     `json:"metrics"`
	Slower   int     `json:"slower"`
	Faster   int     `json:"faster"`
	Text     string  `json:"text"`
}
