package compare

import (
	"math"
	"math/rand/v2"
	"slices"
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
// and one slowed op, or one slowed category, stays as slow as it is.
func TestRemoveCommonMode(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	its, strata := items(rng, 20, 8)
	for i := range its {
		its[i].Group = string(rune('a' + i/5))
	}
	slowed := func(by float64, which func(op, boot int) bool) []Stratum {
		out := make([]Stratum, len(strata))
		for i, s := range strata {
			out[i] = Stratum{Old: s.Old, New: slices.Clone(s.New)}
			for boot := range s.New {
				if which(i, boot) {
					out[i].New[boot] += by
				}
			}
		}
		return out
	}
	t.Run("a slow boot", func(t *testing.T) {
		slow := slowed(0.5, func(_, boot int) bool { return boot == 0 })
		for i, s := range RemoveCommonMode(its, slow) {
			assert.InDelta(t, 0, s.New[0], 0.05)
			assert.InDelta(t, slow[i].New[1], s.New[1], 0.02)
			assert.Equal(t, strata[i].New[1:], slow[i].New[1:], "the input is not changed")
		}
	})
	t.Run("a boot that is somewhat slow", func(t *testing.T) {
		slow := slowed(0.05, func(_, boot int) bool { return boot == 0 })
		for i, s := range RemoveCommonMode(its, slow) {
			assert.Less(t, s.New[0], slow[i].New[0])
		}
	})
	t.Run("a slowed op", func(t *testing.T) {
		got := RemoveCommonMode(its, slowed(0.5, func(op, _ int) bool { return op == 3 }))
		assert.InDelta(t, 0.5, Shift(got[3:4])-Shift(got[2:3]), 0.2)
	})
	t.Run("a slowed category", func(t *testing.T) {
		got := RemoveCommonMode(its, slowed(0.5, func(op, _ int) bool { return op < 5 }))
		for i := range 5 {
			assert.InDelta(t, 0.5, Shift(got[i:i+1]), 0.2)
		}
		for i := 5; i < 20; i++ {
			assert.InDelta(t, 0, Shift(got[i:i+1]), 0.03)
		}
	})
	t.Run("a slowed category alone", func(t *testing.T) {
		// In a later stage only the open category is measured: its slowdown is
		// then the common movement. It is not to be taken for slow boots.
		slow := slowed(1, func(_, _ int) bool { return true })
		for _, s := range RemoveCommonMode(its, slow) {
			assert.Greater(t, slices.Min(s.New), slices.Max(s.Old))
		}
	})
	t.Run("two categories, one of a single op", func(t *testing.T) {
		// The single op is not half of the common movement, however it moves.
		two := make([]*Item, len(its))
		for i := range two {
			two[i] = &Item{Budget: 0.05, Group: "many"}
		}
		two[19].Group = "single"
		quiet := RemoveCommonMode(two, strata)
		got := RemoveCommonMode(two, slowed(0.3, func(op, _ int) bool { return op == 19 }))
		for i := range 19 {
			assert.InDelta(t, Shift(quiet[i:i+1]), Shift(got[i:i+1]), 0.005, "op %d", i)
		}
		assert.InDelta(t, 0.3, Shift(got[19:]), 0.05)
		got = RemoveCommonMode(two, slowed(0.3, func(op, _ int) bool { return op == 3 }))
		assert.Greater(t, slices.Min(got[3].New), slices.Max(got[3].Old))
	})
	t.Run("boots that are the same to the digit", func(t *testing.T) {
		// Most boots alike and a few a little off: the few are many deviations
		// away, which is not to be taken out of a slowed op at its scale.
		alike := slowed(0, func(_, _ int) bool { return false })
		for i := range alike {
			alike[i].Old = slices.Clone(alike[i].Old)
			for boot := range alike[i].Old {
				if boot%4 != 0 {
					alike[i].Old[boot], alike[i].New[boot] = 0.0001*float64(boot), 0.0001*float64(boot+1)
				}
			}
			alike[i].Old[4] = 0.01
			alike[i].New[4] = -0.01
		}
		for boot := range alike[3].New {
			alike[3].New[boot] += math.Log(1.3)
		}
		got := RemoveCommonMode(its, alike)
		assert.Greater(t, slices.Min(got[3].New), slices.Max(got[3].Old))
	})
	few := slowed(0.5, func(_, boot int) bool { return boot == 0 })[:minCommon-1]
	assert.Equal(t, few, RemoveCommonMode(its[:minCommon-1], few))
	assert.Empty(t, RemoveCommonMode(nil, nil))
}

// TestCommonModeOfValuesNotInLog holds an op that has no logarithms to its
// own scale.
func TestCommonModeOfValuesNotInLog(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	its, strata := items(rng, 12, 8)
	its[0].Linear = true
	for i := range strata {
		strata[i].New[0] += 0.5
	}
	for boot := range strata[0].Old {
		strata[0].Old[boot] *= 1e6
		strata[0].New[boot] *= 1e6
	}
	got := RemoveCommonMode(its, strata)
	assert.InDelta(t, 0, got[1].New[0], 0.05)
	assert.Less(t, got[0].New[0], strata[0].New[0])
	assert.Greater(t, got[0].New[0], 0.0)
}

// TestSettleNeedsBoots keeps what could not have stayed open from settling:
// two boots a side have no p below 1/6.
func TestSettleNeedsBoots(t *testing.T) {
	rule := Rule{Looks: []int{2, 16}, Cuts: []float64{0.05}, Alpha: 0.01}
	even := func(old, new int) Item {
		s := Stratum{Old: make([]float64, old), New: make([]float64, new)}
		return Item{Strata: []Stratum{s}, Tested: []Stratum{s}, Budget: 0.05}
	}
	items := []Item{even(2, 2), even(6, 1), even(6, 2), even(6, 6), {Budget: 0.05}}
	rule.Settle(NewRanker(), 0, items)
	var closed []bool
	for _, it := range items {
		closed = append(closed, it.Closed)
	}
	assert.Equal(t, []bool{false, false, true, true, false}, closed)
}
