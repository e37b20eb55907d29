package report

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// An Input is what a page is made of. What is not set is left out.
type Input struct {
	Title string
	// From says where the results come from, for people.
	From   string
	Made   time.Time
	Runs   []history.RunInfo
	Trends []history.Trend
	Suite  []history.SuiteLine
	// Comparison of two sides, with the boots that it was made from.
	Comparison *compare.Comparison
	Decision   *compare.Decision
	Base, Cand *compare.Side
	Doubts     []string
	// Inside is what one run says of itself beyond its figures.
	Inside Inside
}

// Inside is what lies behind the figures of one run.
type Inside struct {
	Name          string // of the run
	Distributions []Distribution
	Waterfalls    []Waterfall
	Notes         []string
}

//go:embed assets/page.html
var pageText string

//go:embed assets/style.css
var style string

//go:embed assets/page.js
var script string

// page is what the template sees.
type page struct {
	Title, From, Made string
	Policy            string
	Style             template.CSS
	Script            template.JS
	Doubts            []string
	Tiles             []tile
	Categories        []section
	Machines          []string
	Suite             []suiteRow
	Comparison        *comparison
	Runs              []runRow
	InsideName        string
	InsideNotes       []string
	Distributions     []distribution
	Waterfalls        []waterfall
}

// A tile is the headline of a category.
type tile struct{ Name, Link, Op, Value, Change, Class, Spark string }

// A section has the charts of one category.
type section struct {
	ID, Name string
	Charts   []chart
}

type suiteRow struct{ Machine, Text string }

type runRow struct {
	ID           int64
	Time, Name   string
	Labels       string
	Boots        string
	Incomplete   bool
	ReleaseTitle string
}

// Write writes the page.
func Write(w io.Writer, in Input) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(script))
	css := sha256.Sum256([]byte(style))
	p := page{
		Title: termtext.Cell(cmp.Or(in.Title, "capsem-bench")), From: termtext.Cell(in.From), Made: in.Made.UTC().Format("2006-01-02 15:04 UTC"),
		Policy: fmt.Sprintf("default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'",
			base64.StdEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(css[:])),
		Style: template.CSS(style), Script: template.JS(script),
	}
	for _, d := range in.Doubts {
		p.Doubts = append(p.Doubts, termtext.Cell(d))
	}
	p.Tiles, p.Categories = byCategory(in.Trends)
	p.Machines = machines(in.Trends)
	for _, s := range in.Suite {
		for _, c := range s.Changes {
			word := "slower"
			if c.Shift < 0 {
				word = "faster"
			}
			p.Suite = append(p.Suite, suiteRow{termtext.Cell(s.Where), fmt.Sprintf("everything %s since %s (%s before): %s",
				word, termtext.Cell(s.Titles[c.At]), termtext.Cell(s.Titles[c.At-1]), compare.Percent(expm1(c.Shift)))})
		}
	}
	p.inside(in.Inside)
	if in.Comparison != nil {
		p.Comparison = newComparison(in.Comparison, in.Decision, in.Base, in.Cand)
	}
	for _, r := range slices.Backward(in.Runs) {
		p.Runs = append(p.Runs, runRow{
			ID: r.ID, Time: r.Time.UTC().Format("2006-01-02 15:04"), Name: termtext.Cell(r.Name), Labels: termtext.Cell(r.Labels.String()),
			Boots: termtext.Plural(r.Boots, "boot"), Incomplete: !r.Complete, ReleaseTitle: termtext.Cell(r.Title()),
		})
	}
	return t.Execute(w, p)
}

func (p *page) inside(in Inside) {
	p.InsideName = termtext.Cell(in.Name)
	for _, n := range in.Notes {
		p.InsideNotes = append(p.InsideNotes, termtext.Cell(n))
	}
	for _, d := range in.Distributions {
		if drawn, ok := newDistribution(d); ok {
			p.Distributions = append(p.Distributions, drawn)
		}
	}
	for _, w := range in.Waterfalls {
		if drawn, ok := newWaterfall(w); ok {
			p.Waterfalls = append(p.Waterfalls, drawn)
		}
	}
}

// machines names some of what the results were measured on.
func machines(trends []history.Trend) (names []string) {
	const most = 4
	more := false
	for _, t := range trends {
		for _, l := range t.Lines {
			name := termtext.Short(l.Where(), 160)
			switch {
			case slices.Contains(names, name):
			case len(names) < most:
				names = append(names, name)
			default:
				more = true
			}
		}
	}
	if more {
		names = append(names, "and others")
	}
	return names
}

// headlines are the ops that stand for their category on a tile.
func headlines() map[catalogue.Category]string {
	return map[catalogue.Category]string{
		catalogue.Disk: "disk/rand_read_4k", catalogue.Rootfs: "rootfs/seq_read", catalogue.Startup: "startup/python3",
		catalogue.HTTP: "http/get", catalogue.Throughput: "throughput/get", catalogue.Snapshot: "snapshot/100/create",
	}
}

func byCategory(trends []history.Trend) (tiles []tile, sections []section) {
	var order []string
	groups := make(map[string][]history.Trend)
	for _, t := range trends {
		name := cmp.Or(string(t.Category), "other")
		if groups[name] == nil {
			order = append(order, name)
		}
		groups[name] = append(groups[name], t)
	}
	n := 0
	for _, name := range order {
		s := section{ID: fmt.Sprintf("category-%d", len(sections)), Name: termtext.Cell(name)}
		for _, t := range groups[name] {
			if c, ok := newChart(t, n); ok {
				s.Charts = append(s.Charts, c)
				n++
			}
		}
		if len(s.Charts) == 0 {
			continue
		}
		sections = append(sections, s)
		tiles = append(tiles, newTile(s, groups[name]))
	}
	return tiles, sections
}

func newTile(s section, trends []history.Trend) tile {
	t := trends[0]
	for _, candidate := range trends {
		if candidate.Op == headlines()[candidate.Category] {
			t = candidate
			break
		}
	}
	l := headline(t)
	last := l.Points[len(l.Points)-1]
	out := tile{Name: s.Name, Link: "#" + s.ID, Op: termtext.Cell(t.Op), Value: termtext.Cell(compare.ValueAlone(last.Median, t.Unit)), Class: "same"}
	values := make([]float64, len(l.Points))
	for i, p := range l.Points {
		values[i] = p.Median
	}
	out.Spark = spark(values)
	type change struct{ op, since string }
	changed := make(map[change]bool) // once, on however many machines
	for _, tr := range trends {
		for _, line := range slices.Concat(tr.Lines, tr.Overall) {
			for _, c := range line.Changes {
				changed[change{tr.Op + " " + tr.Unit, line.Points[c.At].Title}] = true
			}
		}
	}
	out.Change = "no change of level"
	if len(l.Points) == 1 {
		out.Change = "1 release"
	}
	if n := len(changed); n > 0 {
		out.Change, out.Class = termtext.Plural(n, "change")+" of level", "changed"
	}
	return out
}

// spark is the path of a small line of 100 by 24 pixels.
func spark(values []float64) string {
	y := newScale(values, 22, 2)
	path := ""
	for i, v := range values {
		x := 50.0
		if len(values) > 1 {
			x = 2 + 96*float64(i)/float64(len(values)-1)
		}
		path += []string{"L", "M"}[boolIndex(i == 0)] + px(x) + " " + px(y.at(v))
	}
	return path
}
