package compare

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowedBy is a finding of an op that takes so many times the time.
func slowedBy(op string, factor float64, v Verdict) *Finding {
	id, _ := catalogue.ByID(op)
	return &Finding{
		Op: op, Category: id.Category, Unit: id.Primary[0], Primary: true, Verdict: v, Better: catalogue.Lower,
		Shift: math.Log(factor), Lo: math.Log(factor) - 0.01, Hi: math.Log(factor) + 0.01, Smallest: 0.03,
		Base: Sample{Boots: 6, Median: 1e8}, Cand: Sample{Boots: 6, Median: factor * 1e8},
	}
}

func TestCategories(t *testing.T) {
	counted := slowedBy("http/get", 5, Slower)
	counted.Linear = true
	c := &Comparison{Findings: []*Finding{
		slowedBy("disk/seq_read", 1.001, Same), slowedBy("disk/seq_write", 1, Unsure),
		slowedBy("startup/node", 0.8, Faster), slowedBy("startup/python3", 1, Unsure), slowedBy("startup/codex", 7, NotComparable),
		slowedBy("snapshot/10/list", 250, Slower), counted, slowedBy("throughput/get", math.NaN(), Missing),
	}}
	var said []string
	for _, change := range c.Categories() {
		said = append(said, change.String())
	}
	assert.Equal(t, []string{
		"disk: as fast as before, the mean of 2 metrics (1 same, 1 unsure)",
		"startup: 1.12 times faster, the mean of 2 metrics (1 faster, 1 unsure, 1 not comparable)",
		"snapshot: 250 times slower (1 slower)",
	}, said)
}

// No line is wider than the terminal, down to 40 columns, and what is too wide
// for a table is no figure less.
func TestTextFits(t *testing.T) {
	c := &Comparison{Base: "results/20261125-101500-1a2b", Cand: "results/20261126-101500-1a2b", Findings: []*Finding{
		slowedBy("disk/rand_read_4k", 1.001, Same), slowedBy("snapshot/500/changes", 1.2, Slower), slowedBy("startup/node", 0.8, Faster),
	}}
	c.Findings[1].Doubts = []string{"cache was warm (12 % of the pages resident, 120 of 1000)"}
	for width := 40; width <= 100; width++ {
		var b bytes.Buffer
		require.NoError(t, WriteText(&b, c, nil, TextOptions{Width: width, All: true}))
		for line := range strings.SplitSeq(b.String(), "\n") {
			assert.LessOrEqual(t, layout.Width(line), width, "%d: %s", width, line)
		}
		words := strings.Join(strings.Fields(b.String()), " ")
		for _, want := range []string{"100ms", "120ms", "80.0ms", "+20.0%", "-20.0%", "slower", "faster", "same", "120 of 1000"} {
			assert.Contains(t, words, want, "%d:\n%s", width, b.String())
		}
	}
}
