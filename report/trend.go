package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// The size of a chart in CSS pixels. A chart is as wide as a small phone, so
// that its text is never scaled down; wide windows show several beside each
// other.
const (
	chartWidth, chartHeight = 336.0, 168.0
	plotLeft, plotRight     = 58.0, 326.0
	plotTop, plotBottom     = 12.0, 140.0
)

// A chart is the trend of one metric.
type chart struct {
	ID       string // of the element
	Op, Unit string
	Summary  string // in words, for all readers
	Better   string
	Lines    []chartLine
	Legend   []chartLegend // where there are several lines
	Ticks    []tick
	Titles   []tick // of releases, below
	Notes    []string
	Rows     []chartRow
}

type tick struct{ At, Label string }

type chartLine struct {
	Path   string
	Class  int // of the colour, from 0
	Points []chartPoint
	Marks  []chartMark
	Breaks bool // not the first line: another machine or workload
	// Overall is the line of several machines, each counted once.
	Overall bool
}

type chartPoint struct {
	X, Y   string
	Tip    string
	Link   string // the run's row
	Boots  []string
	Lo, Hi string // interval of the median; "" of a single boot
}

type chartLegend struct {
	Name           string
	Class          int
	Overall, Break bool
}

// A chartMark is a change of level.
type chartMark struct{ X, Tip, Class string }

type chartRow struct{ Title, Value, Boots, Machine string }

func newChart(t history.Trend, n int) (chart, bool) {
	order, values := releases(t)
	if len(values) == 0 {
		return chart{}, false
	}
	x := func(title string) float64 {
		if len(order) == 1 {
			return (plotLeft + plotRight) / 2
		}
		const inset = 8
		return plotLeft + inset + float64(order[title])/float64(len(order)-1)*(plotRight-plotLeft-2*inset)
	}
	y := newScale(values, plotBottom, plotTop)
	c := chart{ID: fmt.Sprintf("chart-%d", n), Op: termtext.Cell(t.Op), Unit: termtext.Cell(t.Unit), Better: string(t.Better)}
	for _, v := range y.ticks(4, t.Unit) {
		c.Ticks = append(c.Ticks, tick{px(y.at(v)), compare.Value(v, t.Unit)})
	}
	c.Titles = titles(order, x)
	for i, l := range slices.Concat(t.Lines, t.Overall) {
		c.Lines = append(c.Lines, newLine(t, l, i, x, y))
		for _, p := range l.Points {
			c.Rows = append(c.Rows, chartRow{termtext.Cell(p.Title), compare.Value(p.Median, t.Unit), observations(l, p, t.Unit), termtext.Cell(l.Where())})
		}
		for _, ch := range l.Changes {
			c.Notes = append(c.Notes, changeText(l, ch))
		}
	}
	c.Legend = chartLegends(t, c.Lines)
	c.Summary = summary(t)
	return c, true
}

// chartLegends names the lines of a chart that has several: by their machine,
// and by their workload where that is all in which they differ.
func chartLegends(t history.Trend, drawn []chartLine) []chartLegend {
	const most = 6
	lines := slices.Concat(t.Lines, t.Overall)
	if len(lines) < 2 {
		return nil
	}
	workloads := make(map[string]bool)
	for _, l := range lines {
		workloads[l.Workload] = true
	}
	var out []chartLegend
	for i, l := range lines {
		if i == most && len(lines) > most+1 {
			out = append(out, chartLegend{Name: fmt.Sprintf("and %d more, see Values", len(lines)-most), Class: -1})
			break
		}
		name := l.Where()
		if len(workloads) > 1 {
			name += "; " + l.Workload
		}
		out = append(out, chartLegend{termtext.Short(name, 160), drawn[i].Class, drawn[i].Overall, drawn[i].Breaks})
	}
	return out
}

// releases numbers the releases of all lines by time, and returns all values.
func releases(t history.Trend) (order map[string]int, values []float64) {
	type first struct {
		title string
		at    int64
	}
	seen := make(map[string]int64)
	for _, l := range slices.Concat(t.Lines, t.Overall) {
		for _, p := range l.Points {
			if at, ok := seen[p.Title]; !ok || p.Time.UnixNano() < at {
				seen[p.Title] = p.Time.UnixNano()
			}
			values = append(values, p.Values...)
		}
	}
	all := make([]first, 0, len(seen))
	for title, at := range seen {
		all = append(all, first{title, at})
	}
	sortBy(all, func(a, b first) bool { return a.at < b.at || a.at == b.at && a.title < b.title })
	order = make(map[string]int)
	for i, f := range all {
		order[f.title] = i
	}
	return order, values
}

// titles are the names below the axis: the first, the last and some between.
func titles(order map[string]int, x func(string) float64) []tick {
	byPlace := make([]string, len(order))
	for title, i := range order {
		byPlace[i] = title
	}
	const most = 4
	step := max(1, (len(byPlace)-1+most-1)/most)
	var out []tick
	for i := 0; i < len(byPlace); i += step {
		out = append(out, tick{px(x(byPlace[i])), short(byPlace[i])})
	}
	return out
}

