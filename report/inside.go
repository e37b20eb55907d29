package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/montanaflynn/stats"
)

// A Distribution is the single operations of one op, of all rounds and boots
// of a run, in ns. Warm, where it is not nil, is the same work with its files
// cached.
type Distribution struct {
	Op         string
	Cold, Warm *hdrhistogram.Histogram
}

// A Waterfall is where the time of calls of one kind went.
type Waterfall struct {
	Title string
	// Of is what there is one row of: call, request, boot.
	Of string
	// Parts are the names of what a call consists of, in the order of time.
	Parts []string
	Calls []Call
}

// A Call is one call: when it began after the first of its waterfall, 0 where
// each stands for itself, and its parts.
type Call struct {
	Begin time.Duration
	Parts []time.Duration
}

// distribution is two pictures of one op: how many took how long, and the
// percentiles.
type distribution struct {
	Op, Summary string
	Series      []distributionSeries
	Ticks       []tick // of time, on the axis of the curve
	BarTicks    []tick // of time, below the bars
	Percentiles []tick
}

type distributionSeries struct {
	Name   string
	Class  int
	Curve  string
	Points []chartPoint
	Bars   []bar
}

type bar struct{ X, Y, Width, Height, Tip string }

const (
	curveTop, curveBottom = 12.0, 140.0
	labelWidth            = 36.0
	barBins               = 36
)

// percentiles are those of the curve. Its axis is that of an HdrHistogram: as
// far apart as the shares beyond them, in log.
func percentiles() []float64 { return []float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99} }

func newDistribution(d Distribution) (distribution, bool) {
	if d.Cold == nil || d.Cold.TotalCount() < 2 {
		return distribution{}, false
	}
	out := distribution{Op: termtext.Cell(d.Op), Summary: distributionText("", d.Cold)}
	all := []float64{float64(max(1, d.Cold.Min())), float64(max(1, d.Cold.Max()))}
	series := []*hdrhistogram.Histogram{d.Cold}
	names := []string{"all"}
	if d.Warm != nil && d.Warm.TotalCount() > 0 {
		series, names = append(series, d.Warm), []string{"cold", "cached"}
		all = append(all, float64(max(1, d.Warm.Min())), float64(max(1, d.Warm.Max())))
		out.Summary = distributionText("cold ", d.Cold) + "; " + distributionText("cached ", d.Warm)
	}
	y := newScale(all, curveBottom, curveTop)
	x := newScale(all, plotLeft, plotRight)
	for _, v := range y.ticks(4, "ns/op") {
		out.Ticks = append(out.Ticks, tick{px(y.at(v)), compare.Value(v, "ns/op")})
	}
	for _, v := range x.ticks(4, "ns/op") {
		out.BarTicks = append(out.BarTicks, tick{px(x.at(v)), compare.Value(v, "ns/op")})
	}
	out.BarTicks = fitting(out.BarTicks)
	for _, p := range []float64{50, 90, 99, 99.9, 99.99} {
		out.Percentiles = append(out.Percentiles, tick{px(percentileX(p)), fmt.Sprintf("p%g", p)})
	}
	for i, h := range series {
		out.Series = append(out.Series, newSeries(names[i], i, h, x, y))
	}
	return out, true
}

// percentileX is the place of a percentile.
func percentileX(p float64) float64 {
	const last = 4.0 // decades: 99.99 %
	return plotLeft + 10 + (plotRight-plotLeft-24)*min(last, -math.Log10(1-min(p, 99.999)/100))/last
}

func distributionText(name string, h *hdrhistogram.Histogram) string {
	v := func(p float64) string { return compare.Value(float64(h.ValueAtPercentile(p)), "ns/op") }
	return fmt.Sprintf("%s%d: p50 %s, p99 %s, max %s", name, h.TotalCount(), v(50), v(99), compare.Value(float64(h.Max()), "ns/op"))
}

func newSeries(name string, class int, h *hdrhistogram.Histogram, x, y scale) distributionSeries {
	s := distributionSeries{Name: name, Class: class}
	var path strings.Builder
	for i, p := range percentiles() {
		if n := float64(h.TotalCount()); p > 50 && n*(1-p/100) < 1 {
			break // no operation lies beyond it
		}
		v := float64(max(1, h.ValueAtPercentile(p)))
		if p == 0 {
			v = float64(max(1, h.Min()))
		}
		at := chartPoint{X: px(percentileX(p)), Y: px(y.at(v)), Tip: fmt.Sprintf("%s, p%g: %s", name, p, compare.Value(v, "ns/op"))}
		path.WriteString([]string{"L", "M"}[boolIndex(i == 0)] + at.X + " " + at.Y)
		s.Points = append(s.Points, at)
	}
	s.Curve = path.String()
	s.Bars = bars(name, h, x)
	return s
}

