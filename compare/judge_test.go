package compare

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sides makes both sides of a comparison.
func sides(t testing.TB, m *boottest.Maker, boots ...int) (base, cand *Side) {
	t.Helper()
	b, c := m.Stages(boots...)
	return side(t, b), side(t, c)
}

func side(t testing.TB, boots []*boottest.Boot) *Side {
	t.Helper()
	s := &Side{Name: boots[0].Side}
	for i, b := range boots {
		got, _, err := ReadBoots(bytes.NewReader(b.Text()), fmt.Sprintf("%s-%02d.txt", s.Name, i+1))
		require.NoError(t, err)
		require.Len(t, got, 1)
		s.Boots = append(s.Boots, got...)
	}
	return s
}

func judged(t testing.TB, m *boottest.Maker, opt Options, boots ...int) *Comparison {
	t.Helper()
	base, cand := sides(t, m, boots...)
	c, err := Judge(base, cand, opt)
	require.NoError(t, err)
	return c
}

// slowed is a Maker whose new build is slower in some ops.
func slowed(seed uint64, slow map[string]float64) *boottest.Maker {
	m := boottest.New(seed)
	m.Slow = slow
	return m
}

// edited is a Maker whose new build's boots are changed.
func edited(seed uint64, edit func(*boottest.Boot)) *boottest.Maker {
	m := boottest.New(seed)
	m.Edit = func(b *boottest.Boot) {
		if b.Side == boottest.Cand {
			edit(b)
		}
	}
	return m
}

func (c *Comparison) find(t testing.TB, key string) *Finding {
	t.Helper()
	i := slices.IndexFunc(c.Findings, func(f *Finding) bool { return f.Key() == key })
	require.GreaterOrEqual(t, i, 0, key)
	return c.Findings[i]
}

func TestJudgeNamesTheSlowedOp(t *testing.T) {
	t.Parallel()
	c := judged(t, slowed(1, map[string]float64{"disk/seq_read": 0.3, "startup/node": -0.25}), Options{}, 16)
	assert.Equal(t, Interleaved, c.Order.Interleaving, c.Order.Reason)
	require.NoError(t, c.Power)
	assert.Equal(t, 29, c.Ops, "http counts twice")
	for _, f := range c.Judged() {
		want := []Verdict{Same, Unsure}
		switch f.Op {
		case "disk/seq_read":
			want = []Verdict{Slower}
			change, lo, hi, ok := f.Change()
			assert.True(t, ok)
			assert.InDelta(t, 1/1.3-1, change, 0.01, "B/s falls")
			assert.True(t, lo < change && change < hi)
		case "startup/node":
			want = []Verdict{Faster}
		}
		assert.Contains(t, want, f.Verdict, f.Key())
	}
	d := Gate(c)
	assert.Equal(t, Block, d.Status, d.Reasons)
	require.Len(t, d.Regressions, 1)
	assert.Equal(t, "disk/seq_read", d.Regressions[0].Op)
	assert.Contains(t, d.Reasons[0], "95 % interval")
	assert.Equal(t, Improved, c.find(t, "startup/node").Outcome)
}

func TestGatePassesTheSameBuild(t *testing.T) {
	t.Parallel()
	for _, boots := range [][]int{{16}, {6}, {6, 4, 6}} {
		d := Gate(judged(t, boottest.New(2), Options{}, boots...))
		assert.Equal(t, Pass, d.Status, "%v: %v", boots, d.Reasons)
	}
}