// short is the end of a long title: versions differ there.
func short(title string) string {
	const most = 10
	runes := []rune(termtext.Cell(title))
	if len(runes) > most {
		return "…" + string(runes[len(runes)-most+1:])
	}
	return string(runes)
}

func newLine(t history.Trend, l history.Line, class int, x func(string) float64, y scale) chartLine {
	out := chartLine{Class: class % 6, Breaks: class > 0 && l.Machines == 0, Overall: l.Machines > 0}
	var path strings.Builder
	for i, p := range l.Points {
		px0, py := px(x(p.Title)), px(y.at(p.Median))
		path.WriteString([]string{"L", "M"}[boolIndex(i == 0)] + px0 + " " + py)
		cp := chartPoint{X: px0, Y: py, Tip: pointTip(t, l, p)}
		if len(p.Runs) > 0 {
			cp.Link = fmt.Sprintf("#run-%d", p.Runs[0])
		}
		if len(p.Values) > 1 {
			for _, v := range p.Values {
				cp.Boots = append(cp.Boots, px(y.at(v)))
			}
			lo, hi := medianInterval(p.Values)
			cp.Lo, cp.Hi = px(y.at(lo)), px(y.at(hi))
		}
		out.Points = append(out.Points, cp)
	}
	out.Path = path.String()
	for _, ch := range l.Changes {
		class := "worse"
		if ch.Shift < 0 {
			class = "better"
		}
		at := (x(l.Points[ch.At-1].Title) + x(l.Points[ch.At].Title)) / 2
		out.Marks = append(out.Marks, chartMark{px(at), changeText(l, ch), class})
	}
	return out
}

func pointTip(t history.Trend, l history.Line, p history.Point) string {
	tip := fmt.Sprintf("%s: %s", termtext.Cell(p.Title), compare.Value(p.Median, t.Unit))
	if len(p.Values) > 1 {
		tip += " (" + observations(l, p, t.Unit) + ")"
	}
	tip += ", " + p.Time.Format("2006-01-02")
	if len(t.Lines)+len(t.Overall) > 1 {
		tip += ", " + termtext.Cell(l.Where())
	}
	return tip
}

// observations says how the boots of a point lie, or the machines of one of an
// overall line.
func observations(l history.Line, p history.Point, unit string) string {
	what := "boot"
	if l.Machines > 0 {
		what = "machine"
	}
	if len(p.Values) == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%s, %s to %s", termtext.Plural(len(p.Values), what), compare.Value(slices.Min(p.Values), unit), compare.Value(slices.Max(p.Values), unit))
}

// medianInterval is the interval of a median by order statistics (Conover,
// Practical Nonparametric Statistics, section 3.2): at least 95 % from six
// values on, and all of fewer.
func medianInterval(values []float64) (lo, hi float64) {
	x := slices.Sorted(slices.Values(values))
	n := len(x)
	if n > 100 { // the normal approximation, and no underflow
		k := int(float64(n)/2 - 0.98*math.Sqrt(float64(n)))
		return x[k-1], x[n-k]
	}
	outside, term := 0.0, math.Pow(0.5, float64(n)) // of a binomial distribution with n and 1/2
	k := 0
	for ; k < n/2; k++ {
		if outside += term; 2*outside > 0.05 {
			break
		}
		term *= float64(n-k) / float64(k+1)
	}
	k = max(k, 1)
	return x[k-1], x[n-k]
}

func changeText(l history.Line, c history.Change) string {
	word := "slower"
	if c.Shift < 0 {
		word = "faster"
	}
	return fmt.Sprintf("%s since %s (%s before): %s, %s to %s", word, termtext.Cell(l.Points[c.At].Title), termtext.Cell(l.Points[c.At-1].Title),
		compare.Percent(math.Expm1(c.Shift)), compare.Percent(math.Expm1(c.Lo)), compare.Percent(math.Expm1(c.Hi)))
}

// headline is the line that stands for a trend: that of all machines, else the
// newest.
func headline(t history.Trend) history.Line {
	if n := len(t.Overall); n > 0 {
		return t.Overall[n-1]
	}
	return t.Lines[len(t.Lines)-1]
}

// summary says in words what a chart shows.
func summary(t history.Trend) string {
	l := headline(t)
	first, last := l.Points[0], l.Points[len(l.Points)-1]
	if len(l.Points) == 1 {
		return fmt.Sprintf("%s in %s", compare.Value(last.Median, t.Unit), termtext.Cell(last.Title))
	}
	return fmt.Sprintf("%s in %s, %s in %s", compare.Value(first.Median, t.Unit), termtext.Cell(first.Title), compare.Value(last.Median, t.Unit), termtext.Cell(last.Title))
}
