package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/boottest"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
)

func TestTooFewBoots(t *testing.T) {
	slow := map[string]float64{"disk/seq_read": 1}
	for _, k := range []int{1, 2, 3, 5, 7, 8, 10} {
		d := Gate(judged(t, slowed(6, slow), Options{}, k))
		assert.Equal(t, CannotTell, d.Status, "%d boots", k)
		assert.Regexp(t, `needs 1[0-9] boots a side`, fmt.Sprint(d.Reasons), "%d boots", k)
	}
}

func TestFewBootsWithNoMore(t *testing.T) {
	for _, k := range []int{5, 6, 7} {
		c := judged(t, slowed(7, map[string]float64{"disk/seq_read": 1}), Options{NoMore: true}, k)
		assert.Equal(t, MaxTs, c.Method)
		d := Gate(c)
		assert.Equal(t, Block, d.Status, d.Reasons)
		assert.Len(t, d.Regressions, 1)
		assert.Contains(t, fmt.Sprint(d.Remarks), "maxT")
		assert.Equal(t, Pass, Gate(judged(t, boottest.New(7), Options{NoMore: true}, k)).Status)
	}
}

func TestFewBootsThatCannotShow(t *testing.T) {
	const op = "snapshot/10/list"
	d := Gate(judged(t, boottest.New(7), Options{NoMore: true}, 5))
	assert.Equal(t, Pass, d.Status, d.Reasons)
	assert.Contains(t, d.Answer(), "so few boots could show")
	assert.Regexp(t, `smallest p with 5 and 5 boots is 0\.004; with 80 % power they show one op slower by \+[0-9.]+ %`, fmt.Sprint(d.Remarks))

	noisy := boottest.New(7)
	noisy.Boot = 0.4
	d = Gate(judged(t, noisy, Options{NoMore: true}, 5))
	assert.Equal(t, CannotTell, d.Status)
	assert.Contains(t, fmt.Sprint(d.Reasons), "a slowdown of +50.0 % would likely not show")
	assert.NotEmpty(t, d.Plan)

	rule := DefaultRule()
	rule.Alpha = 0.001 // 1 of 252 deals is more
	d = Gate(judged(t, slowed(7, map[string]float64{op: 1}), Options{NoMore: true, Rule: rule}, 5))
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
		{12, []int{16}, Block, op + ": +"}, // 4 are enough, as it happens
		{13, []int{16}, CannotTell, op + ": values in 16 of 16 old and 3 of 16 new boots, too few to convict it: no time"},
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
				assert.Empty(t, f.Thin, f.Op)
			}
		}
	}
}

// TestVanishingInManyBoots leaves an op out of most boots without a word.
func TestVanishingInManyBoots(t *testing.T) {
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
	assert.Regexp(t, `startup/node: values in \d of 16 old and \d of 16 new boots, too few to convict it`, strings.Join(d.Reasons, "\n"))
}

func TestFewLevel(t *testing.T) {
	for k, want := range map[int]float64{5: 0.01, 6: 0.005, 7: 0.005} {
		c := judged(t, boottest.New(7), Options{NoMore: true}, k)
		assert.Equal(t, MaxTs, c.Method)
		assert.InDelta(t, want, c.alpha, 1e-12)
	}
	assert.InDelta(t, 0.01, judged(t, boottest.New(7), Options{}, 16).alpha, 1e-12)
}

func TestSmallestMaxT(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	const trials, n, k, sd = 60, 15, 5, 0.02
	draw := func() []Stratum {
		ops := make([]Stratum, n)
		for i := range ops {
			for range k {
				ops[i].Old = append(ops[i].Old, sd*rng.NormFloat64())
				ops[i].New = append(ops[i].New, sd*rng.NormFloat64())
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
		ops[3].New = shifted(ops[3].New, slow)
		if MaxT(ops)[3] <= 0.01 {
			named++
		}
	}
	assert.InDelta(t, 0.8, float64(named)/trials, 0.15, "with a slowdown of %.3f", slow)
	assert.Greater(t, SmallestMaxT(draw(), 0.001, limit, within)[0], within[0], "no deal is that rare")
	assert.Empty(t, SmallestMaxT(nil, 0.01, nil, nil))
}

func TestSmallest(t *testing.T) {
	assert.True(t, math.IsInf(Smallest(0.01, [][2]int{{3, 3}}, 0.0002, 0.05), 1), "three boots show nothing")
	// Measured with the simulator, by sd between boots.
	for sd, want := range map[float64]float64{0.01: 0.058, 0.02: 0.065, 0.03: 0.076, 0.054: 0.117, 0.108: 0.243} {
		got := Smallest(sd, [][2]int{{16, 16}}, 0.01/50, 0.05)
		assert.InEpsilon(t, want, got, 0.20, "sd %g", sd)
	}
}

func TestMaxT(t *testing.T) {
	apart := Stratum{Old: []float64{1, 2, 3, 4, 5}, New: []float64{6, 7, 8, 9, 10}}
	assert.InDelta(t, 1.0/252, MaxT([]Stratum{apart})[0], 1e-12)
	assert.InDelta(t, 1.0/252, MaxT([]Stratum{apart, apart, apart})[2], 1e-12, "an op that repeats another costs nothing")
	assert.Equal(t, []float64{1}, MaxT([]Stratum{{Old: []float64{1, 1}, New: []float64{1, 1}}}))
	assert.Empty(t, MaxT(nil))

	rng := rand.New(rand.NewPCG(15, 16))
	rejected := 0
	const trials = 200
	for range trials {
		ops := make([]Stratum, 20)
		for i := range ops {
			for range 5 {
				ops[i].Old = append(ops[i].Old, rng.NormFloat64())
				ops[i].New = append(ops[i].New, rng.NormFloat64())
			}
		}
		alone := MaxT(ops[:1])[0]
		all := MaxT(ops)
		assert.GreaterOrEqual(t, all[0], alone-1e-12, "more ops make no op more significant")
		if slices.Min(all) <= 0.05 {
			rejected++
		}
		ops[3].New = []float64{101, 102, 103, 104, 105}
		assert.InDelta(t, 1.0/252, MaxT(ops)[3], 1e-12, "far apart is seen among many")
	}
	assert.Less(t, float64(rejected)/trials, 0.10, "5 %% of 20 ops together")
}
