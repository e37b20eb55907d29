package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
)

func TestTooFewBoots(t *testing.T) {
	t.Parallel()
	slow := map[string]float64{"disk/seq_read": 1}
	for _, k := range []int{1, 2, 3, 5, 7, 8, 10} {
		d := Gate(judged(t, slowed(6, slow), Options{}, k))
		assert.Equal(t, CannotTell, d.Status, "%d boots", k)
		assert.Regexp(t, `it takes 1[0-9] a side`, fmt.Sprint(d.Reasons), "%d boots", k)
	}
}

// TestFewBootsWithNoMore is the test that 5 to 7 boots a side still allow.
func TestFewBootsWithNoMore(t *testing.T) {
	t.Parallel()
	for _, k := range []int{5, 6, 7} {
		c := judged(t, slowed(7, map[string]float64{"disk/seq_read": 1}), Options{NoMore: true}, k)
		assert.Equal(t, MaxTs, c.Method)
		d := Gate(c)
		assert.Equal(t, Block, d.Status, d.Reasons)
		assert.Len(t, d.Regressions, 1)
		assert.Contains(t, fmt.Sprint(d.Remarks), "few boots: ")
		assert.Equal(t, Pass, Gate(judged(t, boottest.New(7), Options{NoMore: true}, k)).Status)
	}
}

// TestFewBootsThatCannotShow is that few boots do not pass what they could not
// have shown, and say what they could.
func TestFewBootsThatCannotShow(t *testing.T) {
	t.Parallel()
	const op = "snapshot/10/list"
	d := Gate(judged(t, boottest.New(7), Options{NoMore: true}, 5))
	assert.Equal(t, Pass, d.Status, d.Reasons)
	assert.Contains(t, d.Answer(), "so few boots could show")
	assert.Regexp(t, `few boots: 5 and 5\. A slowdown below these would likely have been missed: [0-9.]+ % in the quietest metric`, fmt.Sprint(d.Remarks))

	noisy := boottest.New(7)
	noisy.Boot = 0.4
	d = Gate(judged(t, noisy, Options{NoMore: true}, 5))
	assert.Equal(t, CannotTell, d.Status)
	assert.Contains(t, fmt.Sprint(d.Reasons), "a slowdown of +50.0 % would likely not show")
	assert.NotEmpty(t, d.Plan)

	plan := DefaultPlan()
	plan.Alpha /= 10 // 1 of 252 permutations is more
	d = Gate(judged(t, slowed(7, map[string]float64{op: 1}), Options{NoMore: true, Plan: plan}, 5))
	assert.Equal(t, CannotTell, d.Status)
	assert.Contains(t, fmt.Sprint(d.Reasons), "no p below 0.004, and the gate is at 0.1 %")

	gaps := boottest.New(7)
	gaps.Edit = func(b *boottest.Boot) {
		if b.Mark.Slot == 4 {
			b.Find(op).Values, b.Find(op).Status.Status, b.Find(op).Status.Reason = nil, record.Skipped, "no time"
		}
	}
	c := judged(t, gaps, Options{NoMore: true}, 6)
	d = Gate(c)
	assert.Equal(t, CannotTell, d.Status)
	assert.Contains(t, fmt.Sprint(d.Reasons), "no slowdown up to tenfold would show in these boots: "+op)
	assert.Equal(t, Insensitive, c.find(t, op).Outcome)
}