// bars are the shares of operations in bins of equal width in log.
func bars(name string, h *hdrhistogram.Histogram, x scale) []bar {
	counts := make([]int64, barBins)
	width := (x.hi - x.lo) / barBins
	for _, b := range h.Distribution() {
		if b.Count > 0 {
			i := int((math.Log(float64(max(1, b.From+b.To))/2) - x.lo) / width)
			counts[min(max(i, 0), barBins-1)] += b.Count
		}
	}
	most := slices.Max(counts)
	var out []bar
	for i, n := range counts {
		if n == 0 {
			continue
		}
		from, to := x.lo+float64(i)*width, x.lo+float64(i+1)*width
		height := max(1, float64(n)/float64(most)*(curveBottom-curveTop))
		out = append(out, bar{
			X: px(x.at(math.Exp(from))), Width: px(x.at(math.Exp(to)) - x.at(math.Exp(from)) - 0.6), Y: px(curveBottom - height), Height: px(height),
			Tip: fmt.Sprintf("%s, %s to %s: %d of %d (%.1f %%)", name, compare.Value(math.Exp(from), "ns/op"), compare.Value(math.Exp(to), "ns/op"),
				n, h.TotalCount(), 100*float64(n)/float64(h.TotalCount())),
		})
	}
	return out
}

// waterfall is a Waterfall with places: a thick row of the medians and a faint
// row for each call.
type waterfall struct {
	Title, Summary string
	Height         string
	AxisY          string
	Ticks          []tick
	Legend         []legend
	Median         []segment
	Calls          []callRow
}

type legend struct {
	Name, Value string
	Class       int
}

type callRow struct {
	Tip      string
	Segments []segment
}

type segment struct {
	X, Y, Width, Height, Tip string
	Class                    int
}

const (
	waterfallLeft, waterfallRight = 8.0, 328.0
	mostRows                      = 60 // of calls; of more, evenly spread ones
	medianHeight                  = 16.0
)

func newWaterfall(w Waterfall) (waterfall, bool) {
	calls := slices.DeleteFunc(slices.Clone(w.Calls), func(c Call) bool { return len(c.Parts) != len(w.Parts) })
	if len(calls) == 0 || len(w.Parts) == 0 {
		return waterfall{}, false
	}
	medians, end := make([]float64, len(w.Parts)), 0.0
	for i := range w.Parts {
		part := make([]float64, len(calls))
		for j, c := range calls {
			part[j] = float64(c.Parts[i])
		}
		medians[i], _ = stats.Median(part) // there is at least one
	}
	staggered := false
	for _, c := range calls {
		at := float64(c.Begin)
		staggered = staggered || c.Begin > 0
		for _, p := range c.Parts {
			at += float64(p)
		}
		end = max(end, at)
	}
	x := scale{lo: 0, hi: max(end, 1), from: waterfallLeft, to: waterfallRight}
	out := waterfall{Title: termtext.Cell(w.Title)}
	for i, name := range w.Parts {
		out.Legend = append(out.Legend, legend{termtext.Cell(name), compare.Value(medians[i], "ns/op"), i % 6})
	}
	y := 4.0
	if !staggered {
		out.Median = segments(out.Legend, medians, 0, x, y, medianHeight)
		y += medianHeight + 6
	}
	height := 4.0
	shown := spread(calls, mostRows)
	for _, c := range shown {
		parts, total := make([]float64, len(c.Parts)), time.Duration(0)
		for i, p := range c.Parts {
			parts[i] = float64(p)
			total += p
		}
		row := callRow{Segments: segments(out.Legend, parts, float64(c.Begin), x, y, height-1)}
		row.Tip = callText(out.Legend, parts, c.Begin, total)
		out.Calls = append(out.Calls, row)
		y += height
	}
	for _, v := range x.ticks(4, "ns/op") {
		out.Ticks = append(out.Ticks, tick{px(x.at(v)), compare.Value(v, "ns/op")})
	}
	out.Ticks = fitting(out.Ticks)
	out.AxisY, out.Height = px(y+14), px(y+20)
	out.Summary = termtext.Plural(len(calls), w.Of)
	if len(shown) < len(calls) {
		out.Summary += fmt.Sprintf(", %d of them drawn", len(shown))
	}
	return out, true
}

func segments(names []legend, parts []float64, from float64, x scale, y, height float64) []segment {
	var out []segment
	for i, p := range parts {
		width := x.at(from+p) - x.at(from)
		out = append(out, segment{
			X: px(x.at(from)), Y: px(y), Width: px(max(width, 0)), Height: px(height), Class: i % 6,
			Tip: fmt.Sprintf("%s: median %s", names[i].Name, names[i].Value),
		})
		from += p
	}
	return out
}

func callText(names []legend, parts []float64, begin, total time.Duration) string {
	var words []string
	if len(parts) > 1 {
		for i, p := range parts {
			words = append(words, names[i].Name+" "+compare.Value(p, "ns/op"))
		}
	}
	text := compare.Value(float64(total), "ns/op")
	if begin > 0 {
		text += " from " + compare.Value(float64(begin), "ns/op")
	}
	if len(words) > 0 {
		text += ": " + strings.Join(words, ", ")
	}
	return text
}

// spread returns at most n of the calls, evenly spread.
func spread(calls []Call, n int) []Call {
	if len(calls) <= n {
		return calls
	}
	out := make([]Call, n)
	for i := range out {
		out[i] = calls[i*len(calls)/n]
	}
	return out
}
