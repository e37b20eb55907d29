package main

import (
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/capsem/capsem-bench/tools/internal/gatesim"
	"github.com/jedib0t/go-pretty/v6/table"
)

// A part is a change of many ops at once.
type part struct {
	name   string
	change gatesim.Change
	whole  bool // has to be named as a whole
}

func changedParts() []part {
	var out []part
	for n := 2; n <= 5; n++ {
		for _, factor := range []float64{0.9, 0.7, 0.5} {
			out = append(out, part{name: fmt.Sprintf("%d of 6 categories at %.1f of the time", n, factor), change: gatesim.Groups(n, factor)})
		}
	}
	return append(out,
		part{name: "10 of 15 ops of a category at 0.7", change: gatesim.Part(10, 0.7)},
		part{name: "10 of 15 ops of a category at 0.5", change: gatesim.Part(10, 0.5)},
		part{name: "one category 10 % slower", change: gatesim.Groups(1, 1.1)},
		part{name: "everything 10 % slower", change: gatesim.Everything(1.1), whole: true},
		part{name: "everything at 0.7 of the time", change: gatesim.Everything(0.7)},
	)
}

// parts changes many ops at once in the scenario "real", where the order of
// boots lets the gate see it: what did not get slower may not be named. It is
// tried with the looks of the default plan and with one look at all boots, in
// which the common movement is that of all categories.
func parts(w io.Writer, o options) (failures []string) {
	real := gatesim.Scenarios()[1]
	draw := func(rng *rand.Rand) *gatesim.Release { return gatesim.NewRelease(real, rng) }
	gates := []func() gatesim.Gate{product, oneLook}
	var jobs []*job
	for _, p := range changedParts() {
		for _, gate := range gates {
			jobs = append(jobs, &job{n: o.parts, seed: o.seed + 5, draw: draw, gate: gate, change: p.change})
		}
	}
	do(jobs)
	t := newTable(w, fmt.Sprintf("A part of the suite changed, %d releases each ('real'): something named that is not slower", o.parts),
		"changed", looks(), "boots", "blocked", "as a whole", "one look", "as a whole")
	for _, p := range changedParts() {
		row := table.Row{p.name}
		for i := range gates {
			out := jobs[0].out
			jobs = jobs[1:]
			row = append(row, interval(out.Wrong))
			if i == 0 {
				row = append(row, fmt.Sprintf("%.1f", out.Boots), wholePercent(out.Blocked.Share()))
			}
			whole := ""
			if p.whole {
				whole = wholePercent(out.Named.Share())
				if out.Named.Hi < minAll {
					failures = append(failures, fmt.Sprintf("%s: named as a whole in %s; at least %s", p.name, interval(out.Named), wholePercent(minAll)))
				}
			}
			row = append(row, whole)
			if out.Wrong.Hi > maxWrongHi {
				failures = append(failures, fmt.Sprintf("%s, %s: something else named in %s; the interval to %s at most",
					p.name, []string{looks(), "one look"}[i], interval(out.Wrong), percent(maxWrongHi)))
			}
		}
		t.AppendRow(row)
	}
	t.AppendFooter(table.Row{"target", fmt.Sprintf("(to %.2f)", 100*maxWrongHi), "", "", wholePercent(minAll), fmt.Sprintf("(to %.2f)", 100*maxWrongHi), wholePercent(minAll)})
	t.Render()
	return failures
}
