package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// levels makes a sequence with given levels, in log, of n releases each.
func levels(seed uint64, sd float64, n int, level ...float64) []float64 {
	rng := rand.New(rand.NewPCG(seed, seed))
	var out []float64
	for _, l := range level {
		for range n {
			out = append(out, l+sd*rng.NormFloat64())
		}
	}
	return out
}

func TestOneStepIsFoundWhereItIs(t *testing.T) {
	changes := DefaultDetector().Find(levels(1, 0.02, 10, 0, math.Log(1.3)))
	require.Len(t, changes, 1)
	c := changes[0]
	assert.Equal(t, 10, c.At)
	assert.InDelta(t, math.Log(1.3), c.Shift, 0.05)
	assert.Less(t, c.Lo, c.Shift)
	assert.Greater(t, c.Hi, c.Shift)
	assert.LessOrEqual(t, c.P, 0.01)
}

func TestTwoStepsAndBack(t *testing.T) {
	changes := DefaultDetector().Find(levels(2, 0.02, 10, 0, 0.3, 0))
	require.Len(t, changes, 2)
	assert.Equal(t, []int{10, 20}, []int{changes[0].At, changes[1].At})
	assert.Positive(t, changes[0].Shift)
	assert.Negative(t, changes[1].Shift)
}

func TestNothingIsFoundInNothing(t *testing.T) {
	d := DefaultDetector()
	for _, x := range [][]float64{nil, {1}, {1, 2}, {1, 1, 1, 1, 1, 1, 1, 1}, levels(3, 0.05, 30, 0)} {
		assert.Empty(t, d.Find(x))
	}
}

// The usual step of a random walk is large, so that a step of its own size is
// none.
func TestWanderIsNoChange(t *testing.T) {
	d, found := DefaultDetector(), 0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 7))
		x, level := make([]float64, 30), 0.0
		for i := range x {
			level += 0.05 * rng.NormFloat64()
			x[i] = level
		}
		found += len(d.Find(x))
	}
	assert.LessOrEqual(t, found, 24, "2 in 100 releases")
}

// A sequence without scatter has no usual step to divide by.
func TestCleanStep(t *testing.T) {
	changes := DefaultDetector().Find(levels(1, 0, 8, 0, 0.2))
	require.Len(t, changes, 1)
	assert.Equal(t, 8, changes[0].At)
	assert.False(t, math.IsInf(changes[0].Wander, 0))
}

// What is longer than a window is found in it, and not twice.
func TestLongSequence(t *testing.T) {
	changes := DefaultDetector().Find(levels(5, 0.02, 50, 0, 0.3, 0.3, 0.6))
	require.Len(t, changes, 2)
	assert.Equal(t, []int{50, 150}, []int{changes[0].At, changes[1].At})
}

func TestSmallChangesAreNotWorthAWord(t *testing.T) {
	assert.Empty(t, DefaultDetector().Find(levels(1, 0.001, 15, 0, 0.02)))
}

// The statistic by its definition, for the incremental sums of best.
func TestEnergyStatistic(t *testing.T) {
	d := DefaultDetector()
	x := levels(4, 0.1, 6, 0, 0.4)
	at, q := d.best(weigh(x))
	naive := func(k int) float64 {
		mean := func(a, b []float64, same bool) float64 {
			var sum, n float64
			for i := range a {
				for j := range b {
					if !same || i != j {
						sum += math.Abs(a[i] - b[j])
						n++
					}
				}
			}
			return sum / n
		}
		l, r := x[:k], x[k:]
		m, n := float64(len(l)), float64(len(r))
		return m * n / (m + n) * (2*mean(l, r, false) - mean(l, l, true) - mean(r, r, true))
	}
	best, where := math.Inf(-1), -1
	for k := d.Side; k <= len(x)-d.Side; k++ {
		if v := naive(k); v > best {
			best, where = v, k
		}
	}
	assert.Equal(t, where, at)
	assert.InDelta(t, best, q, 1e-9)
}

// A sequence of many windows has the changes of each, and none twice.
func TestVeryLongSequence(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	const n = 3000
	x := make([]float64, n)
	var want []int
	level := 0.0
	for i := range x {
		if i > 0 && i%500 == 37 {
			level += 0.3
			want = append(want, i)
		}
		x[i] = level + 0.01*rng.NormFloat64()
	}
	var got []int
	for _, c := range DefaultDetector().Find(x) {
		got = append(got, c.At)
	}
	assert.Equal(t, want, got)
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{40, 100, 1000, 10_000} {
		b.Run(fmt.Sprint("releases=", n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			x := make([]float64, n)
			for i := range x {
				x[i] = 0.01 * rng.NormFloat64()
			}
			for b.Loop() {
				DefaultDetector().Find(x)
			}
		})
	}
}
