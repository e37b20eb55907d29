// Command trendcheck measures how often the change points of a history are
// wrong, and how soon and how often they find a change that is there: over
// synthetic releases whose level wanders as unpaired measurements do.
//
//	go run ./tools/trendcheck -draws 1000
//
// It ends with status 1 when a rate is beyond its limit.
package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/history"
)

func main() {
	draws := flag.Int("draws", 400, "series of each kind")
	seed := flag.Uint64("seed", 1, "of the series")
	flag.Parse()
	os.Exit(run(os.Stdout, history.DefaultDetector(), *draws, *seed))
}

// A scenario is how the level of a release wanders while no build changes.
// The noise of single boots comes on top: three boots a release, sd between
// boots log-uniform from 1 to 10 %.
type scenario struct {
	name string
	// ar and sd are those of an autoregressive level: ar 0.8 and sd 0.03 is a
	// machine that drifts within 3 % over some releases. ar 1 is a random
	// walk whose steps have that sd: it goes anywhere.
	ar, sd float64
	limit  float64 // false changes in 100 releases
	power  float64 // least share of +30 % that must be found
}

func scenarios() []scenario {
	return []scenario{
		{"steady", 0, 0, 0.05, 0.95},
		{"drift 3 %", 0.8, 0.03, 0.6, 0.9},
		{"drift 7 %", 0.8, 0.07, 1, 0.55},
		{"walk 3 %", 1, 0.03, 1.2, 0.6},
	}
}

// releases is how many a series has; a step comes at the twentieth of as many
// as are there when one looks.
const releases, step = 40, 20

func run(w io.Writer, d history.Detector, draws int, seed uint64) int {
	fmt.Fprintf(w, "%d series a scenario, 3 boots a release; a step at release %d, looked for 6 releases later\n\n", draws, step)
	fmt.Fprintf(w, "%-10s %15s  %24s  %32s\n", "level", "false/100 rel.", "found +10 / +20 / +30 %", "releases until +10 / +20 / +30 %")
	status := 0
	for _, s := range scenarios() {
		r := measure(d, s, draws, seed)
		fmt.Fprintf(w, "%-10s %15.2f  %24s  %32s\n", s.name, r.wrong, fmt.Sprintf("%.0f / %.0f / %.0f", 100*r.found[0], 100*r.found[1], 100*r.found[2]), strings.Join(r.delay[:], " / "))
		if r.wrong > s.limit {
			fmt.Fprintf(w, "  beyond its limit of %.2f\n", s.limit)
			status = 1
		}
		if r.found[2] < s.power {
			fmt.Fprintf(w, "  +30 %% was to be found in %.0f %%\n", 100*s.power)
			status = 1
		}
	}
	return status
}

// sizes are the steps that are looked for, and longest for how many releases
// with the new level.
var sizes = [...]float64{0.1, 0.2, 0.3}

const longest = 12

// rates are what a scenario gave, of each size.
type rates struct {
	wrong float64             // in 100 releases
	found [len(sizes)]float64 // after six releases
	delay [len(sizes)]string  // median number of releases with the new level until the step is found
}

func measure(d history.Detector, s scenario, draws int, seed uint64) rates {
	var r rates
	var delays [len(sizes)][]int
	for i := range draws {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		x := s.series(rng)
		r.wrong += float64(len(d.Find(x)))
		for j, size := range sizes {
			if finds(d, stepped(x, size, step+6)) {
				r.found[j]++
			}
			for n := 2; n <= longest; n++ {
				if finds(d, stepped(x, size, step+n)) {
					delays[j] = append(delays[j], n)
					break
				}
			}
		}
	}
	r.wrong *= 100 / float64(draws*releases)
	for j := range sizes {
		r.found[j] /= float64(draws)
		slices.Sort(delays[j])
		r.delay[j] = fmt.Sprintf("over %d", longest)
		if len(delays[j]) > draws/2 {
			r.delay[j] = fmt.Sprint(delays[j][draws/2])
		}
	}
	return r
}

func stepped(x []float64, size float64, n int) []float64 {
	y := slices.Clone(x[:n])
	for i := step; i < n; i++ {
		y[i] += math.Log1p(size)
	}
	return y
}

// finds reports whether a step was found where it is, to one release.
func finds(d history.Detector, x []float64) bool {
	return slices.ContainsFunc(d.Find(x), func(c history.Change) bool {
		return c.Shift > 0 && c.At >= step-1 && c.At <= step+1
	})
}

func (s scenario) series(rng *rand.Rand) []float64 {
	boots := 0.01 * math.Pow(10, rng.Float64())
	innovation := s.sd
	if s.ar < 1 {
		innovation = s.sd * math.Sqrt(1-s.ar*s.ar)
	}
	x, level := make([]float64, releases), 0.0
	for i := range x {
		level = s.ar*level + innovation*rng.NormFloat64()
		three := []float64{rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64()}
		slices.Sort(three)
		x[i] = level + boots*three[1]
	}
	return x
}
