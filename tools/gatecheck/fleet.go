package main

import (
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/tools/internal/gatesim"
	"github.com/jedib0t/go-pretty/v6/table"
)

// fleetMachines measure a release in the table of fleets.
const fleetMachines = 5

// unchangedFleets is how many unchanged releases there are for a slowed one.
const unchangedFleets = 4

// fleetPower is what a fleet has to name of single slowdowns of 10 and 20 % in
// the scenario "real": as one machine has to.
func fleetPower() []target { return power()[1:3] }

// fleetGate is the gate with the plan of a fleet.
func fleetGate() gatesim.Gate {
	return gatesim.Product(compare.FleetPlan(fleetMachines), compare.NewRanker())
}

// fleet has the boots of a release on five machines: they differ by 1 to 2 in
// speed and have noise of their own, which may not cost false alarms.
func fleet(w io.Writer, o options) (failures []string) {
	draw := func(s gatesim.Scenario) func(*rand.Rand) *gatesim.Release {
		return func(rng *rand.Rand) *gatesim.Release { return gatesim.NewFleet(s, fleetMachines, rng) }
	}
	var jobs []*job
	for _, s := range gatesim.Scenarios() {
		jobs = append(jobs, &job{n: unchangedFleets * o.fleets, seed: o.seed + 6, draw: draw(s), gate: fleetGate})
	}
	for _, c := range gatesim.Classes() {
		for _, p := range fleetPower() {
			jobs = append(jobs, &job{n: o.fleets, seed: o.seed + 7, draw: draw(gatesim.Scenarios()[1]), gate: fleetGate, change: gatesim.Slower(c, p.size)})
		}
	}
	do(jobs)
	t := newTable(w, fmt.Sprintf("Five machines, speeds 1 to 2 apart: false alarms in %d unchanged releases", unchangedFleets*o.fleets), "scenario", "this gate", "boots")
	for _, s := range gatesim.Scenarios() {
		out := jobs[0].out
		jobs = jobs[1:]
		t.AppendRow(table.Row{s.Name, interval(out.Blocked), fmt.Sprintf("%.1f", out.Boots)})
		if out.Blocked.Share() > maxFalse || out.Blocked.Hi > maxFewFalseHi {
			failures = append(failures, fmt.Sprintf("five machines, %s: %s false alarms; at most %s, interval to %s", s.Name, interval(out.Blocked), percent(maxFalse), percent(maxFewFalseHi)))
		}
	}
	t.AppendFooter(table.Row{"target", fmt.Sprintf("%s (to %.2f)", percent(maxFalse), 100*maxFewFalseHi)})
	t.Render()
	header := []any{"ops"}
	for _, p := range fleetPower() {
		header = append(header, fmt.Sprintf("+%.0f %%", 100*p.size), "boots")
	}
	t = newTable(w, fmt.Sprintf("Five machines: slowdowns of one op named, of %d releases a class and size ('real')", o.fleets), header...)
	all := make([]int, len(fleetPower()))
	for _, c := range gatesim.Classes() {
		row := table.Row{c}
		for i, p := range fleetPower() {
			out := jobs[0].out
			jobs = jobs[1:]
			all[i] += out.Named.Hits
			row = append(row, wholePercent(out.Named.Share()), fmt.Sprintf("%.1f", out.Boots))
			failures = append(failures, missed(out.Named, p.size, p.class[c], "five machines, "+string(c))...)
		}
		t.AppendRow(row)
	}
	row := table.Row{"all"}
	for i, p := range fleetPower() {
		rate := gatesim.NewRate(all[i], o.fleets*len(gatesim.Classes()))
		row = append(row, wholePercent(rate.Share()), "")
		failures = append(failures, missed(rate, p.size, p.power, "five machines, all")...)
	}
	t.AppendRow(row)
	t.Render()
	return failures
}
