// Command gatecheck measures how often the gate is wrong. It drives the
// decision code of package compare over synthetic releases and prints false
// alarms, power and boots beside other rules and the targets. It exits 1 when
// the gate misses a target.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/gatesim"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// The targets: false alarms of releases in which nothing changed, and the
// share of single-op slowdowns that are named, in the "real" scenario.
const (
	maxFalse   = 0.010
	maxFalseHi = 0.015 // upper end of the 95 % interval
)

func power() []target {
	return []target{{0.05, 0}, {0.10, 0.71}, {0.20, 0.95}, {0.30, 0.98}, {0.50, 0.97}, {1.00, 0.97}}
}

type target struct{ size, power float64 }

func main() {
	releases := flag.Int("releases", 4000, "unchanged releases per scenario and rule")
	slowed := flag.Int("slowed", 2000, "slowed releases per size and class")
	seed := flag.Uint64("seed", 20260327, "seed of the simulation")
	flag.Parse()
	if flag.NArg() > 0 || *releases < 1 || *slowed < 1 {
		fmt.Fprintln(os.Stderr, "gatecheck: want no arguments and positive counts; see -help")
		os.Exit(2)
	}
	if failures := check(os.Stdout, *releases, *slowed, *seed); len(failures) > 0 {
		for _, f := range failures {
			fmt.Fprintln(os.Stderr, "gatecheck:", f)
		}
		os.Exit(1)
	}
}

type rule struct {
	name  string
	gate  gatesim.Gate
	judge bool // held to the targets
}

func check(w io.Writer, releases, slowed int, seed uint64) (failures []string) {
	rk := compare.NewRanker()
	rules := []rule{
		{"ratio 1.20 and band, 5 a side", gatesim.Ratio(5), false},
		{"benchstat worse, 5 a side", gatesim.Benchstat(5), false},
		{"this gate, 6/10/16", gatesim.Adaptive(compare.DefaultRule(), rk), true},
	}
	failures = append(failures, falseAlarms(w, rules, releases, seed)...)
	return append(failures, slowdowns(w, rules, slowed, seed+1)...)
}

func newTable(w io.Writer, title string, header table.Row) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetTitle(title)
	t.AppendHeader(header)
	right := make([]table.ColumnConfig, len(header))
	for i := range right {
		right[i] = table.ColumnConfig{Number: i + 1, Align: text.AlignRight}
	}
	right[0].Align = text.AlignLeft
	t.SetColumnConfigs(right)
	return t
}

func falseAlarms(w io.Writer, rules []rule, n int, seed uint64) (failures []string) {
	header := table.Row{"rule"}
	for _, s := range gatesim.Scenarios() {
		header = append(header, s.Name)
	}
	t := newTable(w, fmt.Sprintf("False alarms in %d unchanged releases", n), append(header, "boots"))
	for _, r := range rules {
		row := table.Row{r.name}
		var boots float64
		for _, s := range gatesim.Scenarios() {
			o := gatesim.Simulate(n, seed, s, r.gate, "", 0)
			row = append(row, fmt.Sprintf("%.2f %%", 100*o.Blocked.Share()))
			if s.Name == "real" {
				boots = o.Boots
			}
			if r.judge && (o.Blocked.Share() > maxFalse || o.Blocked.Hi > maxFalseHi) {
				failures = append(failures, fmt.Sprintf("%s: %.2f %% false alarms (up to %.2f %%), target %.1f %%",
					s.Name, 100*o.Blocked.Share(), 100*o.Blocked.Hi, 100*maxFalse))
			}
		}
		t.AppendRow(append(row, fmt.Sprintf("%.1f", boots)))
	}
	t.AppendFooter(table.Row{"target", "1.00 %", "1.00 %", "1.00 %", "1.00 %", "19.9"})
	t.Render()
	return failures
}

func slowdowns(w io.Writer, rules []rule, n int, seed uint64) (failures []string) {
	real := gatesim.Scenarios()[1]
	header := table.Row{"rule", "ops"}
	for _, p := range power() {
		header = append(header, fmt.Sprintf("+%.0f %%", 100*p.size))
	}
	t := newTable(w, fmt.Sprintf("Slowdowns of one op named, of %d releases a class and size", n), header)
	for _, r := range rules {
		all := make([]int, len(power()))
		for _, c := range gatesim.Classes() {
			row := table.Row{r.name, c}
			for i, p := range power() {
				o := gatesim.Simulate(n, seed, real, r.gate, c, p.size)
				all[i] += o.Named.Hits
				row = append(row, fmt.Sprintf("%.0f %%", 100*o.Named.Share()))
			}
			t.AppendRow(row)
		}
		row := table.Row{r.name, "all"}
		for i, p := range power() {
			rate := gatesim.NewRate(all[i], n*len(gatesim.Classes()))
			row = append(row, fmt.Sprintf("%.0f %%", 100*rate.Share()))
			// Fail on what the number of releases can tell from the target.
			if r.judge && rate.Hi < p.power {
				failures = append(failures, fmt.Sprintf("+%.0f %%: %.1f %% named (at most %.1f %%), target %.0f %%",
					100*p.size, 100*rate.Share(), 100*rate.Hi, 100*p.power))
			}
		}
		t.AppendRow(row)
		t.AppendSeparator()
	}
	row := table.Row{"target", "all"}
	for _, p := range power() {
		row = append(row, fmt.Sprintf("%.0f %%", 100*p.power))
	}
	t.AppendFooter(row)
	t.Render()
	return failures
}
