package compare

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everything is all ops slower by so much.
func everything(by float64) map[string]float64 {
	slow := make(map[string]float64)
	for _, op := range catalogue.Ops(catalogue.Settings{}) {
		slow[op.ID] = by
	}
	return slow
}

// TestCommonShift is boots in an order that does not tell the build from the
// machine.
func TestCommonShift(t *testing.T) {
	t.Parallel()
	m := slowed(10, everything(0.2))
	m.Sequential = true
	c := judged(t, m, Options{}, 16)
	require.NotNil(t, c.Common)
	assert.True(t, c.Common.Slower)
	assert.InDelta(t, 0.2, c.Common.Median, 0.01)
	assert.Empty(t, c.Movements)
	for _, f := range c.Judged() {
		assert.NotEqual(t, Slower, f.Verdict, f.Key())
	}
	d := Gate(c)
	assert.Equal(t, CannotTell, d.Status)
	assert.Contains(t, fmt.Sprint(d.Reasons), "may be the machine: the boots were not interleaved")
	var out strings.Builder
	require.NoError(t, WriteText(&out, c, nil, TextOptions{}))
	assert.NotContains(t, out.String(), "not the build")
	assert.Contains(t, out.String(), "snapshot", "the table is there all the same")
	assert.Contains(t, out.String(), "10/list")
}

// TestEverythingSlower is one finding of interleaved boots.
func TestEverythingSlower(t *testing.T) {
	t.Parallel()
	c := judged(t, slowed(10, everything(0.1)), Options{}, 16)
	assert.Nil(t, c.Common)
	require.NotEmpty(t, c.Movements)
	assert.InDelta(t, 0.095, c.Movements[0].Shift, 0.01)
	d := Gate(c)
	assert.Equal(t, Block, d.Status, d.Reasons)
	require.Len(t, d.Reasons, 1)
	assert.Regexp(t, `^everything: (9|10)\.\d % more time, 95 % interval \+.*, the mean of 6 categories$`, d.Reasons[0])

	// What fails is not lost in it.
	m := slowed(10, everything(0.1))
	m.Edit = func(b *boottest.Boot) {
		if b.Side == boottest.Cand {
			b.Fail("http/get", "it broke")
		}
	}
	d = Gate(judged(t, m, Options{}, 16))
	assert.Contains(t, fmt.Sprint(d.Reasons), "http/get req/s: failed: new failed: it broke")

	// What is slower still has a line of its own.
	more := everything(0.1)
	more["snapshot/10/list"] = 0.5
	d = Gate(judged(t, slowed(10, more), Options{}, 16))
	require.Len(t, d.Reasons, 2, d.Reasons)
	assert.Regexp(t, `^snapshot/10/list: \+[45]\d\.\d % ns/op, 95 %`, d.Reasons[1])

	// Where few stand out of a movement within the budget, they are named.
	small := everything(0.03)
	small["snapshot/10/list"] = 0.5
	c = judged(t, slowed(10, small), Options{}, 16)
	assert.Empty(t, c.Movements)
	d = Gate(c)
	assert.Equal(t, Block, d.Status)
	require.Len(t, d.Regressions, 1, d.Reasons)
	assert.Regexp(t, `^snapshot/10/list: \+4\d\.\d % ns/op, 95 %`, d.Reasons[0])
}

// TestCategorySlower names the category and none of the others.
func TestCategorySlower(t *testing.T) {
	slow := everything(0.15)
	for id := range slow {
		if !strings.HasPrefix(id, "snapshot/") {
			delete(slow, id)
		}
	}
	c := judged(t, slowed(11, slow), Options{}, 16)
	require.Len(t, c.Movements, 1)
	assert.Equal(t, catalogue.Snapshot, c.Movements[0].Category)
	d := Gate(c)
	require.Len(t, d.Reasons, 1)
	assert.Contains(t, d.Reasons[0], "snapshot as a whole: ")
	for _, f := range d.Regressions {
		assert.Equal(t, catalogue.Snapshot, f.Category)
	}
}