// TestSkippedInManyBoots slows an op that most new boots skip: no answer may
// say that nothing was seen of it.
func TestSkippedInManyBoots(t *testing.T) {
	t.Parallel()
	const op = "snapshot/10/list"
	skipping := func(n int) *boottest.Maker {
		m := slowed(8, map[string]float64{op: 0.3})
		m.Edit = func(b *boottest.Boot) {
			if b.Side == boottest.Cand && n > 0 {
				n--
				b.Skip(op, "no time")
			}
		}
		return m
	}
	tests := []struct {
		skips  int
		stages []int
		status Status
		reason string
	}{
		{0, []int{16}, Block, op + ": +"},
		{2, []int{16}, Block, op + ": +"},
		{8, []int{16}, Block, op + ": +"},
		{11, []int{16}, CannotTell, op + ": values in 16 of 16 old and 5 of 16 new boots, too few to tell: no time"},
		{13, []int{16}, CannotTell, op + ": values in 16 of 16 old and 3 of 16 new boots, too few to tell: no time"},
		{15, []int{16}, CannotTell, "1 of 16 new boots"},
		{16, []int{16}, Block, op + ": missing: new skipped: no time"},
		{5, []int{6}, CannotTell, "look 1 of 3: open: " + op},
		{6, []int{6, 4}, CannotTell, "look 2 of 3: open: " + op},
		{14, []int{6, 4, 6}, CannotTell, "2 of 16 new boots"},
	}
	for _, tt := range tests {
		c := judged(t, skipping(tt.skips), Options{}, tt.stages...)
		d := Gate(c)
		assert.Equal(t, tt.status, d.Status, "%+v: %v", tt, d.Reasons)
		assert.Contains(t, strings.Join(d.Reasons, "\n"), tt.reason, "%+v", tt)
		for _, f := range c.Judged() {
			if f.Op != op {
				assert.Empty(t, f.TooFewBoots, f.Op)
			}
		}
	}
}

// TestVanishingInManyBoots leaves an op out of most boots without a word.
func TestVanishingInManyBoots(t *testing.T) {
	t.Parallel()
	m := boottest.New(8)
	m.Boot = 0.05
	m.Edit = func(b *boottest.Boot) {
		if b.Mark.Slot > 8 {
			b.Drop("startup/node")
		}
	}
	c := judged(t, m, Options{}, 16)
	assert.Contains(t, c.find(t, "startup/node").Doubts, "new: not in 12 boots that measured its category")
	d := Gate(c)
	assert.Equal(t, CannotTell, d.Status)
	assert.Regexp(t, `startup/node: values in \d of 16 old and \d of 16 new boots, too few to tell`, strings.Join(d.Reasons, "\n"))
}

func TestFewLevel(t *testing.T) {
	t.Parallel()
	for k, want := range map[int]float64{5: 0.01, 6: 0.005, 7: 0.005} {
		c := judged(t, boottest.New(7), Options{NoMore: true}, k)
		assert.Equal(t, MaxTs, c.Method)
		assert.InDelta(t, want, c.alpha, 1e-12)
	}
	assert.InDelta(t, DefaultPlan().Alpha, judged(t, boottest.New(7), Options{}, 16).alpha, 1e-12)
}

// TestSmallestMaxT holds it to what MaxT does: of boots of the same noise, the
// slowdown that it gives is named about four times in five.
func TestSmallestMaxT(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(17, 18))
	const trials, n, k, sd = 60, 15, 5, 0.02
	draw := func() []Stratum {
		ops := make([]Stratum, n)
		for i := range ops {
			for range k {
				ops[i].Base = append(ops[i].Base, sd*rng.NormFloat64())
				ops[i].Cand = append(ops[i].Cand, sd*rng.NormFloat64())
			}
		}
		return ops
	}
	limit, within := slices.Repeat([]float64{math.Log1p(0.05)}, n), slices.Repeat([]float64{mostSlowdown}, n)
	var sizes []float64
	for range 20 {
		sizes = append(sizes, SmallestMaxT(draw(), 0.01, limit, within)...)
	}
	slow := median(sizes)
	named := 0
	for range trials {
		ops := draw()
		ops[3].Cand = shifted(ops[3].Cand, slow)
		if MaxT(ops)[3] <= 0.01 {
			named++
		}
	}
	assert.InDelta(t, 0.8, float64(named)/trials, 0.15, "with a slowdown of %.3f", slow)
	assert.Greater(t, SmallestMaxT(draw(), 0.001, limit, within)[0], within[0], "no permutation is that rare")
	assert.Empty(t, SmallestMaxT(nil, 0.01, nil, nil))
}

