package compare

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// TextOptions says how text is laid out.
type TextOptions struct {
	Width int  // columns at most; 0 means 80, less than 40 means 40
	Color bool // use ANSI colours
	All   bool // show every metric, also those that are not compared
}

func (o TextOptions) width() int {
	if o.Width == 0 {
		return 80
	}
	return max(o.Width, 40)
}

// WriteText writes one table per category with what belongs beside it, and
// the decision of a gate when there is one. Lines fit the width.
func WriteText(w io.Writer, c *Comparison, d *Decision, opt TextOptions) error {
	bw := bufio.NewWriter(w)
	line := func(s, indent string) {
		for _, l := range layout.Wrap(s, opt.width(), indent) {
			bw.WriteString(l + "\n")
		}
	}
	line(termtext.Cell(c.Headline(d)), "  ")
	if d != nil {
		for _, s := range d.lines() {
			line(s, "    ")
		}
		for i, s := range d.next() {
			if !slices.Contains(d.commands, d.Plan[i]) {
				line(s, "    ")
				continue
			}
			for _, l := range layout.WrapCommand(s, opt.width(), "    ") {
				bw.WriteString(l + "\n")
			}
		}
		if d.Where != "" {
			line("    where "+termtext.Cell(d.Where), "    ")
		}
	}
	bw.WriteString("\n")
	for _, s := range c.summary(d) {
		line(s, "  ")
	}
	changed := c.changed()
	writeFindings(bw, "changed", changed, true, opt)
	for _, cat := range append(catalogue.Categories(), "") {
		writeFindings(bw, title(cat), c.shown(cat, opt.All, changed), false, opt)
	}
	if c.anyFound() {
		bw.WriteString("\n")
		line(legend, "  ")
	}
	if c.anyUnsure() {
		line(unsureLegend, "  ")
	}
	return bw.Flush()
}

func (c *Comparison) anyFound() bool {
	return slices.ContainsFunc(c.Judged(), func(f *Finding) bool { return findsCell(f) != "-" })
}

// legend says what the columns are.
const legend = "change: the median over all pairs of an old and a new boot, in brackets its 95 % interval; finds: the smallest slowdown that these boots show with 80 % power"

func (c *Comparison) anyUnsure() bool {
	return slices.ContainsFunc(c.Judged(), func(f *Finding) bool { return f.Verdict == Unsure })
}

// unsureLegend says what stands beside a pass too.
const unsureLegend = "unsure: no slowdown is shown, and one over the budget is not excluded either"

// lines are what belongs beside a headline, and is not in it or in the table of
// what changed.
func (d *Decision) lines() []string {
	var out []string
	for i, r := range d.Reasons {
		if slices.Contains(d.slower, r) || i == 0 && d.Status == CannotTell {
			continue
		}
		out = append(out, "  "+termtext.Cell(r))
	}
	for _, r := range d.Remarks {
		out = append(out, "  note: "+termtext.Cell(r))
	}
	return out
}

// next are the steps to take, one a line.
func (d *Decision) next() []string {
	var out []string
	for _, p := range d.Plan {
		out = append(out, "  next: "+termtext.Cell(p))
	}
	return out
}

// shown returns the findings of a category that a table shows: those that
// did not change, and with all what changed and other metrics too.
func (c *Comparison) shown(cat catalogue.Category, all bool, changed []*Finding) []*Finding {
	return slices.DeleteFunc(slices.Clone(c.Findings), func(f *Finding) bool {
		return f.Category != cat || !all && (!f.Primary || slices.Contains(changed, f))
	})
}

// writeFindings writes one table. Outside the table of a category rows have
// their whole names.
func writeFindings(bw *bufio.Writer, name string, findings []*Finding, whole bool, opt TextOptions) {
	if len(findings) == 0 {
		return
	}
	width := opt.width()
	bw.WriteString("\n" + layout.Paint(name, layout.Bold, opt.Color) + "\n")
	rows := make([][]string, 0, len(findings)+1)
	rows = append(rows, slices.Clone(header))
	for _, f := range findings {
		rows = append(rows, cells(f, whole))
	}
	if !slices.ContainsFunc(findings, func(f *Finding) bool { return findsCell(f) != "-" }) {
		cut(rows)
	}
	if !fit(rows, width) {
		stack(bw, findings, whole, opt)
		return
	}
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	right := func(n int) table.ColumnConfig {
		return table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight}
	}
	t.SetColumnConfigs([]table.ColumnConfig{right(2), right(3), right(6)})
	for i, row := range rows {
		out := make(table.Row, len(row))
		for k, s := range row {
			out[k] = s
			if i > 0 {
				out[k] = layout.Paint(s, colourOf(findings[i-1], k), opt.Color)
			}
		}
		t.AppendRow(out)
	}
	for l := range strings.SplitSeq(t.Render(), "\n") {
		bw.WriteString(strings.TrimRight(l, " ") + "\n")
	}
	writeNotes(bw, findings, width)
}

