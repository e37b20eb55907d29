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

func TestCanReject(t *testing.T) {
	rk := NewRanker()
	require.NoError(t, DefaultPlan().CanReject(rk, 50))
	for _, k := range []int{3, 5, 7, 8, 10, 12} {
		err := Plan{Looks: []int{k}, Alpha: 0.01}.CanReject(rk, 50)
		var under *UnderpoweredError
		require.ErrorAs(t, err, &under, "%d boots a side", k)
		assert.Greater(t, under.Need, k)
		require.NoError(t, Plan{Looks: []int{under.Need}, Alpha: 0.01}.CanReject(rk, 50))
	}
}

func TestStages(t *testing.T) {
	assert.Equal(t, []int{6, 4, 6}, DefaultPlan().Stages())
}

// noise makes n ops of pure noise in one stage of k boots a side.
func noise(rng *rand.Rand, n, k int) ([]Op, []Stratum) {
	ops, strata := make([]Op, n), make([]Stratum, n)
	for i := range ops {
		ops[i] = Op{Budget: 0.05}
		for range k {
			strata[i].Base = append(strata[i].Base, 0.01*rng.NormFloat64())
			strata[i].Cand = append(strata[i].Cand, 0.01*rng.NormFloat64())
		}
	}
	return ops, strata
}

// once is a single stage.
func once(strata []Stratum) Boots {
	return func(stage int, _ []bool) []Stratum {
		if stage > 0 {
			return nil
		}
		return strata
	}
}

func TestReplayNamesWhatIsSlower(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	ops, strata := noise(rng, 50, 16)
	for i := range strata[17].Cand {
		strata[17].Cand[i] += math.Log(1.3)
		strata[23].Cand[i] -= math.Log(1.3) // an improvement is never named
	}
	plan := Plan{Looks: []int{16}, Alpha: 0.01}
	for i, op := range Replay(plan, NewRanker(), ops, once(strata)).Ops {
		assert.Equal(t, i == 17, op.Regressed, "op %d", i)
		assert.Equal(t, i == 23, op.Improved, "op %d", i)
	}
}

func TestReplaySettles(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	ops, strata := noise(rng, 50, 6)
	for i := range strata[3].Cand {
		strata[3].Cand[i] += math.Log(1.2)
	}
	plan := DefaultPlan()
	plan.Early = nil
	res := Replay(plan, NewRanker(), ops, once(strata))
	for i := range res.Ops {
		assert.Equal(t, i != 3, res.Ops[i].Closed, "op %d", i)
		assert.Equal(t, i == 3, plan.Open(res, i), "op %d", i)
	}
}

// TestReplayMeasuresOnDemand asks for a further stage only of what is open.
func TestReplayMeasuresOnDemand(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	var asked [][]bool
	plan := DefaultPlan()
	plan.Early = nil
	ops, _ := noise(rng, 20, 1)
	res := Replay(plan, NewRanker(), ops, func(stage int, open []bool) []Stratum {
		asked = append(asked, open)
		_, strata := noise(rng, 20, plan.Stages()[stage])
		for i := range strata[3].Cand {
			strata[3].Cand[i] += math.Log(1.2)
		}
		for i, is := range open {
			if !is {
				strata[i] = Stratum{}
			}
		}
		return strata
	})
	assert.Len(t, asked, 3)
	for i := range ops {
		assert.True(t, asked[0][i])
		assert.Equal(t, i == 3, asked[1][i])
		assert.Equal(t, i == 3, res.Ops[i].Regressed)
	}
}

