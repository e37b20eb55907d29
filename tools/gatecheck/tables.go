package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/capsem/capsem-bench/tools/internal/gatesim"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// The targets. False alarms are of releases in which nothing changed, boots
// interleaved; boots the mean of both sides in the "real" scenario; power the
// share of single-op slowdowns that are named there.
const (
	maxFalse   = 0.006
	maxFalseHi = 0.010 // upper end of the 95 % interval
	maxBoots   = 19.9
	maxReplay  = 0.006 // of splits of recorded boots
	maxWrongHi = 0.015 // naming what did not change where something else did
	minAll     = 0.75  // of releases in which everything is 10 % slower
)

// A target is a slowdown and the share of them to name: of all ops, and of
// each class where that is a target too.
type target struct {
	size, power float64
	class       map[gatesim.Class]float64
	boots       float64 // at most, the mean of the classes; 0 any number
}

func power() []target {
	return []target{
		{0.05, 0, nil, 0},
		{0.10, 0.71, map[gatesim.Class]float64{gatesim.Quiet: 0.92, gatesim.Mid: 0.85, gatesim.Noisy: 0.36}, 0},
		{0.20, 0.95, nil, 20},
		{0.30, 0.98, nil, 0},
		{0.50, 0.97, nil, 18},
		{1.00, 0.97, nil, 0},
	}
}

func newTable(w io.Writer, title string, header ...any) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetTitle("%s", title)
	t.AppendHeader(header)
	t.Style().Format.Header = text.FormatDefault
	t.Style().Format.Footer = text.FormatDefault
	right := make([]table.ColumnConfig, len(header))
	for i := range right {
		right[i] = table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight, AlignFooter: text.AlignRight}
	}
	right[0] = table.ColumnConfig{Number: 1}
	t.SetColumnConfigs(right)
	return t
}

// scenarios are the rows of the table of false alarms.
type scenarioRow struct {
	gatesim.Scenario
	sequential bool
}

func (s scenarioRow) String() string {
	if s.sequential {
		return s.Name + ", old first"
	}
	return s.Name
}

func scenarios() []scenarioRow {
	var out []scenarioRow
	for _, s := range gatesim.Scenarios() {
		out = append(out, scenarioRow{s, false})
		if s.Name == "drift" {
			out = append(out, scenarioRow{s, true})
		}
	}
	return out
}

// falseAlarms compares builds with themselves. Old boots first and new ones
// after is what the gate refuses; the row shows why, and is held to nothing.
func falseAlarms(w io.Writer, o options) (failures []string) {
	var jobs []*job
	for _, s := range scenarios() {
		draw := func(rng *rand.Rand) *gatesim.Release {
			r := gatesim.NewRelease(s.Scenario, rng)
			r.Sequential = s.sequential
			return r
		}
		for _, r := range rules() {
			jobs = append(jobs, &job{n: o.releases, seed: o.seed, draw: draw, gate: r.gate})
		}
	}
	do(jobs)
	t := newTable(w, fmt.Sprintf("False alarms in %d unchanged releases (with 95 %% interval)", o.releases),
		"scenario", "ratio 1.20", "benchstat", "ranks and Holm", "boots", "this gate", "boots")
	for i, s := range scenarios() {
		row := table.Row{s.String()}
		var out gatesim.Outcome
		for j, r := range rules() {
			out = jobs[i*len(rules())+j].out
			if !r.judge {
				row = append(row, percent(out.Blocked.Share()))
			}
			if !r.judge && r.boots > 10 {
				row = append(row, fmt.Sprintf("%.1f", out.Boots))
			}
		}
		row = append(row, interval(out.Blocked), fmt.Sprintf("%.1f", out.Boots))
		t.AppendRow(row)
		if s.sequential {
			continue
		}
		if out.Blocked.Share() > maxFalse || out.Blocked.Hi > maxFalseHi {
			failures = append(failures, fmt.Sprintf("%s: %s false alarms; at most %s, interval to %s",
				s.Name, interval(out.Blocked), percent(maxFalse), percent(maxFalseHi)))
		}
		// The boots of one release have a standard deviation of 8.
		if s.Name == "real" && out.Boots-2*8/math.Sqrt(float64(o.releases)) > maxBoots {
			failures = append(failures, fmt.Sprintf("%s: %.1f boots; at most %.1f", s.Name, out.Boots, maxBoots))
		}
	}
	t.AppendFooter(table.Row{"target, interleaved", "", "", "", "", fmt.Sprintf("%s (to %.2f)", percent(maxFalse), 100*maxFalseHi), fmt.Sprintf("%.1f", maxBoots)})
	t.Render()
	fmt.Fprintln(w, "The first two rules take 10 boots; boots and targets are those of 'real'. Boots that are not\ninterleaved are refused by the gate and held to no target.")
	return failures
}