// TestSensitivity holds the figure to the plan it is of: normal boots, an op
// slowed by it is named in four of five replays.
func TestSensitivity(t *testing.T) {
	t.Parallel()
	const family, releases = 30, 250
	assert.True(t, math.IsInf(SensitivityOf(Plan{Looks: []int{3}, Alpha: 0.01}, NewRanker(), 50).Smallest(0.01, 0.01, 0, 0.05), 1), "three boots show nothing")
	for _, plan := range []Plan{DefaultPlan(), {Looks: []int{16}, Final: 0.005}, {Looks: []int{16}, Alpha: 0.0058}} {
		for _, sd := range []float64{0.01, 0.1} {
			t.Run(fmt.Sprintf("sd %g, %v at %g", sd, plan.Looks, plan.Final), func(t *testing.T) {
				t.Parallel()
				rk := NewRanker()
				by := SensitivityOf(plan, rk, family).Smallest(sd, sd, 0, math.Log1p(0.05))
				// named reports whether an op slowed by that much is named in more than a share
				// of the releases. It replays no more of them than it takes to know.
				named := func(by, share float64) bool {
					rng := rand.New(rand.NewPCG(3, 4))
					n, enough := 0, share*releases
					for i := range releases {
						if float64(n) > enough || float64(n+releases-i) <= enough {
							break
						}
						res := Replay(plan, rk, slices.Repeat([]Op{{Budget: 0.05}}, family), func(stage int, _ []bool) []Stratum {
							out := make([]Stratum, family)
							for i := range out {
								for range plan.Stages()[stage] {
									out[i].Base = append(out[i].Base, sd*rng.NormFloat64())
									out[i].Cand = append(out[i].Cand, sd*rng.NormFloat64())
								}
							}
							out[0].Cand = shifted(out[0].Cand, by)
							return out
						})
						if res.Ops[0].Regressed {
							n++
						}
					}
					return float64(n) > enough
				}
				// 1.5 points below and above it the power is on either side of 80 %.
				assert.False(t, named(by-0.015, 0.83))
				assert.True(t, named(by+0.015, 0.77))
			})
		}
	}
}

// TestMaxT holds the procedure to what it is for one op, a permutation test,
// and to what it promises for several.
func TestMaxT(t *testing.T) {
	t.Parallel()
	apart := Stratum{Base: []float64{1, 2, 3, 4, 5}, Cand: []float64{6, 7, 8, 9, 10}}
	assert.InDelta(t, 1.0/252, MaxT([]Stratum{apart})[0], 1e-12)
	assert.InDelta(t, 1.0/252, MaxT([]Stratum{apart, apart, apart})[2], 1e-12, "an op that repeats another costs nothing")
	assert.Equal(t, []float64{1}, MaxT([]Stratum{{Base: []float64{1, 1}, Cand: []float64{1, 1}}}))
	assert.Empty(t, MaxT(nil))

	rng := rand.New(rand.NewPCG(15, 16))
	rejected := 0
	const trials = 200
	for range trials {
		ops := make([]Stratum, 20)
		for i := range ops {
			for range 5 {
				ops[i].Base = append(ops[i].Base, rng.NormFloat64())
				ops[i].Cand = append(ops[i].Cand, rng.NormFloat64())
			}
		}
		alone := MaxT(ops[:1])[0]
		all := MaxT(ops)
		assert.GreaterOrEqual(t, all[0], alone-1e-12, "more ops make no op more significant")
		if slices.Min(all) <= 0.05 {
			rejected++
		}
		ops[3].Cand = []float64{101, 102, 103, 104, 105}
		assert.InDelta(t, 1.0/252, MaxT(ops)[3], 1e-12, "far apart is seen among many")
	}
	assert.Less(t, float64(rejected)/trials, 0.10, "5 %% of 20 ops together")
}