// TestCommonMode shows what it is for: a slow boot counts in no op,
// and one slowed op, or one slowed category, stays as slow as it is.
func TestCommonMode(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	its, strata := noise(rng, 20, 8)
	for i := range its {
		its[i].Group = string(rune('a' + i/5))
	}
	slowed := func(by float64, which func(op, boot int) bool) []Stratum {
		out := make([]Stratum, len(strata))
		for i, s := range strata {
			out[i] = Stratum{Base: s.Base, Cand: slices.Clone(s.Cand)}
			for boot := range s.Cand {
				if which(i, boot) {
					out[i].Cand[boot] += by
				}
			}
		}
		return out
	}
	t.Run("a slow boot", func(t *testing.T) {
		slow := slowed(0.5, func(_, boot int) bool { return boot == 0 })
		for i, s := range removeCommonMode(NewRanker(), its, slow) {
			assert.InDelta(t, 0, s.Cand[0], 0.05)
			assert.InDelta(t, slow[i].Cand[1], s.Cand[1], 0.02)
			assert.Equal(t, strata[i].Cand[1:], slow[i].Cand[1:], "the input is not changed")
		}
	})
	t.Run("a boot that is somewhat slow", func(t *testing.T) {
		slow := slowed(0.05, func(_, boot int) bool { return boot == 0 })
		for i, s := range removeCommonMode(NewRanker(), its, slow) {
			assert.Less(t, s.Cand[0], slow[i].Cand[0])
		}
	})
	t.Run("a slowed op", func(t *testing.T) {
		got := removeCommonMode(NewRanker(), its, slowed(0.5, func(op, _ int) bool { return op == 3 }))
		assert.InDelta(t, 0.5, Shift(got[3:4])-Shift(got[2:3]), 0.2)
	})
	t.Run("a slowed category", func(t *testing.T) {
		got := removeCommonMode(NewRanker(), its, slowed(0.5, func(op, _ int) bool { return op < 5 }))
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
		for _, s := range removeCommonMode(NewRanker(), its, slow) {
			assert.Greater(t, slices.Min(s.Cand), slices.Max(s.Base))
		}
	})
	t.Run("two categories, one of a single op", func(t *testing.T) {
		// The single op is not half of the common movement, however it moves.
		two := make([]Op, len(its))
		for i := range two {
			two[i] = Op{Budget: 0.05, Group: "many"}
		}
		two[19].Group = "single"
		quiet := removeCommonMode(NewRanker(), two, strata)
		got := removeCommonMode(NewRanker(), two, slowed(0.3, func(op, _ int) bool { return op == 19 }))
		for i := range 19 {
			assert.InDelta(t, Shift(quiet[i:i+1]), Shift(got[i:i+1]), 0.005, "op %d", i)
		}
		assert.InDelta(t, 0.3, Shift(got[19:]), 0.05)
		got = removeCommonMode(NewRanker(), two, slowed(0.3, func(op, _ int) bool { return op == 3 }))
		assert.Greater(t, slices.Min(got[3].Cand), slices.Max(got[3].Base))
	})
	t.Run("boots that are the same to the digit", func(t *testing.T) {
		// Most boots alike and a few a little off: the few are many deviations
		// away, which is not to be taken out of a slowed op at its scale.
		alike := slowed(0, func(_, _ int) bool { return false })
		for i := range alike {
			alike[i].Base = slices.Clone(alike[i].Base)
			for boot := range alike[i].Base {
				if boot%4 != 0 {
					alike[i].Base[boot], alike[i].Cand[boot] = 0.0001*float64(boot), 0.0001*float64(boot+1)
				}
			}
			alike[i].Base[4] = 0.01
			alike[i].Cand[4] = -0.01
		}
		for boot := range alike[3].Cand {
			alike[3].Cand[boot] += math.Log(1.3)
		}
		got := removeCommonMode(NewRanker(), its, alike)
		assert.Greater(t, slices.Min(got[3].Cand), slices.Max(got[3].Base))
	})
	few := slowed(0.5, func(_, boot int) bool { return boot == 0 })[:minCommon-1]
	assert.Equal(t, few, removeCommonMode(NewRanker(), its[:minCommon-1], few))
	assert.Empty(t, removeCommonMode(NewRanker(), nil, nil))
}

