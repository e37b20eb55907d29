package main

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// By hand: boots {0, 2} and {4, 6} and {8, 10} have the means 1, 5, 9, whose
// variance is 16; that of rounds is 2, half of which is in a mean.
func TestSpreadByHand(t *testing.T) {
	s := spreadOf("x", [][]float64{{0, 2}, {4, 6}, {8, 10}})
	assert.InDelta(t, 4, s.mean, 1e-12)
	assert.InDelta(t, math.Sqrt2, s.within, 1e-12)
	assert.InDelta(t, math.Sqrt(15), s.between, 1e-12)
	assert.InDelta(t, -2, s.first, 1e-12)
	s = spreadOf("one round", [][]float64{{1}, {2}, {3}})
	assert.InDelta(t, 1, s.mean, 1e-12)
	assert.InDelta(t, 1, s.between, 1e-12, "all of it, for nothing else is known")
	s = spreadOf("none between", [][]float64{{0, 2}, {2, 0}, {0, 2}})
	assert.Zero(t, s.between)
}

// The spread that boots were made with is found again.
func TestSpreadOfKnownBoots(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var boots [][]float64
	for range 2000 {
		at := 0.05 * rng.NormFloat64()
		b := make([]float64, 2+rng.IntN(4))
		for i := range b {
			b[i] = 10 + at + 0.1*rng.NormFloat64()
		}
		boots = append(boots, b)
	}
	s := spreadOf("x", boots)
	assert.InDelta(t, 0.05, s.between, 0.005)
	assert.InDelta(t, 0.1, s.within, 0.002)
	assert.InDelta(t, 0, s.first, 0.01)
	assert.InDelta(t, 0, s.drift, 0.1, "boots that have nothing to do with each other")

	at := 0.0
	for _, b := range boots {
		at = 0.9*at + 0.05*rng.NormFloat64()
		for i := range b {
			b[i] = at
		}
	}
	assert.InDelta(t, 0.9, spreadOf("drifts", boots).drift, 0.05)
}

// The table has every op, the noisiest first, also where there are too few
// boots for splits.
func TestSpreadTable(t *testing.T) {
	dir := write(t, 6, func(i int, b *boottest.Boot) {
		for round := range b.Find("snapshot/100/list").Values {
			b.Find("snapshot/100/list").Values[round]["ns/op"] = 1e6 * math.Exp(float64(i))
		}
	})
	var out, errs bytes.Buffer
	require.Zero(t, run(context.Background(), []string{"-in", dir, "-splits", "0"}, &out, &errs), errs.String())
	lines := strings.Split(out.String(), "\n")
	require.Greater(t, len(lines), 5)
	assert.Contains(t, lines[1], "6 boots of one build: sd of the logarithm of ns/op")
	assert.Regexp(t, `^│ snapshot/100/list +│ +6 │ 1\.871 +│ 1\.871 +│ 0\.000 +│ \+0\.000`, lines[5])
	assert.Equal(t, 15, strings.Count(out.String(), "│ snapshot/"))
	assert.NotContains(t, out.String(), "splits")
}
