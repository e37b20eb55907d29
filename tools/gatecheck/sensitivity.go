package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/tools/internal/gatesim"
	"github.com/jedib0t/go-pretty/v6/table"
)

// maxApart is how far the printed sensitivity may be from the slowdown that
// is named in 80 of 100 releases.
const maxApart = 0.015

// spreads are the standard deviations between boots for which it is held.
func spreads() []float64 { return []float64{0.01, 0.02, 0.03, 0.05, 0.07, 0.10, 0.15, 0.20} }

// around are the slowdowns that are tried, as ratios from the printed one.
func around() []float64 { return []float64{-maxApart, 0, maxApart} }

// found is the share of slowdowns that the printed sensitivity refers to.
const found = 0.80

// sensitivity holds the figure that the gate prints, how small a slowdown it
// finds, to what it does name: one op of a known spread is slowed in releases
// of 'iid', in which that spread is all there is.
func sensitivity(w io.Writer, o options) (failures []string) {
	plan := compare.DefaultPlan()
	printed := make([]float64, len(spreads()))
	var jobs []*job
	for i, sd := range spreads() {
		draw := func(rng *rand.Rand) *gatesim.Release { return gatesim.NewSpread(gatesim.Scenarios()[0], sd, rng) }
		figures := gatesim.Finds(max(1, o.found/2), o.seed+6, draw, plan, compare.NewRanker())
		printed[i] = math.Expm1(figures[len(figures)/2])
		for _, by := range around() {
			jobs = append(jobs, &job{n: o.found, seed: o.seed + 7, draw: draw, gate: product, change: gatesim.SlowerFirst(math.Log1p(max(0, printed[i]+by)))})
		}
	}
	do(jobs)
	t := newTable(w, fmt.Sprintf("The sensitivity that is printed, and the slowdown named in %.0f %% of %d releases ('iid')", 100*found, o.found),
		"sd between boots", "printed", "named", "1.5 points less", "as printed", "1.5 points more")
	for i, sd := range spreads() {
		var sizes, shares []float64
		for k, by := range around() {
			sizes, shares = append(sizes, printed[i]+by), append(shares, jobs[i*len(around())+k].out.Named.Share())
		}
		truth, ok := crossing(sizes, shares)
		row := table.Row{fmt.Sprintf("%.0f %%", 100*sd), wholePercent(printed[i])}
		if ok {
			row = append(row, wholePercent(truth))
		} else {
			row = append(row, "apart")
			failures = append(failures, fmt.Sprintf("sensitivity of boots that spread by %.0f %%: %s printed; more than %.1f points from what is named: %s, %s and %s of slowdowns 1.5 points less, as printed and more",
				100*sd, wholePercent(printed[i]), 100*maxApart, wholePercent(shares[0]), wholePercent(shares[1]), wholePercent(shares[2])))
		}
		for _, s := range shares {
			row = append(row, wholePercent(s))
		}
		t.AppendRow(row)
	}
	t.AppendFooter(table.Row{"target", "", "within 1.5 points"})
	t.Render()
	return failures
}

// crossing returns the size at which the share is found, between the sizes
// tried; false where it is beyond them.
func crossing(sizes, shares []float64) (float64, bool) {
	for k := 1; k < len(sizes); k++ {
		if lo, hi := shares[k-1], shares[k]; lo <= found && found <= hi && lo < hi {
			return sizes[k-1] + (found-lo)/(hi-lo)*(sizes[k]-sizes[k-1]), true
		}
	}
	return 0, false
}