// TestPartIsNotEverything says of two categories that they moved, and neither
// that everything did nor that the others are slower by as much.
func TestPartIsNotEverything(t *testing.T) {
	t.Parallel()
	for _, by := range []float64{0.3, -0.3} {
		part := everything(by)
		for id := range part {
			if !strings.HasPrefix(id, "snapshot/") && !strings.HasPrefix(id, "disk/") {
				delete(part, id)
			}
		}
		all := [][]int{{16}}
		if by > 0 {
			all = append(all, []int{6, 4})
		}
		for _, boots := range all {
			c := judged(t, slowed(12, part), Options{}, boots...)
			require.Len(t, c.Movements, 2)
			for _, m := range c.Movements {
				assert.NotEmpty(t, m.Category)
				assert.Equal(t, by > 0, m.Slower)
			}
			d := Gate(c)
			assert.Equal(t, by > 0, d.Status == Block)
			assert.NotContains(t, c.Headline(d), "everything")
			assert.Regexp(t, `[Nn]one is slower by more than [0-4]\.\d %`, c.Headline(d))
			if by > 0 {
				assert.Contains(t, c.Headline(d), "Of the 10 others none")
			}
		}
	}
}

// TestPartFaster never blocks on what did not change.
func TestPartFaster(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		fast := everything(-0.3)
		for id := range fast {
			if strings.HasPrefix(id, "snapshot/") {
				delete(fast, id)
			}
		}
		c := judged(t, slowed(20+seed, fast), Options{}, 16)
		d := Gate(c)
		assert.Equal(t, Pass, d.Status, d.Reasons)
		assert.Contains(t, c.Headline(d), "Faster: ")
	}
}

// TestSlowBoots is an op three times slower in some new boots: the middle does
// not show it, so a line does, and it is not shown not slower.
func TestSlowBoots(t *testing.T) {
	t.Parallel()
	for _, slow := range []int{3, 5} {
		m := boottest.New(31)
		n := 0
		m.Edit = func(b *boottest.Boot) {
			if b.Side == boottest.Cand && n < slow {
				n++
				for _, v := range b.Find("snapshot/10/list").Values {
					v["ns/op"] *= 3
				}
			}
		}
		c := judged(t, m, Options{}, 16)
		d := Gate(c)
		f := c.find(t, "snapshot/10/list")
		line := fmt.Sprintf("%d of 16 new boots over 1.5x, 0 of 16 old", slow)
		assert.Contains(t, f.Doubts, line)
		assert.Equal(t, slow == 3, f.Hi < math.Log1p(f.Budget), "of 3 the interval of the middle knows nothing")
		assert.Equal(t, NotSeen, f.Outcome)
		assert.Empty(t, c.find(t, "snapshot/10/create").Doubts)
		assert.Equal(t, NotSlower, c.find(t, "snapshot/10/create").Outcome)
		var out bytes.Buffer
		require.NoError(t, WriteText(&out, c, d, TextOptions{}))
		assert.Contains(t, out.String(), line)
	}
}

// TestSuspectsAreCorrected asks for no second measurement of an unchanged
// build whose boots cannot block: of 29 metrics one has p < 0.05 by chance
// alone. One that is slower is asked for.
func TestSuspectsAreCorrected(t *testing.T) {
	t.Parallel()
	suspects := func(m *boottest.Maker) string {
		base, cand := sides(t, m, 16)
		for _, b := range base.Boots {
			b.Boot.Slot = 0 // the order is not proven
		}
		c, err := Judge(base, cand, Options{})
		require.NoError(t, err)
		d := Gate(c)
		assert.Equal(t, CannotTell, d.Status)
		return strings.Join(d.Reasons, "\n")
	}
	asked := 0
	for seed := range uint64(6) {
		m := boottest.New(40 + seed)
		m.Boot = 0.08
		if strings.Contains(suspects(m), "measured again") {
			asked++
		}
	}
	assert.LessOrEqual(t, asked, 1)
	assert.Contains(t, suspects(slowed(40, map[string]float64{"startup/node": 0.3})), "to be measured again: startup/node")
}
