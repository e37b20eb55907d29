package reference

import (
	"context"
	"fmt"
	"slices"
)

// A Measure runs one tool once and returns its figure, which is positive.
type Measure func(ctx context.Context) (float64, error)

// A Result is the figures of a number of pairs of runs, in order.
type Result struct{ Ours, Theirs []float64 }

// Alternate measures both sides n times, in the order A B B A, so that drift
// of the machine falls on both alike. Ours is the first of all.
func Alternate(ctx context.Context, n int, ours, theirs Measure) (r Result, err error) {
	r = Result{make([]float64, n), make([]float64, n)}
	for i := range n {
		sides := []func() error{
			func() (err error) { r.Ours[i], err = positive(ctx, ours); return err },
			func() (err error) { r.Theirs[i], err = positive(ctx, theirs); return err },
		}
		if i%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			if err := side(); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

func positive(ctx context.Context, m Measure) (float64, error) {
	v, err := m(ctx)
	if err == nil && !(v > 0) {
		err = fmt.Errorf("a figure of %v means nothing", v)
	}
	return v, err
}

// Ratio is the median over the pairs of ours to theirs.
func (r Result) Ratio() float64 {
	ratios := make([]float64, len(r.Ours))
	for i := range ratios {
		ratios[i] = r.Ours[i] / r.Theirs[i]
	}
	return Median(ratios)
}

// Spread is the distance between the quartiles of some runs as a share of
// their median: half of the runs are that close to each other.
func Spread(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	q := (len(v) - 1) / 4 // towards the ends: with few runs the wider choice
	return (v[len(v)-1-q] - v[q]) / Median(v)
}

// Median is the middle of some values; of an even number the mean of two.
func Median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