// TestCommonModeOfValuesNotInLog holds an op that has no logarithms to its
// own scale.
func TestCommonModeOfValuesNotInLog(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	its, strata := noise(rng, 12, 8)
	its[0].Linear = true
	for i := range strata {
		strata[i].Cand[0] += 0.5
	}
	for boot := range strata[0].Base {
		strata[0].Base[boot] *= 1e6
		strata[0].Cand[boot] *= 1e6
	}
	got := removeCommonMode(NewRanker(), its, strata)
	assert.InDelta(t, 0, got[1].Cand[0], 0.05)
	assert.Less(t, got[0].Cand[0], strata[0].Cand[0])
	assert.Greater(t, got[0].Cand[0], 0.0)
}

// TestSettlingNeedsBoots keeps what could not have stayed open from settling:
// two boots a side have no p below 1/6.
func TestSettlingNeedsBoots(t *testing.T) {
	plan := Plan{Looks: []int{2, 16}, Cuts: []float64{0.05}, Alpha: 0.01}
	even := func(base, cand int) Stratum {
		s := Stratum{Base: make([]float64, 6), Cand: make([]float64, 6)}
		for i := base; i < 6; i++ {
			s.Base[i] = math.NaN()
		}
		for i := cand; i < 6; i++ {
			s.Cand[i] = math.NaN()
		}
		return s
	}
	strata := []Stratum{even(2, 2), even(6, 1), even(6, 2), even(6, 6), {}}
	var closed []bool
	for _, op := range Replay(plan, NewRanker(), slices.Repeat([]Op{{Budget: 0.05}}, 5), once(strata)).Ops {
		closed = append(closed, op.Closed)
	}
	assert.Equal(t, []bool{false, false, true, true, false}, closed)
}

// TestReplayStopsForAClearRegression needs no boots beyond the first look for
// twice the time, and names nothing else.
func TestReplayStopsForAClearRegression(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	ops, strata := noise(rng, 50, 6)
	for i := range strata[3].Cand {
		strata[3].Cand[i] += math.Log(2)
	}
	res := Replay(DefaultPlan(), NewRanker(), ops, once(strata))
	assert.True(t, res.Stopped)
	assert.Nil(t, res.Needed)
	for i, op := range res.Ops {
		assert.Equal(t, i == 3, op.Regressed, "op %d", i)
	}
}

// TestImprovedPartNamesNothingElse makes most groups faster: what did not
// change is not slower, although it is beside what the boots have in common.
func TestImprovedPartNamesNothingElse(t *testing.T) {
	t.Parallel()
	for _, faster := range []int{2, 3, 4, 5} {
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 10))
			ops, strata := noise(rng, 48, 16)
			for i := range ops {
				ops[i].Group = string(rune('a' + i/8))
				if i/8 < faster {
					strata[i].Cand = shifted(strata[i].Cand, math.Log(0.7))
				}
			}
			plan := DefaultPlan()
			plan.Looks, plan.Cuts, plan.Early = []int{16}, nil, nil
			res := Replay(plan, NewRanker(), ops, once(strata))
			for i, op := range res.Ops {
				assert.False(t, op.Regressed, "op %d of %d groups faster", i, faster)
			}
		}
	}
}

// TestMovements are members of the family: everything 10 % slower is one
// finding, one slow op is none of its group's.
func TestMovements(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	ops, strata := noise(rng, 20, 16)
	for i := range ops {
		ops[i].Group = string(rune('a' + i/5))
	}
	plan := Plan{Looks: []int{16}, Alpha: 0.0058, Groups: 0.0006, Budget: 0.05}
	regressed := func(by func(op int) float64) (out []string) {
		slow := slices.Clone(strata)
		for i := range slow {
			slow[i].Cand = shifted(strata[i].Cand, by(i))
		}
		for _, m := range Replay(plan, NewRanker(), ops, once(slow)).Movements {
			if m.Regressed {
				out = append(out, m.Group)
			}
		}
		return out
	}
	assert.Equal(t, []string{"a", "b", "c", "d", ""}, regressed(func(int) float64 { return 0.1 }))
	assert.Equal(t, []string{"b"}, regressed(func(op int) float64 { return 0.15 * float64(min(1, max(0, op-4)*max(0, 10-op))) }))
	assert.Empty(t, regressed(func(op int) float64 { return float64(min(1, max(0, op-2)*max(0, 4-op))) }))
}
