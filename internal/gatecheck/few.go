package main

import (
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/capsem/capsem-bench/internal/gatesim"
	"github.com/jedib0t/go-pretty/v6/table"
)

// fewBoots are the boots a side that maxT judges where there can be no more.
func fewBoots() []int { return []int{5, 6, 7} }

// fewPower is what it has to name of single slowdowns in the scenario "real".
func fewPower() []target {
	return []target{{0.10, 0.26, nil}, {0.20, 0.56, nil}, {0.30, 0.71, nil}}
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
	gate := func() gatesim.Gate { return gatesim.Few(boots) }
	row := &fewRow{boots: boots}
	drawOf := func(s gatesim.Scenario) func(*rand.Rand) *gatesim.Release {
		return func(rng *rand.Rand) *gatesim.Release { return gatesim.NewRelease(s, rng) }
	}
	for _, s := range gatesim.Scenarios() {
		row.unchanged = append(row.unchanged, &job{n: o.releases, seed: o.seed + 3, draw: drawOf(s), gate: gate})
	}
	row.unchanged = append(row.unchanged, &job{n: o.releases, seed: o.seed + 3, draw: rec.Draw(2*boots, false), gate: gate})
	for _, p := range fewPower() {
		row.slowed = append(row.slowed, &job{n: o.slowed, seed: o.seed + 4, draw: drawOf(gatesim.Scenarios()[1]), gate: gate, size: p.size})
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
		header, footer = append(header, place), append(footer, percent(maxFalse))
	}
	for _, p := range fewPower() {
		header, footer = append(header, fmt.Sprintf("+%.0f %%", 100*p.size)), append(footer, wholePercent(p.power))
	}
	t := newTable(w, fmt.Sprintf("Few boots and no more: false alarms in %d unchanged releases, and slowdowns named", o.releases), header...)
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
		if out.Share() > maxFalse || out.Hi > maxFalseHi {
			failures = append(failures, fmt.Sprintf("%d boots a side, %s: %s false alarms; at most %s, interval to %s",
				r.boots, place, interval(out), percent(maxFalse), percent(maxFalseHi)))
		}
	}
	for i, p := range fewPower() {
		out := r.slowed[i].out.Named
		cells = append(cells, wholePercent(out.Share()))
		failures = append(failures, missed(out, p.size, p.power, fmt.Sprintf("%d boots a side,", r.boots))...)
	}
	return cells, failures
}
