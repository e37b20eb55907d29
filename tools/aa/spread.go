package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/jedib0t/go-pretty/v6/table"
)

// A spread is how much one op of one build differs from itself: standard
// deviations of the logarithm of its time, so that 0.05 is about 5 %.
//
// A round is taken for the sum of what its boot has in common and of what is its
// own. The two variances are those of a one-way analysis with random effects, by
// moments: the mean of a boot with n rounds has the variance between + within/n.
type spread struct {
	op      string
	boots   int
	between float64 // of boots, without what rounds add by chance
	within  float64 // of rounds of one boot
	mean    float64 // of the means of boots, which is what is compared
	first   float64 // how much the first round is above the others
	// drift is the correlation of the means of boots that ran one after the
	// other: near 1 it is the machine that changes slowly, near 0 every boot has
	// something of its own, such as the place of its file on the disk.
	drift float64
}

// spreads are those of all ops that have values in at least three boots.
func spreads(boots []boot) ([]spread, error) {
	rounds := make(map[string][][]float64) // of boots
	for _, b := range boots {
		parsed, _, err := compare.ParseBoots(b.text, b.name)
		if err != nil {
			return nil, err
		}
		for _, res := range parsed[0].Ops {
			values, _ := res.Figure("ns/op")
			if len(values) > 0 && slices.Min(values) > 0 {
				rounds[res.Op.Name] = append(rounds[res.Op.Name], logs(values))
			}
		}
	}
	var out []spread
	for op, r := range rounds {
		if len(r) >= 3 {
			out = append(out, spreadOf(catalogue.Key(op), r))
		}
	}
	slices.SortFunc(out, func(a, b spread) int { return cmp.Or(cmp.Compare(b.mean, a.mean), cmp.Compare(a.op, b.op)) })
	return out, nil
}

func logs(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Log(v)
	}
	return out
}

// spreadOf is of the logarithms of rounds by boots.
func spreadOf(op string, boots [][]float64) spread {
	var means, firsts []float64
	var inner, freedom, share float64 // share: the mean of 1/n
	for _, b := range boots {
		m, squares := moments(b)
		means = append(means, m)
		inner += squares
		freedom += float64(len(b) - 1)
		share += 1 / float64(len(b)) / float64(len(boots))
		if len(b) > 1 {
			others, _ := moments(b[1:])
			firsts = append(firsts, b[0]-others)
		}
	}
	s := spread{op: op, boots: len(boots)}
	if freedom > 0 {
		s.within = math.Sqrt(inner / freedom)
		s.first, _ = moments(firsts)
	}
	_, squares := moments(means)
	s.mean = math.Sqrt(squares / float64(len(means)-1))
	s.between = math.Sqrt(max(0, s.mean*s.mean-s.within*s.within*share))
	s.drift = correlation(means)
	return s
}

// correlation is that of neighbours in a series; 0 for one that does not vary.
func correlation(v []float64) float64 {
	mean, squares := moments(v)
	if squares == 0 {
		return 0
	}
	var sum float64
	for i := range len(v) - 1 {
		sum += (v[i] - mean) * (v[i+1] - mean)
	}
	return sum / squares * float64(len(v)) / float64(len(v)-1)
}

// moments are the mean and the sum of the squares around it.
func moments(v []float64) (mean, squares float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		squares += (x - mean) * (x - mean)
	}
	return mean, squares
}

func renderSpreads(w io.Writer, all []spread, boots int) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.SetTitle("%d boots of one build: sd of the logarithm of ns/op", boots)
	t.AppendHeader(table.Row{"op", "boots", "means of boots", "between boots", "within boots", "first round", "next boot"})
	for _, s := range all {
		t.AppendRow(table.Row{
			s.op, s.boots, fmt.Sprintf("%.3f", s.mean), fmt.Sprintf("%.3f", s.between), fmt.Sprintf("%.3f", s.within),
			fmt.Sprintf("%+.3f", s.first), fmt.Sprintf("%+.2f", s.drift),
		})
	}
	t.Render()
}