// TestVerdicts is what becomes of ops that have no values to compare.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	const op = "snapshot/100/list"
	tests := []struct {
		name   string
		m      *boottest.Maker
		want   Verdict
		status Status
		reason string
	}{
		{"vanished", edited(1, func(b *boottest.Boot) { b.Drop(op) }), Missing, Block, "new does not have it"},
		{"expected and not seen", edited(1, func(b *boottest.Boot) {
			b.Find(op).Values, b.Find(op).Status.Op = nil, "Throughput"
		}), Missing, Block, "expected, but the run has no result of it"},
		{"failed", edited(1, func(b *boottest.Boot) { b.Fail(op, "exit status 1") }), Failed, Block, "exit status 1"},
		{"failed in one boot", edited(1, func(b *boottest.Boot) {
			if b.Mark.Slot > 30 {
				b.Fail(op, "exit status 1")
			}
		}), Failed, Block, "exit status 1"},
		{"invalid", edited(1, func(b *boottest.Boot) { b.Find(op).Status.Status = record.Invalid }), Failed, Block, "invalid"},
		{"skipped", edited(1, func(b *boottest.Boot) {
			b.Find(op).Values, b.Find(op).Status.Status, b.Find(op).Status.Reason = nil, record.Skipped, "no snapshots in PATH"
		}), Missing, Block, "no snapshots in PATH"},
		{"no number", edited(1, func(b *boottest.Boot) { b.Find(op).Values[1]["ns/op"] = math.NaN() }), Failed, Block, "not a number"},
		{"other work", edited(1, func(b *boottest.Boot) {
			b.Find(op).Name = "Snapshot/files=100/op=list/size=8"
			b.Find(op).Status.Op = b.Find(op).Name
		}), NotComparable, CannotTell, "workload"},
		{"warm", edited(1, func(b *boottest.Boot) { b.Find("disk/seq_read").Status.Cache = record.CacheWarm }), Unsure, CannotTell, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := judged(t, tt.m, Options{}, 16)
			d := Gate(c)
			assert.Equal(t, tt.status, d.Status, d.Reasons)
			if tt.name == "warm" {
				assert.Equal(t, NotComparable, c.find(t, "disk/seq_read").Verdict)
				return
			}
			f := c.find(t, op)
			assert.Equal(t, tt.want, f.Verdict)
			assert.Contains(t, f.Reason, tt.reason)
		})
	}
}

func TestOldSideOfVerdicts(t *testing.T) {
	t.Parallel()
	base := func(edit func(*boottest.Boot)) *boottest.Maker {
		m := boottest.New(3)
		m.Edit = func(b *boottest.Boot) {
			if b.Side == boottest.Base {
				edit(b)
			}
		}
		return m
	}
	c := judged(t, base(func(b *boottest.Boot) { b.Drop("startup/codex") }), Options{}, 16)
	assert.Equal(t, New, c.find(t, "startup/codex").Verdict)
	assert.Equal(t, Pass, Gate(c).Status)

	// What old skipped, new cannot have lost.
	skipping := boottest.New(3)
	skipping.Edit = func(b *boottest.Boot) {
		if b.Side == boottest.Base {
			b.Skip("startup/codex", "no codex in PATH")
		} else {
			b.Drop("startup/codex")
		}
	}
	c = judged(t, skipping, Options{}, 16)
	f := c.find(t, "startup/codex")
	assert.Equal(t, Skipped, f.Verdict)
	assert.Equal(t, "old: no codex in PATH; new does not have it", f.Reason)
	assert.Equal(t, Pass, Gate(c).Status)
	assert.Equal(t, CannotTell, Gate(judged(t, skipping, Options{Policy: requiring("startup/codex")}, 16)).Status)

	c = judged(t, base(func(b *boottest.Boot) { b.Fail("http/get", "45 of 50 requests failed") }), Options{}, 16)
	assert.Equal(t, Failed, c.find(t, "http/get req/s").Verdict)
	d := Gate(c)
	assert.Equal(t, CannotTell, d.Status, "an improvement does not block, and there is nothing to compare with")
	assert.Contains(t, d.Reasons[0], "45 of 50 requests failed")
}

// requiring is the default policy with ops that have to be measured.
func requiring(ops ...string) *Policy {
	p := DefaultPolicy()
	p.Required = ops
	return p
}

func TestRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		what string
		edit func(*boottest.Boot)
		vary []string
		want Weight
	}{
		{"arch", func(b *boottest.Boot) { b.Run.Arch = "aarch64" }, nil, Refuses},
		{"accel", func(b *boottest.Boot) { b.Run.Accel = "tcg" }, nil, Refuses},
		{"image", func(b *boottest.Boot) { b.Run.Image = "sha256:bb" }, nil, Refuses},
		{"image", func(b *boottest.Boot) { b.Run.Image = "sha256:bb" }, []string{"image"}, Doubts},
		{"image", func(b *boottest.Boot) { b.Run.Image = "" }, nil, RefusesGate},
		{"cpu", func(b *boottest.Boot) { b.Run.CPU = "another" }, nil, RefusesGate},
		{"cpus", func(b *boottest.Boot) { b.Run.CPUs = 4 }, nil, RefusesGate},
		{"memory", func(b *boottest.Boot) { b.Run.MemoryBytes *= 2 }, nil, RefusesGate},
		{"kernel", func(b *boottest.Boot) { b.Run.Kernel = "6.13" }, nil, Doubts},
		{"machine", func(b *boottest.Boot) {
			b.Machine = []record.Machine{{Type: record.TypeMachine, Unfit: []string{"load 9"}}}
		}, nil, RefusesGate},
		{"machine", func(b *boottest.Boot) {
			b.Machine = []record.Machine{{Type: record.TypeMachine, Unfit: []string{"load 9"}}}
		}, []string{"machine"}, Doubts},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.what, tt.want), func(t *testing.T) {
			t.Parallel()
			c := judged(t, edited(4, tt.edit), Options{Vary: tt.vary}, 16)
			require.Len(t, c.Differences, 1)
			assert.Equal(t, tt.what, c.Differences[0].What)
			assert.Equal(t, tt.want, c.Differences[0].Weight)
			d := Gate(c)
			if tt.want == Doubts {
				assert.Equal(t, Pass, d.Status, d.Reasons)
				return
			}
			assert.Equal(t, CannotTell, d.Status)
			if tt.want == Refuses {
				assert.Equal(t, NotComparable, c.Findings[0].Verdict)
				forced := judged(t, edited(4, tt.edit), Options{Force: true}, 16)
				assert.True(t, forced.Forced)
				for _, f := range forced.Judged() {
					assert.True(t, f.Forced, f.Key())
				}
				assert.Equal(t, CannotTell, Gate(forced).Status)
			}
		})
	}
}

// TestOrder is that only boots which are known to have alternated block.
func TestOrder(t *testing.T) {
	t.Parallel()
	slow := map[string]float64{"disk/seq_read": 0.5}
	sequential := slowed(5, slow)
	sequential.Sequential = true
	unmarked := slowed(5, slow)
	unmarked.Edit = func(b *boottest.Boot) { b.Mark = nil }
	twice := slowed(5, slow)
	twice.Edit = func(b *boottest.Boot) { b.Mark.Slot = (b.Mark.Slot + 1) / 2 }
	backwards := slowed(5, slow)
	backwards.Edit = func(b *boottest.Boot) { b.Mark.Time = 1.8e9 - b.Mark.Time }
	for name, tt := range map[string]struct {
		m    *boottest.Maker
		want Interleaving
	}{
		"old first":    {sequential, Sequential},
		"no boot line": {unmarked, Unproven},
		"same slot":    {twice, Unproven},
		"by the clock": {backwards, Unproven},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := judged(t, tt.m, Options{}, 16)
			assert.Equal(t, tt.want, c.Order.Interleaving)
			assert.NotEmpty(t, c.Order.Reason)
			assert.Equal(t, Slower, c.find(t, "disk/seq_read").Verdict, "compare may say so")
			d := Gate(c)
			assert.Equal(t, CannotTell, d.Status)
			assert.Contains(t, fmt.Sprint(d.Reasons), "to be measured again: disk/seq_read")
			assert.Contains(t, fmt.Sprint(d.Plan), "capsem-bench ab")
			assert.Empty(t, d.Regressions)
		})
	}
}

