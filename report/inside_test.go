package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// insideInput is a run with two distributions and three waterfalls.
func insideInput() Inside {
	rng := rand.New(rand.NewPCG(1, 1))
	times := func(n int, middle float64) *hdrhistogram.Histogram {
		h := hdrhistogram.New(1, record.LongestNS, 3)
		for range n {
			_ = h.RecordValue(int64(middle * math.Exp(0.3*rng.NormFloat64())))
		}
		return h
	}
	calls := func(n int, staggered time.Duration, parts ...time.Duration) []Call {
		var out []Call
		for i := range n {
			c := Call{Begin: staggered * time.Duration(i)}
			for _, p := range parts {
				c.Parts = append(c.Parts, p+time.Duration(i)*time.Microsecond)
			}
			out = append(out, c)
		}
		return out
	}
	return Inside{
		Name: "1.4.0",
		Distributions: []Distribution{
			{"disk/rand_read_4k", times(10_000, 60e3), times(10_000, 2e3)},
			{"http/get", times(50, 4e6), nil},
		},
		Waterfalls: []Waterfall{
			{"snapshot/10/create", "call", []string{"process start", "handshake", "gateway", "transport"}, calls(100, 0, 40e6, 2e6, 9e6, 3e6)},
			{"requests at the proxy", "request", []string{"proxy and origin"}, calls(30, 1e6, 2e6)},
			{"Boot of the VM", "boot", []string{"kernel", "ssh"}, calls(1, 0, 1e9, 2e8)},
		},
	}
}

func TestInsideIsDrawn(t *testing.T) {
	page := render(t, Input{Inside: insideInput()})
	assert.Contains(t, page, "<h2 id=\"inside\">Inside 1.4.0</h2>")
	assert.Contains(t, page, "snapshot/10/create</b> 100 calls, 60 of them drawn")
	assert.Contains(t, page, "Boot of the VM</b> 1 boot<")
	assert.Regexp(t, `disk/rand_read_4k</b> cold 10000: p50 [0-9.]+µs`, page)
	assert.Regexp(t, `cached 10000: p50 [0-9.]+µs`, page)
	assert.NotContains(t, page, "NaN")
	assert.NotContains(t, page, "ZgotmplZ")
}

// The percentiles of the curve are those of the values; none is drawn beyond
// which there is no operation.
func TestPercentilesOfACurve(t *testing.T) {
	d, ok := newDistribution(insideInput().Distributions[1])
	require.True(t, ok)
	last := d.Series[0].Points[len(d.Series[0].Points)-1]
	assert.Contains(t, last.Tip, "p95", "50 requests have no 99th percentile of their own")
	var shares float64
	for _, b := range d.Series[0].Bars {
		var n, of int
		_, err := fmt.Sscanf(b.Tip[strings.LastIndex(b.Tip, ": ")+2:], "%d of %d", &n, &of)
		require.NoError(t, err)
		shares += float64(n) / float64(of)
	}
	assert.InDelta(t, 1, shares, 1e-9, "every operation is in a bar")
}

// The parts of a call lie one after the other, and none outside of the picture.
func TestPartsOfAWaterfall(t *testing.T) {
	for _, w := range insideInput().Waterfalls {
		drawn, ok := newWaterfall(w)
		require.True(t, ok)
		for _, row := range append(drawn.Calls, callRow{Segments: drawn.Median}) {
			at := -1.0
			for _, s := range row.Segments {
				var x, width float64
				_, err := fmt.Sscan(s.X, &x)
				require.NoError(t, err)
				_, err = fmt.Sscan(s.Width, &width)
				require.NoError(t, err)
				if at >= 0 {
					assert.InDelta(t, at, x, 0.2)
				}
				at = x + width
				assert.True(t, x >= waterfallLeft-0.1 && at <= waterfallRight+0.2, "%v to %v", x, at)
			}
		}
	}
}

func TestNothingInsideIsNotDrawn(t *testing.T) {
	empty := hdrhistogram.New(1, record.LongestNS, 3)
	page := render(t, Input{Inside: Inside{
		Distributions: []Distribution{{Op: "none"}, {Op: "empty", Cold: empty}},
		Waterfalls:    []Waterfall{{Title: "none"}, {Title: "torn", Parts: []string{"a", "b"}, Calls: []Call{{Parts: []time.Duration{1}}}}},
	}})
	assert.NotContains(t, page, "Inside")
	zero, ok := newWaterfall(Waterfall{Parts: []string{"a"}, Calls: []Call{{Parts: []time.Duration{0}}}})
	require.True(t, ok)
	assert.Equal(t, "0", zero.Calls[0].Segments[0].Width)
}

func TestHostileInside(t *testing.T) {
	in := insideInput()
	in.Name, in.Distributions[0].Op, in.Waterfalls[0].Title, in.Waterfalls[0].Parts[0] = hostile, hostile, hostile, hostile
	in.Notes = []string{hostile}
	page := render(t, Input{Inside: in})
	assert.NotContains(t, page, "<script>alert")
	assert.NotContains(t, page, "<img")
	assert.NotContains(t, page, "\x1b")
}