func writeNotes(bw *bufio.Writer, findings []*Finding, width int) {
	for _, n := range notes(findings) {
		for _, l := range layout.Wrap("  "+termtext.Cell(n.String()), width, "    ") {
			bw.WriteString(l + "\n")
		}
	}
}

// stack writes the rows of a table that is too wide, one below the other: op and
// verdict, then the values. No figure is cut.
func stack(bw *bufio.Writer, findings []*Finding, whole bool, opt TextOptions) {
	width := opt.width()
	for _, f := range findings {
		row := cells(f, whole)
		verdict := layout.Paint(row[4], colourOf(f, 4), opt.Color)
		name := layout.ShortenMiddle(row[0], width-2-layout.Width(row[4]))
		bw.WriteString(strings.TrimRight(name+"  "+verdict, " ") + "\n")
		values := row[1] + " -> " + row[2]
		if row[3] != "-" {
			values += ", " + row[3]
		}
		if row[5] != "-" {
			values += ", finds " + row[5]
		}
		for _, l := range layout.Wrap("    "+values, width, "    ") {
			bw.WriteString(l + "\n")
		}
	}
	writeNotes(bw, findings, width)
}

var header = []string{"op", "old", "new", "change", "verdict", "finds"}

// cells are the row of a finding: op, old, new, change, verdict, finds.
func cells(f *Finding, whole bool) []string {
	name := label(f)
	if whole {
		name = termtext.Cell(f.Key())
	}
	if !f.Primary {
		name = "  " + f.Unit
	}
	return []string{name, cellValue(f.Base, f.Unit), cellValue(f.Cand, f.Unit), changeCell(f), verdictCell(f), findsCell(f)}
}

func cellValue(s Sample, unit string) string {
	if s.Boots == 0 {
		return "-"
	}
	return Value(s.Median, unit)
}

func changeCell(f *Finding) string {
	change, lo, hi, ok := f.Change()
	if !ok {
		return "-"
	}
	out := strings.ReplaceAll(Percent(change), " ", "")
	bare := func(x float64) string { return strings.TrimSuffix(strings.ReplaceAll(Percent(x), " ", ""), "%") }
	if !f.Primary || math.IsNaN(lo) || math.IsInf(lo, 0) || math.IsInf(hi, 0) || f.Judged == ByCount {
		return out
	}
	return fmt.Sprintf("%s [%s,%s]", out, bare(lo), bare(hi))
}

func verdictCell(f *Finding) string {
	switch {
	case !f.Primary && f.Duplicate:
		return "(counted once)"
	case !f.Primary:
		return ""
	case f.Forced:
		return string(f.Verdict) + ", forced"
	}
	return string(f.Verdict)
}

func findsCell(f *Finding) string {
	if !f.Primary || math.IsInf(f.Smallest, 0) || f.op == nil {
		return "-"
	}
	return strings.TrimPrefix(strings.ReplaceAll(Percent(f.Smallest), " ", ""), "+")
}

// fit shortens the names, then drops the last column, until the rows fit. It
// reports whether they do.
func fit(rows [][]string, width int) bool {
	over := func() int {
		sum := -2 - width // no space behind the last column
		for k := range rows[0] {
			sum += 2 + columnWidth(rows, k)
		}
		return sum
	}
	const shortest = 13
	if o := over(); o > 0 {
		w := max(columnWidth(rows, 0)-o, shortest)
		for _, row := range rows {
			row[0] = layout.ShortenMiddle(row[0], w)
		}
	}
	if over() > 0 && len(rows[0]) == len(header) {
		cut(rows)
	}
	return over() <= 0
}

// cut drops the last column.
func cut(rows [][]string) {
	for i := range rows {
		rows[i] = rows[i][:len(rows[i])-1]
	}
}

func columnWidth(rows [][]string, k int) int {
	w := 0
	for _, row := range rows {
		w = max(w, layout.Width(row[k]))
	}
	return w
}

// colourOf returns the style of a cell.
func colourOf(f *Finding, column int) layout.Style {
	switch {
	case !f.Primary:
		return layout.Faint
	case column != 4:
		return layout.Plain
	}
	switch f.Verdict {
	case Slower, Failed, Missing:
		return layout.Red
	case Faster:
		return layout.Green
	case Unsure, NotComparable:
		return layout.Yellow
	}
	return layout.Plain
}
