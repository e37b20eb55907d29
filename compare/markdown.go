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
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// WriteMarkdown writes the comparison for a step summary of GitHub or a
// comment: the answer first, then what changed, then the rest by category. Each
// row has a bar of its change.
func WriteMarkdown(w io.Writer, c *Comparison, d *Decision, all bool) error {
	bw := bufio.NewWriter(w)
	if d != nil {
		bw.WriteString("## Gate: " + d.Answer() + "\n\n")
	} else {
		bw.WriteString("## Comparison\n\n")
	}
	bw.WriteString(Markdown(termtext.Cell(c.Headline(d))) + "\n\n")
	if d != nil {
		for _, l := range d.lines() {
			bw.WriteString("- " + Markdown(strings.TrimSpace(l)) + "\n")
		}
		for _, p := range d.Plan {
			bw.WriteString("- next: " + d.markdownStep(p) + "\n")
		}
		if d.Where != "" {
			bw.WriteString("  where " + Markdown(termtext.Cell(d.Where)) + "\n")
		}
	}
	for _, s := range c.summary(d) {
		bw.WriteString("- " + Markdown(s) + "\n")
	}
	changed := c.changed()
	markdownFindings(bw, "changed", changed, true)
	for _, cat := range append(catalogue.Categories(), "") {
		markdownFindings(bw, title(cat), c.shown(cat, all, changed), false)
	}
	if c.anyFound() {
		bw.WriteString("\n" + Markdown(legend) + "\n")
	}
	if c.anyUnsure() {
		bw.WriteString("\n" + Markdown(unsureLegend) + "\n")
	}
	return bw.Flush()
}

// markdownStep is a step of a plan, as code where a shell takes it. Code ends at
// a backtick, so a command that has one is text.
func (d *Decision) markdownStep(step string) string {
	text := termtext.Cell(step)
	if slices.Contains(d.commands, step) && !strings.Contains(text, "`") {
		return "`" + text + "`"
	}
	return Markdown(text)
}

func markdownFindings(bw *bufio.Writer, name string, findings []*Finding, whole bool) {
	if len(findings) == 0 {
		return
	}
	bw.WriteString("\n### " + name + "\n\n")
	t := table.NewWriter()
	row := func(cells []string) table.Row {
		out := make(table.Row, len(cells))
		for i, s := range cells {
			out[i] = s
		}
		return out
	}
	scale := barScale(findings)
	t.AppendHeader(row(append(slices.Clone(header), fmt.Sprintf("faster ← %s → slower", Percent(math.Expm1(scale))[1:]))))
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 2, Align: text.AlignRight}, {Number: 3, Align: text.AlignRight}, {Number: 6, Align: text.AlignRight}})
	for _, f := range findings {
		out := cells(f, whole)
		for i := range out {
			out[i] = Markdown(strings.TrimSpace(out[i]))
		}
		if f.Primary && slices.Contains([]Verdict{Slower, Failed, Missing, Faster}, f.Verdict) {
			out[4] = "**" + out[4] + "**"
		}
		t.AppendRow(row(append(out, bar(f, scale))))
	}
	bw.WriteString(t.RenderMarkdown() + "\n")
	if ns := notes(findings); len(ns) > 0 {
		bw.WriteString("\n")
		for _, n := range ns {
			bw.WriteString("- " + Markdown(termtext.Cell(n.String())) + "\n")
		}
	}
}

// barHalf is the columns of a bar to each side of no change.
const barHalf = 10

// barScale is the shift at a bar's end: 10 %, or what holds the estimates.
func barScale(findings []*Finding) float64 {
	scale := math.Log(1.1)
	for _, f := range findings {
		if f.Primary && !f.Linear && !math.IsNaN(f.Shift) {
			scale = max(scale, math.Abs(f.Shift))
		}
	}
	return scale
}

// bar draws a shift with its interval, right of the middle where it is slower:
// "`··········│──●──·····`". What passes an end is cut there.
func bar(f *Finding, scale float64) string {
	if !f.Primary || f.Linear || math.IsNaN(f.Shift) || math.IsNaN(f.Lo) {
		return ""
	}
	at := func(x float64) int {
		return barHalf + int(math.Round(barHalf*max(-1, min(1, x/scale))))
	}
	cells := slices.Repeat([]rune{'·'}, 2*barHalf+1)
	for i := at(f.Lo); i <= at(f.Hi); i++ {
		cells[i] = '─'
	}
	cells[barHalf] = '│'
	cells[at(f.Shift)] = '●'
	return "`" + string(cells) + "`"
}

// Markdown keeps text from outside from being taken for markup. The bars of a
// table are escaped by the table.
func Markdown(s string) string { return termtext.Markdown(s) }