// slowdowns slows one op of the new build in the scenario "real".
func slowdowns(w io.Writer, o options) (failures []string) {
	real := gatesim.Scenarios()[1]
	draw := func(rng *rand.Rand) *gatesim.Release { return gatesim.NewRelease(real, rng) }
	var jobs []*job
	for _, r := range rules() {
		for _, c := range gatesim.Classes() {
			for _, p := range power() {
				jobs = append(jobs, &job{n: o.slowed, seed: o.seed + 1, draw: draw, gate: r.gate, change: gatesim.Slower(c, p.size)})
			}
		}
	}
	do(jobs)
	header := []any{"rule", "ops"}
	for _, p := range power() {
		header = append(header, fmt.Sprintf("+%.0f %%", 100*p.size))
	}
	t := newTable(w, fmt.Sprintf("Slowdowns of one op named, of %d releases a class and size ('real')", o.slowed), header...)
	for _, r := range rules() {
		all, boots := make([]int, len(power())), make([]float64, len(power()))
		for _, c := range gatesim.Classes() {
			row := table.Row{r.name, c}
			for i, p := range power() {
				out := jobs[0].out
				jobs = jobs[1:]
				all[i] += out.Named.Hits
				boots[i] += out.Boots / float64(len(gatesim.Classes()))
				row = append(row, wholePercent(out.Named.Share()))
				if r.judge {
					failures = append(failures, missed(out.Named, p.size, p.class[c], string(c))...)
				}
			}
			t.AppendRow(row)
		}
		row, cost := table.Row{r.name, "all"}, table.Row{r.name, "boots"}
		for i, p := range power() {
			rate := gatesim.NewRate(all[i], o.slowed*len(gatesim.Classes()))
			row = append(row, wholePercent(rate.Share()))
			cost = append(cost, fmt.Sprintf("%.1f", boots[i]))
			if r.judge {
				failures = append(failures, missed(rate, p.size, p.power, "all")...)
				if p.boots > 0 && boots[i] > p.boots {
					failures = append(failures, fmt.Sprintf("+%.0f %%: %.1f boots on average; at most %.0f", 100*p.size, boots[i], p.boots))
				}
			}
		}
		t.AppendRows([]table.Row{row, cost})
		t.AppendSeparator()
	}
	for _, c := range append(gatesim.Classes(), "all") {
		row := table.Row{"target", c}
		for _, p := range power() {
			want := p.class[c]
			if c == "all" {
				want = p.power
			}
			if want == 0 {
				row = append(row, "")
				continue
			}
			row = append(row, wholePercent(want))
		}
		t.AppendFooter(row)
	}
	t.Render()
	return failures
}

// missed fails on what the number of releases can tell from the target.
func missed(rate gatesim.Rate, size, want float64, what string) []string {
	if rate.Hi >= want {
		return nil
	}
	return []string{fmt.Sprintf("+%.0f %%, %s ops: %.1f %% named (at most %.1f %%), target %.0f %%",
		100*size, what, 100*rate.Share(), 100*rate.Hi, 100*want)}
}

func wholePercent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// replay splits recorded boots of one build into two sides.
func replay(w io.Writer, o options, rec *gatesim.Recording) (failures []string) {
	sizes := []float64{0, 0.10, 0.20, 0.30, 0.50}
	var jobs []*job
	for _, r := range rules() {
		jobs = append(jobs, &job{n: o.splits, seed: o.seed + 2, draw: rec.Draw(r.boots, false), gate: r.gate})
		for _, size := range sizes[1:] {
			jobs = append(jobs, &job{n: o.splits, seed: o.seed + 2, draw: rec.Draw(r.boots, false), gate: r.gate, change: gatesim.Slower("", size)})
		}
		jobs = append(jobs, &job{n: o.splits, seed: o.seed + 2, draw: rec.Draw(r.boots, true), gate: r.gate})
	}
	do(jobs)
	t := newTable(w, fmt.Sprintf("%d splits of %d recorded boots, %d metrics", o.splits, rec.Boots(), len(rec.Metrics)),
		"rule", "false, interleaved", "boots", "+10 %", "+20 %", "+30 %", "+50 %", "false, old first")
	for _, r := range rules() {
		same := jobs[0].out
		row := table.Row{r.name, interval(same.Blocked), fmt.Sprintf("%.1f", same.Boots)}
		for _, j := range jobs[1:len(sizes)] {
			row = append(row, wholePercent(j.out.Named.Share()))
		}
		base := jobs[len(sizes)].out
		jobs = jobs[len(sizes)+1:]
		t.AppendRow(append(row, wholePercent(base.Blocked.Share())))
		// Splits of one recording share boots: the interval says how exact the
		// simulation is, not how exact the recording.
		if r.judge && same.Blocked.Share() > maxReplay {
			failures = append(failures, fmt.Sprintf("recorded boots, interleaved: %s false alarms; at most %s",
				interval(same.Blocked), percent(maxReplay)))
		}
	}
	t.AppendFooter(table.Row{"target", percent(maxReplay)})
	t.Render()
	return failures
}
