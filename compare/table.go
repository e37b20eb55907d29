package compare

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// TextOptions says how text is laid out.
type TextOptions struct {
	Width int  // columns at most; 0 means 80, less than 60 means 60
	Color bool // use ANSI colours
	All   bool // show every metric, also those that are not compared
}

func (o TextOptions) width() int {
	if o.Width == 0 {
		return 80
	}
	return max(o.Width, 60)
}

// WriteText writes one table per category with what belongs beside it, and
// the decision of a gate when there is one. No line is wider than the width
// unless a word of it is.
func WriteText(w io.Writer, c *Comparison, d *Decision, opt TextOptions) error {
	bw := bufio.NewWriter(w)
	line := func(s, indent string) {
		for _, l := range wrap(s, opt.width(), indent) {
			bw.WriteString(l + "\n")
		}
	}
	for _, s := range c.summary() {
		line(s, "  ")
	}
	if c.moved(opt.All) {
		for _, s := range c.byCategory() {
			line("  "+s, "    ")
		}
	} else {
		for _, cat := range append(catalogue.Categories(), "") {
			writeCategory(bw, c, cat, opt)
		}
		if c.anyFound() {
			line("\n"+legend, "  ")
		}
	}
	if d != nil {
		bw.WriteString("\n")
		for _, s := range d.lines() {
			line(s, "    ")
		}
	}
	return bw.Flush()
}

// moved reports whether the movement of everything is told in place of all
// ops. A comparison by force says in every line that it is one.
func (c *Comparison) moved(all bool) bool { return c.sweeping() && !all && !c.Forced }

func (c *Comparison) anyFound() bool {
	return slices.ContainsFunc(c.Judged(), func(f *Finding) bool { return findsCell(f) != "-" })
}

// legend says what the columns are.
const legend = "change: the median over all pairs of an old and a new boot, in brackets its 95 % interval; finds: the smallest slowdown that these boots show with 80 % power"

// lines are a decision in words.
func (d *Decision) lines() []string {
	out := []string{"gate: " + d.Answer()}
	for _, r := range d.Reasons {
		out = append(out, "  "+printable(r))
	}
	for _, r := range d.Remarks {
		out = append(out, "  note: "+printable(r))
	}
	for _, p := range d.Plan {
		out = append(out, "  next: "+p)
	}
	return out
}

// shown returns the findings of a category that a table shows.
func (c *Comparison) shown(cat catalogue.Category, all bool) []*Finding {
	return slices.DeleteFunc(slices.Clone(c.Findings), func(f *Finding) bool {
		return f.Category != cat || !f.Primary && !all && (!f.Duplicate || f.Old.Boots+f.New.Boots == 0)
	})
}

func writeCategory(bw *bufio.Writer, c *Comparison, cat catalogue.Category, opt TextOptions) {
	findings := c.shown(cat, opt.All)
	if len(findings) == 0 {
		return
	}
	width := opt.width()
	bw.WriteString("\n" + paint(title(cat), "1", opt.Color) + "\n")
	rows := make([][]string, 0, len(findings)+1)
	rows = append(rows, slices.Clone(header))
	for _, f := range findings {
		rows = append(rows, cells(f))
	}
	if !slices.ContainsFunc(findings, func(f *Finding) bool { return findsCell(f) != "-" }) {
		cut(rows)
	}
	fit(rows, width)
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
				out[k] = paint(s, colourOf(findings[i-1], k), opt.Color)
			}
		}
		t.AppendRow(out)
	}
	for l := range strings.SplitSeq(t.Render(), "\n") {
		bw.WriteString(strings.TrimRight(l, " ") + "\n")
	}
	for _, n := range notes(findings) {
		for _, l := range wrap("  "+printable(n.String()), width, "    ") {
			bw.WriteString(l + "\n")
		}
	}
}

var header = []string{"op", "old", "new", "change", "verdict", "finds"}

// cells are the row of a finding: op, old, new, change, verdict, finds.
func cells(f *Finding) []string {
	name := label(f)
	if !f.Primary {
		name = "  " + f.Unit
	}
	return []string{name, cellValue(f.Old, f.Unit), cellValue(f.New, f.Unit), changeCell(f), verdictCell(f), findsCell(f)}
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
	out := strings.ReplaceAll(percent(change), " ", "")
	bare := func(x float64) string { return strings.TrimSuffix(strings.ReplaceAll(percent(x), " ", ""), "%") }
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
	if !f.Primary || math.IsInf(f.Smallest, 0) || f.item == nil {
		return "-"
	}
	return strings.TrimPrefix(strings.ReplaceAll(percent(f.Smallest), " ", ""), "+")
}

// fit shortens the names, then drops the last column, until the rows fit.
func fit(rows [][]string, width int) {
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
			row[0] = shortenMiddle(row[0], w)
		}
	}
	if over() > 0 && len(rows[0]) == len(header) {
		cut(rows)
	}
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
		w = max(w, text.StringWidth(row[k]))
	}
	return w
}

// colourOf returns the ANSI attributes of a cell.
func colourOf(f *Finding, column int) string {
	switch {
	case !f.Primary:
		return "2"
	case column != 4:
		return ""
	}
	switch f.Verdict {
	case Slower, Failed, Missing:
		return "31"
	case Faster:
		return "32"
	case Unsure, NotComparable:
		return "33"
	}
	return ""
}

func paint(s, sgr string, color bool) string {
	if !color || sgr == "" || s == "" {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

// printable returns text from outside without what could steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if text.RuneWidth(r) < 1 || r == '\ufffd' {
			return -1
		}
		return r
	}, strings.ReplaceAll(s, "\n", " "))
}

// shortenMiddle cuts s to w columns, keeping both ends.
func shortenMiddle(s string, w int) string {
	r := []rune(s)
	if len(r) <= w || w < 5 {
		return s
	}
	head := (w - 2) / 2
	return string(r[:head]) + ".." + string(r[len(r)-(w-2-head):])
}

// wrap breaks text into lines of at most w columns between words; lines after
// the first begin with indent.
func wrap(s string, w int, indent string) []string {
	var lines []string
	lead := s[:len(s)-len(strings.TrimLeft(s, " \n"))]
	line := strings.TrimLeft(lead, "\n")
	if strings.HasPrefix(lead, "\n") {
		lines = append(lines, "")
	}
	empty := true
	for _, word := range strings.Fields(s) {
		if !empty && text.StringWidth(line)+1+text.StringWidth(word) > w {
			lines = append(lines, line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	return append(lines, line)
}
