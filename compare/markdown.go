package compare

import (
	"bufio"
	"io"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// WriteMarkdown writes the comparison for a step summary of GitHub or a
// comment: the decision first, one table per category after it.
func WriteMarkdown(w io.Writer, c *Comparison, d *Decision, all bool) error {
	bw := bufio.NewWriter(w)
	if d != nil {
		bw.WriteString("## Gate: " + d.Answer() + "\n\n")
		for _, l := range d.lines()[1:] {
			bw.WriteString("- " + escape(strings.TrimSpace(l)) + "\n")
		}
	} else {
		bw.WriteString("## Comparison\n\n")
	}
	bw.WriteString("\n")
	for _, s := range c.summary() {
		bw.WriteString("- " + escape(s) + "\n")
	}
	if c.moved(all) {
		for _, s := range c.byCategory() {
			bw.WriteString("- " + escape(s) + "\n")
		}
		return bw.Flush()
	}
	for _, cat := range append(catalogue.Categories(), "") {
		markdownCategory(bw, c, cat, all)
	}
	if c.anyFound() {
		bw.WriteString("\n" + escape(legend) + "\n")
	}
	return bw.Flush()
}

func markdownCategory(bw *bufio.Writer, c *Comparison, cat catalogue.Category, all bool) {
	findings := c.shown(cat, all)
	if len(findings) == 0 {
		return
	}
	bw.WriteString("\n### " + title(cat) + "\n\n")
	t := table.NewWriter()
	row := func(cells []string) table.Row {
		out := make(table.Row, len(cells))
		for i, s := range cells {
			out[i] = s
		}
		return out
	}
	t.AppendHeader(row(header))
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 2, Align: text.AlignRight}, {Number: 3, Align: text.AlignRight}, {Number: 6, Align: text.AlignRight}})
	for _, f := range findings {
		out := cells(f)
		for i := range out {
			out[i] = escape(strings.TrimSpace(out[i]))
		}
		if f.Primary && slices.Contains([]Verdict{Slower, Failed, Missing, Faster}, f.Verdict) {
			out[4] = "**" + out[4] + "**"
		}
		t.AppendRow(row(out))
	}
	bw.WriteString(t.RenderMarkdown() + "\n")
	if ns := notes(findings); len(ns) > 0 {
		bw.WriteString("\n")
		for _, n := range ns {
			bw.WriteString("- " + escape(printable(n.String())) + "\n")
		}
	}
}

// escape keeps text from outside from being taken for markup. The bars of a
// table are escaped by the table.
func escape(s string) string {
	return strings.NewReplacer(
		"&", "&amp;", "<", "&lt;", ">", "&gt;", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "@", "@\u200b", "#", "\\#", "!", "\\!",
	).Replace(s)
}
