package gatesim

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/capsem/capsem-bench/compare"
	"github.com/stretchr/testify/assert"
)

func drawn(s Scenario) func(*rand.Rand) *Release {
	return func(rng *rand.Rand) *Release { return NewRelease(s, rng) }
}

func TestModelHasItsNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var sum, sum2 float64
	const boots = 400
	r := NewRelease(Scenarios()[0], rng)
	op := r.Ops[0]
	for range boots {
		v := Value(r.boot(0)[0])
		sum += v
		sum2 += v * v
	}
	sd := math.Sqrt(sum2/boots - sum*sum/boots/boots)
	// The value of nine rounds scatters by 0.36 of their sd.
	want := math.Hypot(op.Boot, 0.36*op.Within)
	assert.InEpsilon(t, want, sd, 0.15)
}

func TestClassesAreThirds(t *testing.T) {
	r := NewRelease(Scenarios()[1], rand.New(rand.NewPCG(2, 2)))
	count := make(map[Class]int)
	for _, op := range r.Ops {
		count[op.Class]++
	}
	for _, c := range Classes() {
		assert.InDelta(t, 50.0/3, count[c], 1)
	}
}

func TestJudgeIsDeterministic(t *testing.T) {
	s := Scenarios()[1]
	run := func() Outcome {
		return Judge(30, 7, drawn(s), Product(compare.DefaultPlan(), compare.NewRanker()), Slower(Mid, 0.2))
	}
	assert.Equal(t, run(), run())
}

// TestGateCanReject is the guard against a gate that never blocks: doubling an
// op's time must be named nearly always.
func TestGateCanReject(t *testing.T) {
	s := Scenarios()[1]
	o := Judge(100, 3, drawn(s), Product(compare.DefaultPlan(), compare.NewRanker()), Slower(Quiet, 1))
	assert.Greater(t, o.Named.Share(), 0.9)
}

func TestRateInterval(t *testing.T) {
	// Clopper-Pearson for 10 of 1000 and for none of 300.
	r := NewRate(10, 1000)
	assert.InDelta(t, 0.0048, r.Lo, 1e-4)
	assert.InDelta(t, 0.0183, r.Hi, 1e-4)
	r = NewRate(0, 300)
	assert.Zero(t, r.Lo)
	assert.InDelta(t, 0.0122, r.Hi, 1e-4)
}

// TestRanks names a doubled op, and nothing where nothing changed.
func TestRanks(t *testing.T) {
	s := Scenarios()[0]
	gate := Ranks(compare.NewRanker())
	assert.Greater(t, Judge(50, 3, drawn(s), gate, Slower(Quiet, 1)).Named.Share(), 0.9)
	same := Judge(50, 3, drawn(s), gate, Nothing)
	assert.LessOrEqual(t, same.Blocked.Hits, 1)
	assert.LessOrEqual(t, same.Boots, 32.0)
	assert.GreaterOrEqual(t, same.Boots, 12.0)
	// A recording may have ops of one round.
	assert.Equal(t, []float64{3}, medians([][][]float64{{{3}}}, 0))
	assert.Equal(t, []float64{4}, medians([][][]float64{{{9, 3, 5}}}, 0))
}