// TestLooks is the adaptive procedure: an open op asks for its category, and
// what a look settled stays settled.
func TestLooks(t *testing.T) {
	t.Parallel()
	m := slowed(8, map[string]float64{"startup/node": 0.3})
	first, second := m.Stages(6)
	base, cand := side(t, first), side(t, second)
	plan := DefaultPlan()
	plan.Early = nil // or the first look would stop for it
	c, err := Judge(base, cand, Options{Plan: plan})
	require.NoError(t, err)
	assert.Equal(t, []catalogue.Category{catalogue.Startup}, c.Open())
	assert.Equal(t, [2]int{1, 3}, [2]int{c.Looked, c.Looks})
	d := Gate(c)
	assert.Equal(t, CannotTell, d.Status)
	assert.Contains(t, fmt.Sprint(d.Plan), "measure startup further")
	for stage, k := range []int{4, 6} {
		for range k {
			base.Boots = append(base.Boots, side(t, []*boottest.Boot{m.Next(boottest.Base, stage+2, catalogue.Startup)}).Boots...)
			cand.Boots = append(cand.Boots, side(t, []*boottest.Boot{m.Next(boottest.Cand, stage+2, catalogue.Startup)}).Boots...)
		}
	}
	c, err = Judge(base, cand, Options{Plan: plan})
	require.NoError(t, err)
	assert.True(t, c.Settled())
	d = Gate(c)
	assert.Equal(t, Block, d.Status, d.Reasons)
	require.Len(t, d.Regressions, 1)
	assert.Equal(t, "startup/node", d.Regressions[0].Op)
}

// TestOrderOfInputDoesNotMatter gives the same boots in another order, with
// their ops in another order.
func TestOrderOfInputDoesNotMatter(t *testing.T) {
	t.Parallel()
	for _, boots := range [][]int{{16}, {6}, {6, 4, 6}} {
		t.Run(fmt.Sprint(boots), func(t *testing.T) {
			t.Parallel()
			slow := map[string]float64{"disk/seq_read": 0.3, "http/get": 0.04}
			base, cand := slowed(9, slow).Stages(boots...)
			text := func(base, cand []*boottest.Boot) string {
				b, c := side(t, base), side(t, cand)
				for i := range b.Boots {
					b.Boots[i].Name = "x"
				}
				got, err := Judge(b, c, Options{NoMore: true})
				require.NoError(t, err)
				var out bytes.Buffer
				require.NoError(t, WriteJSON(&out, got, Gate(got)))
				return out.String()
			}
			want := text(base, cand)
			rng := rand.New(rand.NewPCG(1, 1))
			for range 3 {
				for _, side := range [][]*boottest.Boot{base, cand} {
					rng.Shuffle(len(side), func(i, k int) { side[i], side[k] = side[k], side[i] })
					for _, b := range side {
						rng.Shuffle(len(b.Ops), func(i, k int) { b.Ops[i], b.Ops[k] = b.Ops[k], b.Ops[i] })
					}
				}
				assert.Equal(t, want, text(base, cand))
			}
		})
	}
}

// TestMargin tolerates a slowdown of all ops that no op's budget would.
func TestMargin(t *testing.T) {
	t.Parallel()
	m := func() *boottest.Maker { return slowed(13, map[string]float64{"disk/seq_read": 0.08}) }
	assert.Equal(t, Block, Gate(judged(t, m(), Options{}, 16)).Status)
	p := DefaultPolicy()
	p.Margin = 0.08
	assert.Equal(t, Pass, Gate(judged(t, m(), Options{Policy: p}, 16)).Status)
}

// TestTwoBadBoots slows two baseline boots threefold: a slowdown is still
// found.
func TestTwoBadBoots(t *testing.T) {
	t.Parallel()
	m := slowed(14, map[string]float64{"disk/seq_read": 0.2})
	bad := 0
	m.Edit = func(b *boottest.Boot) {
		if b.Side == boottest.Base && bad < 2 {
			bad++
			for _, v := range b.Find("disk/seq_read").Values {
				v["B/s"] /= 3
			}
		}
	}
	d := Gate(judged(t, m, Options{}, 16))
	assert.Equal(t, Block, d.Status, d.Reasons)
}
