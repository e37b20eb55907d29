package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// blocksOf draws a stage on machines of different speed.
func blocksOf(rng *rand.Rand, sizes ...int) Stratum {
	var s Stratum
	for i, n := range sizes {
		for range n {
			s.Base = append(s.Base, 3*float64(i)+rng.NormFloat64())
			s.Cand = append(s.Cand, 3*float64(i)+rng.NormFloat64())
		}
		s.Blocks = append(s.Blocks, [2]int{n, n})
	}
	return s
}

// The p-value of blocks is the share of all ways to permute labels inside them
// whose sum of aligned ranks is as large.
func TestBlockedPByEnumeration(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for range 20 {
		s := blocksOf(rng, 2, 1, 2)
		stages := blockStages(s, 0)
		var observed int64
		for _, st := range stages {
			observed += st.sum
		}
		hits, all := 0, 0
		var try func(block int, sum int64)
		try = func(block int, sum int64) {
			if block == len(stages) {
				if all++; sum >= observed {
					hits++
				}
				return
			}
			st := stages[block]
			subsets(len(st.ranks), st.n, func(chosen []int) {
				more := sum
				for _, k := range chosen {
					more += st.ranks[k]
				}
				try(block+1, more)
			})
		}
		try(0, 0)
		require.Equal(t, 6*2*6, all)
		assert.InDelta(t, float64(hits)/float64(all), NewRanker().P([]Stratum{s}, 0), 1e-12)
	}
}

// Vectors: pairs that all point the same way are 1 of 2^n; on machines of two
// pairs 1 of 6^n.
func TestBlockedPVectors(t *testing.T) {
	rk := NewRanker()
	apart := func(sizes ...int) []Stratum {
		var s Stratum
		for i, n := range sizes {
			for k := range n {
				s.Base, s.Cand = append(s.Base, 100*float64(i)+float64(k)), append(s.Cand, 100*float64(i)+10+float64(k))
			}
			s.Blocks = append(s.Blocks, [2]int{n, n})
		}
		return []Stratum{s}
	}
	assert.InDelta(t, 1.0/32, rk.P(apart(1, 1, 1, 1, 1), 0), 1e-12)
	assert.InDelta(t, 1.0/216, rk.P(apart(2, 2, 2), 0), 1e-12)
	assert.InDelta(t, 1.0/216, MinP(sizes(apart(2, 2, 2))...), 1e-12)
	// What a machine's speed is does not matter.
	s := blocksOf(rand.New(rand.NewPCG(1, 2)), 2, 3, 2)
	p := rk.P([]Stratum{s}, 0)
	moved := Stratum{Base: slices.Clone(s.Base), Cand: slices.Clone(s.Cand), Blocks: s.Blocks}
	moved.each(func(block int, base, cand []float64) {
		for i := range base {
			base[i] += 7 * float64(block*block)
			cand[i] += 7 * float64(block*block)
		}
	})
	assert.InDelta(t, p, rk.P([]Stratum{moved}, 0), 1e-12)
	assert.InDelta(t, Shift([]Stratum{s.aligned()}), Shift([]Stratum{moved.aligned()}), 1e-9)
}

// With many boots the distribution is taken for normal: it agrees with the exact
// one where both are made.
func TestBlockedPNormal(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	rk := NewRanker()
	s := blocksOf(rng, slices.Repeat([]int{3}, 10)...)
	for _, by := range []float64{0, 0.3, 0.6} {
		exact := rk.blockedPWithin([]Stratum{s}, -by, math.MaxInt64)
		assert.InEpsilon(t, exact, rk.blockedPWithin([]Stratum{s}, -by, 0), 0.25)
	}
}

// Intervals cover the truth as often as they say.
func TestBlockedIntervalCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	rk := NewRanker()
	const trials, truth = 400, 0.7
	covered := 0
	for range trials {
		s := blocksOf(rng, 2, 2, 2, 2)
		s.Cand = shifted(s.Cand, truth)
		shift, lo, hi := rk.Interval([]Stratum{s.aligned()}, 0.95)
		require.True(t, lo <= shift && shift <= hi, "%g %g %g", lo, shift, hi)
		if lo <= truth && truth <= hi {
			covered++
		}
	}
	assert.InDelta(t, 0.955, float64(covered)/trials, 0.03)
}

func TestBlocksOf(t *testing.T) {
	for _, tt := range []struct {
		pairs, machines int
		want            []int
	}{
		{6, 0, []int{6}}, {6, 1, []int{6}}, {6, 5, []int{2, 2, 2}}, {7, 3, []int{2, 2, 3}}, {1, 9, []int{1}}, {3, 2, []int{3}}, {8, 3, []int{2, 3, 3}},
	} {
		assert.Equal(t, tt.want, BlocksOf(tt.pairs, tt.machines), "%v", tt)
	}
}

// A plan over machines that could never reject is refused with the boots that it
// takes, which do.
func TestBlocksCanReject(t *testing.T) {
	rk := NewRanker()
	for _, machines := range []int{2, 5, 20} {
		assert.NoError(t, FleetPlan(machines).CanReject(rk, 50), machines)
	}
	plan := FleetPlan(5)
	plan.Looks = []int{8}
	var under *UnderpoweredError
	require.ErrorAs(t, plan.CanReject(rk, 50), &under)
	plan.Looks = []int{under.Need}
	assert.NoError(t, plan.CanReject(rk, 50))
}

