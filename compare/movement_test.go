package compare

import (
	"fmt"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/boottest"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMachine(t *testing.T) {
	slow := make(map[string]float64)
	for _, op := range catalogue.Ops(catalogue.Settings{}) {
		slow[op.ID] = 0.2
	}
	m := slowed(10, slow)
	m.Sequential = true
	c := judged(t, m, Options{}, 16)
	require.NotNil(t, c.Machine)
	assert.True(t, c.Machine.Slower)
	assert.InDelta(t, 0.2, c.Machine.Median, 0.01)
	for _, f := range c.Judged() {
		assert.NotEqual(t, Slower, f.Verdict, f.Key())
	}
	d := Gate(c)
	assert.Equal(t, CannotTell, d.Status)
	assert.NotContains(t, fmt.Sprint(d.Reasons), "suspect")

	// Of boots that alternated the build is to blame, in one line.
	c = judged(t, slowed(10, slow), Options{}, 16)
	require.NotNil(t, c.Machine)
	d = Gate(c)
	assert.Equal(t, Block, d.Status, d.Reasons)
	require.Len(t, d.Reasons, 1)
	assert.Regexp(t, `metrics of all categories are more than 3 % slower .*, \d\d of them beyond chance; .*not the machine`, d.Reasons[0])

	// What fails is not lost in it.
	m = slowed(10, slow)
	m.Edit = func(b *boottest.Boot) {
		if b.Side == boottest.Cand {
			b.Fail("http/get", "it broke")
		}
	}
	d = Gate(judged(t, m, Options{}, 16))
	assert.Contains(t, fmt.Sprint(d.Reasons), "http/get req/s: failed: new failed: it broke")

	// Where few stand out of a movement of all, they are named.
	small := make(map[string]float64)
	for id := range slow {
		small[id] = 0.04
	}
	small["snapshot/10/list"] = 0.5
	c = judged(t, slowed(10, small), Options{}, 16)
	require.NotNil(t, c.Machine)
	d = Gate(c)
	assert.Equal(t, Block, d.Status)
	require.Len(t, d.Regressions, 1, d.Reasons)
	assert.Regexp(t, `^snapshot/10/list: \+4\d\.\d % ns/op, 95 %`, d.Reasons[0])
	var out strings.Builder
	require.NoError(t, WriteText(&out, c, d, TextOptions{}))
	assert.Contains(t, out.String(), "as the boots were interleaved, it is the build")
	assert.Regexp(t, `(?m)^10/list .* slower `, out.String())

	// One category is a finding.
	for id := range slow {
		if len(id) < 8 || id[:8] != "snapshot" {
			delete(slow, id)
		}
	}
	assert.Nil(t, judged(t, slowed(11, slow), Options{}, 16).Machine)
}
