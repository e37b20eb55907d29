package compare

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHolm(t *testing.T) {
	assert.InDeltaSlice(t, []float64{0.03, 0.06, 0.06, 0.02}, Holm([]float64{0.01, 0.04, 0.03, 0.005}), 1e-12)
	assert.Equal(t, []float64{1, 1}, Holm([]float64{1, 1}))
	assert.Empty(t, Holm(nil))
}

func TestCanFire(t *testing.T) {
	rk := NewRanker()
	require.NoError(t, DefaultRule().CanFire(rk, 50))
	for _, k := range []int{3, 5, 7, 8, 10, 12} {
		err := Rule{Looks: []int{k}, Alpha: 0.01}.CanFire(rk, 50)
		var under *UnderpoweredError
		require.ErrorAs(t, err, &under, "%d boots a side", k)
		assert.Greater(t, under.Need, k)
		require.NoError(t, Rule{Looks: []int{under.Need}, Alpha: 0.01}.CanFire(rk, 50))
	}
}

func TestStages(t *testing.T) {
	assert.Equal(t, []int{6, 4, 6}, DefaultRule().Stages())
}

// items makes n ops of pure noise in one stage of k boots a side.
func items(rng *rand.Rand, n, k int) ([]*Item, []Stratum) {
	its, strata := make([]*Item, n), make([]Stratum, n)
	for i := range its {
		its[i] = &Item{Budget: 0.05}
		for range k {
			strata[i].Old = append(strata[i].Old, 0.01*rng.NormFloat64())
			strata[i].New = append(strata[i].New, 0.01*rng.NormFloat64())
		}
	}
	return its, strata
}

func deref(its []*Item) []Item {
	out := make([]Item, len(its))
	for i, it := range its {
		out[i] = *it
	}
	return out
}

func TestConvict(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	its, strata := items(rng, 50, 16)
	for i := range strata[17].New {
		strata[17].New[i] += math.Log(1.3)
		strata[23].New[i] -= math.Log(1.3) // an improvement is never named
	}
	Add(its, strata)
	rule := Rule{Looks: []int{16}, Alpha: 0.01}
	assert.Equal(t, []int{17}, rule.Convict(NewRanker(), deref(its)))
}

func TestSettle(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	its, strata := items(rng, 50, 6)
	for i := range strata[3].New {
		strata[3].New[i] += math.Log(1.2)
	}
	Add(its, strata)
	all := deref(its)
	DefaultRule().Settle(NewRanker(), 0, all)
	for i, it := range all {
		assert.Equal(t, i != 3, it.Closed, "op %d", i)
	}
}

// TestRemoveCommonMode shows what it is for: a slow boot counts in no op,
// and one slowed op stays as slow as it is.
func TestRemoveCommonMode(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	_, strata := items(rng, 20, 8)
	slow := make([]Stratum, len(strata))
	for i, s := range strata {
		slow[i] = Stratum{Old: s.Old, New: append([]float64{s.New[0] + 0.5}, s.New[1:]...)}
	}
	got := RemoveCommonMode(slow)
	for i := range got {
		assert.InDelta(t, 0.5*(1-commonShare), got[i].New[0], 0.15)
		assert.Equal(t, strata[i].New[1:], slow[i].New[1:], "the input is not changed")
	}
	few := RemoveCommonMode(slow[:minCommon-1])
	assert.Equal(t, slow[:minCommon-1], few)
	assert.Empty(t, RemoveCommonMode(nil))
}