// fleetOf judges boots on machines of different speed, pairs in turn.
func fleetOf(t *testing.T, machines int, edit func(b *boottest.Boot, machine int)) *Comparison {
	t.Helper()
	m := boottest.New(4)
	m.Edit = func(b *boottest.Boot) {
		machine := (b.Mark.Slot - 1) / 4 % machines
		b.Mark.Machine = fmt.Sprint("node", machine+1)
		for _, op := range b.Ops {
			for _, v := range op.Values {
				for u := range v {
					v[u] *= 1 + float64(machine)/2
				}
			}
		}
		edit(b, machine)
	}
	dir := t.TempDir()
	require.NoError(t, m.Write(dir, 20))
	side := func(name string) *Side {
		files, err := filepath.Glob(filepath.Join(dir, name, record.BootFiles))
		require.NoError(t, err)
		s := &Side{Name: name}
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			boots, _, err := ParseBoots(text, file)
			require.NoError(t, err)
			s.Boots = append(s.Boots, boots...)
		}
		return s
	}
	plan, err := PlanOf([]int{20})
	require.NoError(t, err)
	c, err := Judge(side(boottest.Base), side(boottest.Cand), Options{Plan: plan})
	require.NoError(t, err)
	return c
}

// What differs between machines, in speed, architecture or processor, is no
// difference between the sides.
func TestMachinesAreNoDifference(t *testing.T) {
	c := fleetOf(t, 4, func(b *boottest.Boot, machine int) {
		b.Run.Arch, b.Run.CPU = []string{"x86_64", "aarch64"}[machine%2], fmt.Sprint("cpu", machine)
	})
	assert.Equal(t, 4, c.Machines)
	assert.Empty(t, c.Differences)
	assert.Equal(t, Interleaved, c.Order.Interleaving, c.Order.Reason)
	assert.Equal(t, Pass, Gate(c).Status)
}

// What differs between the sides on one machine is one.
func TestDifferenceOnOneMachine(t *testing.T) {
	c := fleetOf(t, 4, func(b *boottest.Boot, machine int) {
		if machine == 2 && b.Side == boottest.Cand {
			b.Run.Arch = "aarch64"
		}
	})
	require.NotEmpty(t, c.Refused())
	assert.Equal(t, "arch x86_64 against arm64, on node3", c.Refused()[0].Text)
}

// An op that is slower on machines of one architecture is said to be so.
func TestSlowerOnSomeMachines(t *testing.T) {
	c := fleetOf(t, 5, func(b *boottest.Boot, machine int) {
		if machine < 3 {
			b.Run.Arch = "aarch64"
		}
		if machine < 3 && b.Side == boottest.Cand {
			for _, v := range b.Find("disk/seq_write").Values {
				for u := range v {
					v[u] *= 1.5
				}
				v["B/s"] /= 1.5 * 1.5
			}
		}
	})
	d := Gate(c)
	require.Equal(t, Block, d.Status)
	require.Len(t, d.Regressions, 1)
	assert.Contains(t, d.Regressions[0].Doubts, "slower on 3 of 5 machines: arm64")
}

// An op that too few boots of a fleet measured is told from one that enough
// did by the test that tells whether a plan of a fleet can reject: ranks over
// all machines of a stage.
func TestTooFewBootsOfAFleet(t *testing.T) {
	const op = "disk/seq_write"
	for _, tt := range []struct {
		skips int
		few   bool
	}{{0, false}, {6, false}, {13, true}, {17, true}} {
		skips := tt.skips
		c := fleetOf(t, 4, func(b *boottest.Boot, _ int) {
			switch {
			case b.Side == boottest.Cand && skips > 0:
				skips--
				b.Skip(op, "no space")
			case b.Side == boottest.Cand:
				for _, v := range b.Find(op).Values {
					v["B/s"] /= 1.3
				}
			}
		})
		f := c.find(t, op)
		assert.Equal(t, tt.few, f.TooFewBoots != "", "%d skipped: %s", tt.skips, f.TooFewBoots)
	}
}

// Boots that ran one side after the other on a machine prove nothing, whatever
// ran elsewhere meanwhile.
func TestOrderIsThatOfEachMachine(t *testing.T) {
	on := func(slot int, time float64, machine string) Boot {
		b := at("b", slot, time)
		b.Boot.Machine = machine
		return b
	}
	base := []Boot{on(1, 10, "a"), on(3, 11, "b"), on(6, 40, "a"), on(7, 30, "b")}
	cand := []Boot{on(2, 20, "a"), on(4, 21, "b"), on(5, 30, "a"), on(8, 40, "b")}
	assert.Equal(t, Order{Interleaved, ""}, orderOf(base, cand))
	base = []Boot{on(1, 10, "a"), on(3, 11, "a"), on(5, 50, "b"), on(7, 60, "b")}
	cand = []Boot{on(2, 20, "a"), on(4, 21, "a"), on(6, 30, "b"), on(8, 40, "b")}
	assert.Equal(t, Sequential, orderOf(base, cand).Interleaving)
	assert.Contains(t, orderOf(base, cand).Reason, "on a, after boot 3 one side had run 2 boots more")
}
