package compare

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A fake makes the texts of boots: every op of the catalogue, and those of
// new changed by change.
type fake struct {
	rng    *rand.Rand
	noise  float64            // sd between boots, log
	change map[string]float64 // by op ID: log slowdown of new
	edit   func(side string, slot int, lines *[]any, results *[]string)
	ops    []catalogue.Op
	rounds int
	only   []catalogue.Category // measured in the stage
}

func newFake(seed uint64) *fake {
	return &fake{rng: rand.New(rand.NewPCG(seed, 1)), noise: 0.01, rounds: 4, ops: catalogue.Ops(catalogue.Settings{})}
}

// text is one boot.
func (f *fake) text(t testing.TB, side string, stage, slot int) []byte {
	t.Helper()
	ops := catalogue.Select(f.ops, f.only...)
	run := record.Run{
		Type: record.TypeRun, Schema: record.Schema, Version: record.ToolVersion, Time: float64(slot), Hostname: fmt.Sprintf("bench-%d", slot),
		OS: "linux", Arch: "x86_64", Kernel: "6.1", CPU: "cpu", CPUs: 2, MemoryBytes: 2 << 30, Rounds: f.rounds, Image: "aa", Accel: "kvm", Sandbox: "qemu",
	}
	var lines []any
	var results []string
	if slot > 0 {
		lines = append(lines, record.Boot{Type: record.TypeBoot, Side: side, Stage: stage, Slot: slot, Seed: 1, Time: 1000 + float64(slot)})
	}
	for i, op := range ops {
		run.Expected = append(run.Expected, op.Name)
		boot := f.noise * f.rng.NormFloat64()
		if side == "cand" {
			boot += f.change[op.ID]
		}
		for range f.rounds {
			slow := math.Exp(boot + 0.002*f.rng.NormFloat64())
			line := fmt.Sprintf("Benchmark%s 1", op.Name)
			for _, u := range op.Units {
				v := float64(1000003 * (i + 1))
				if better(u) == catalogue.Higher {
					v /= slow
				} else {
					v *= slow
				}
				if u == "errors" {
					v = 0
				}
				line += fmt.Sprintf(" %.3f %s", v, u)
			}
			results = append(results, line)
		}
		status := record.Status{Type: record.TypeStatus, Op: op.Name, Status: record.OK}
		if op.Cold {
			status.Cache = record.CacheCold
		}
		lines = append(lines, status)
	}
	lines = slices.Insert(lines, min(slot, 1), any(run))
	lines = append(lines, record.Category{Type: record.TypeCategory, Category: "http", URL: catalogue.DefaultHTTPURL},
		record.End{Type: record.TypeEnd, Status: "ok"})
	if f.edit != nil {
		f.edit(side, slot, &lines, &results)
	}
	var out []byte
	for i, l := range lines {
		var err error
		if i == 2 {
			for _, r := range results {
				out = append(out, r+"\n"...)
			}
		}
		out, err = record.Append(out, l)
		require.NoError(t, err)
	}
	return out
}

// sides makes pairs of boots in random order, or old first.
func (f *fake) sides(t testing.TB, stages []int, interleaved bool) (old, new *Side) {
	t.Helper()
	old, new = &Side{Name: "old"}, &Side{Name: "new"}
	slot := 0
	add := func(side string, stage int) {
		slot++
		name := fmt.Sprintf("%s-%02d.txt", side, slot)
		boots, _, err := ReadBoots(bytes.NewReader(f.text(t, side, stage, slot)), name)
		require.NoError(t, err)
		if side == "base" {
			old.Boots = append(old.Boots, boots...)
		} else {
			new.Boots = append(new.Boots, boots...)
		}
	}
	for stage, k := range stages {
		for i := range 2 * k {
			cand := i%2 == 1
			if !interleaved {
				cand = i >= k
			} else if i%4 > 1 {
				cand = !cand
			}
			add(map[bool]string{false: "base", true: "cand"}[cand], stage+1)
		}
	}
	return old, new
}

func judgeOf(t testing.TB, old, new *Side, opt Options) *Comparison {
	t.Helper()
	c, err := Judge(old, new, opt)
	require.NoError(t, err)
	return c
}

func (c *Comparison) find(key string) *Finding {
	for _, f := range c.Findings {
		if f.Key() == key {
			return f
		}
	}
	return nil
}

func TestJudgeNamesTheSlowedOp(t *testing.T) {
	f := newFake(1)
	f.change = map[string]float64{"disk/seq_read": math.Log(1.3), "startup/node": -math.Log(1.3)}
	old, new := f.sides(t, []int{16}, true)
	c := judgeOf(t, old, new, Options{})
	assert.Equal(t, Interleaved, c.Order.Interleaving, c.Order.Reason)
	require.NoError(t, c.Power)
	assert.Equal(t, 29, c.Ops)
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
}

func TestGatePassesTheSameBuild(t *testing.T) {
	old, new := newFake(2).sides(t, []int{16}, true)
	d := Gate(judgeOf(t, old, new, Options{}))
	assert.Equal(t, Pass, d.Status, d.Reasons)
}
