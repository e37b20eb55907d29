package main

import (
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/tools/internal/gatesim"
	"github.com/jedib0t/go-pretty/v6/table"
)

// fewBoots are the boots a side that maxT judges where there can be no more.
func fewBoots() (out []int) {
	for k := compare.MinFewBoots; k <= compare.MaxFewBoots; k++ {
		out = append(out, k)
	}
	return out
}

// What few boots are held to, which cannot be looked at again.
const (
	maxFewFalse   = 0.010
	maxFewFalseHi = 0.015
	// fewDraws is how many times the releases of the other tables are drawn: the
	// rate of 5 boots a side is near its limit, which 2,000 cannot tell from 1.5 %.
	fewDraws = 3
)

// fewPower is what it has to name of single slowdowns in the scenario "real".
func fewPower() []target {
	return []target{{size: 0.10, power: 0.26}, {size: 0.20, power: 0.56}, {size: 0.30, power: 0.71}}
}

// A fewRow is one number of boots: unchanged releases by place, and slowed
// ones by size.
type fewRow struct {
	boots     int
	unchanged []*job
	slowed    []*job
}

// fewPlaces are where unchanged releases are drawn.
func fewPlaces() []string {
	var out []string
	for _, s := range gatesim.Scenarios() {
		out = append(out, s.Name)
	}
	return append(out, "recorded")
}

func newFewRow(o options, rec *gatesim.Recording, boots int) *fewRow {
	gate := func() gatesim.Gate { return gatesim.Product(compare.PlanFew(boots), compare.NewRanker()) }
	row := &fewRow{boots: boots}
	drawOf := func(s gatesim.Scenario) func(*rand.Rand) *gatesim.Release {
		return func(rng *rand.Rand) *gatesim.Release { return gatesim.NewRelease(s, rng) }
	}
	for _, s := range gatesim.Scenarios() {
		row.unchanged = append(row.unchanged, &job{n: fewDraws * o.releases, seed: o.seed + 3, draw: drawOf(s), gate: gate})
	}
	row.unchanged = append(row.unchanged, &job{n: fewDraws * o.releases, seed: o.seed + 3, draw: rec.Draw(2*boots, false), gate: gate})
	for _, p := range fewPower() {
		row.slowed = append(row.slowed, &job{n: o.slowed, seed: o.seed + 4, draw: drawOf(gatesim.Scenarios()[1]), gate: gate, change: gatesim.Slower("", p.size)})
	}
	return row
}

// few tries 5 to 7 boots a side without a chance of more, over synthetic and
// recorded boots.
func few(w io.Writer, o options, rec *gatesim.Recording) (failures []string) {
	var rows []*fewRow
	var jobs []*job
	for _, k := range fewBoots() {
		row := newFewRow(o, rec, k)
		rows, jobs = append(rows, row), append(append(jobs, row.unchanged...), row.slowed...)
	}
	do(jobs)
	header, footer := []any{"boots a side"}, table.Row{"target"}
	for _, place := range fewPlaces() {
		header, footer = append(header, place), append(footer, percent(maxFewFalse))
	}
	for _, p := range fewPower() {
		header, footer = append(header, fmt.Sprintf("+%.0f %%", 100*p.size)), append(footer, wholePercent(p.power))
	}
	t := newTable(w, fmt.Sprintf("Few boots and no more: false alarms in %d unchanged releases, and slowdowns named", fewDraws*o.releases), header...)
	for _, r := range rows {
		cells, missing := r.cells()
		t.AppendRow(cells)
		failures = append(failures, missing...)
	}
	t.AppendFooter(footer)
	t.Render()
	return failures
}

// cells are the row in the table, with the targets that it misses.
func (r *fewRow) cells() (cells table.Row, failures []string) {
	cells = table.Row{r.boots}
	for i, place := range fewPlaces() {
		out := r.unchanged[i].out.Blocked
		cells = append(cells, percent(out.Share()))
		if out.Share() > maxFewFalse || out.Hi > maxFewFalseHi {
			failures = append(failures, fmt.Sprintf("%d boots a side, %s: %s false alarms; at most %s, interval to %s",
				r.boots, place, interval(out), percent(maxFewFalse), percent(maxFewFalseHi)))
		}
	}
	for i, p := range fewPower() {
		out := r.slowed[i].out.Named
		cells = append(cells, wholePercent(out.Share()))
		failures = append(failures, missed(out, p.size, p.power, fmt.Sprintf("%d boots a side,", r.boots))...)
	}
	return cells, failures
}
