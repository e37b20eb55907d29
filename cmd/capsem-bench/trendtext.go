package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// text is a table, or, where there is no room for one, each row below its name.
func (v *trendView) text(w *bytes.Buffer, width int) {
	const (
		beside    = 71 // what a row takes beside the sparkline
		nameWidth = 24
	)
	alike := v.alike(nameWidth)
	machine, spark := "", min(max(width-beside, 8), 40)
	head := []string{"op", "first", "releases", "last", "change", "since"}
	row := func(cells []string) {
		if width < beside+spark {
			w.WriteString(stacked(head, cells, width))
			return
		}
		name := layout.ShortenMiddle(cells[0], nameWidth)
		if alike[name] > 1 { // the short name is that of others too: the whole of it has a line of its own
			w.WriteString(strings.Join(layout.Wrap(cells[0], width, "  "), "\n") + "\n")
			name = ""
		}
		line := fmt.Sprintf("%-*s %9s  %-*s %9s %8s  %s", nameWidth, name, cells[1], spark, cells[2], cells[3], cells[4], layout.ShortenMiddle(cells[5], 12))
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	for _, r := range v.byMachine() {
		if r.Machine != machine {
			machine = r.Machine
			if w.Len() > 0 {
				w.WriteByte('\n')
			}
			fmt.Fprintf(w, "%s\n", layout.ShortenEnd(termtext.Cell(machine), width))
			if width >= beside+spark {
				row(head)
			}
		}
		first, last := r.Points[0].Median, r.Points[len(r.Points)-1].Median
		since := ""
		if n := len(r.Changes); n > 0 {
			since = r.Changes[n-1].To
		}
		row([]string{termtext.Cell(r.label()), r.value(first), sparkline(r.medians(), spark), r.value(last), compare.Percent(last/first - 1), termtext.Cell(since)})
	}
	v.notes(w, width)
}

// alike says how many names a name that was shortened to a width stands for.
func (v *trendView) alike(width int) map[string]int {
	seen := make(map[string]bool)
	out := make(map[string]int)
	for _, r := range v.rows {
		if name := termtext.Cell(r.label()); !seen[name] {
			seen[name] = true
			out[layout.ShortenMiddle(name, width)]++
		}
	}
	return out
}

// byMachine returns the rows with those of one machine together.
func (v *trendView) byMachine() []trendRow {
	var order []string
	for _, r := range v.rows {
		if !slices.Contains(order, r.Machine) {
			order = append(order, r.Machine)
		}
	}
	rows := slices.Clone(v.rows)
	slices.SortStableFunc(rows, func(a, b trendRow) int { return slices.Index(order, a.Machine) - slices.Index(order, b.Machine) })
	return rows
}

// notes are the changes in words, with what settles them, in lines of at most
// width columns, less than 0 of which is any. A command stays one that a shell takes.
func (v *trendView) notes(w *bytes.Buffer, width int) {
	say := func(s, indent string) {
		lines := []string{s}
		if width >= 0 {
			lines = layout.Wrap(s, width, indent)
		}
		w.WriteString(strings.Join(lines, "\n") + "\n")
	}
	several := slices.ContainsFunc(v.rows, func(r trendRow) bool { return r.Machine != v.rows[0].Machine })
	for _, r := range v.rows {
		for _, c := range r.Changes {
			word := "slower"
			if c.Worse < 0 {
				word = "faster"
			}
			w.WriteByte('\n')
			say(fmt.Sprintf("%s %s since %s (%s before): %s, %s to %s, p %.3f", termtext.Cell(r.label()), word, termtext.Cell(c.To), termtext.Cell(c.From),
				compare.Percent(c.Worse), compare.Percent(c.Lo), compare.Percent(c.Hi), c.P), "  ")
			if several {
				say("  on "+termtext.Cell(r.Machine), "  ")
			}
			if r.Op == suiteOp {
				say("  all operations moved together: the build or the machine, which paired boots tell apart", "  ")
			}
			settle := []string{"  to settle it: " + c.Settle}
			if width >= 0 {
				settle = layout.WrapCommand(settle[0], width, "    ")
			}
			w.WriteString(strings.Join(settle, "\n") + "\n")
		}
	}
	if lines := v.split(); lines > 0 {
		w.WriteByte('\n')
		say(termtext.Plural(lines, "line")+" of operations that another machine, image, kernel or workload has too; they are not joined", "  ")
	}
}

// split counts the lines beyond the first of a metric.
func (v *trendView) split() int {
	seen := make(map[string]int)
	for _, r := range v.rows {
		if r.Machines == 0 {
			seen[r.Op+" "+r.Unit]++
		}
	}
	n := 0
	for key, c := range seen {
		if c > 1 && !strings.HasPrefix(key, suiteOp) {
			n += c - 1
		}
	}
	return n
}

func (v *trendView) markdown(w *bytes.Buffer) {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"op", "machine", "first", "releases", "last", "change", "since"})
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, Align: text.AlignRight}, {Number: 5, Align: text.AlignRight}, {Number: 6, Align: text.AlignRight}})
	safe := func(s string) string { return termtext.Markdown(termtext.Cell(s)) }
	for _, r := range v.rows {
		first, last := r.Points[0].Median, r.Points[len(r.Points)-1].Median
		since := ""
		if n := len(r.Changes); n > 0 {
			since = r.Changes[n-1].To
		}
		t.AppendRow(table.Row{safe(r.label()), safe(r.Machine), r.value(first), sparkline(r.medians(), 20), r.value(last), compare.Percent(last/first - 1), safe(since)})
	}
	w.WriteString(t.RenderMarkdown() + "\n")
	var notes bytes.Buffer
	v.notes(&notes, -1)
	for line := range strings.Lines(notes.String()) {
		line = strings.TrimSuffix(line, "\n")
		body := strings.TrimLeft(line, " ")
		switch {
		case body == line && body != "":
			body = "- " + termtext.Markdown(body)
		case body != "":
			body = "  " + termtext.Markdown(body)
		}
		w.WriteString(body + "\n")
	}
}

func (v *trendView) csv() (string, error) {
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	rows := [][]string{{"op", "unit", "better", "machine", "workload", "title", "time", "boots", "median", "change_worse", "change_lo", "change_hi", "p"}}
	for _, r := range v.rows {
		for i, p := range r.Points {
			row := []string{
				r.Op, r.Unit, r.Better, r.Machine, r.Workload, p.Title, p.Time.Format(time.RFC3339), strconv.Itoa(len(p.Boots)),
				strconv.FormatFloat(p.Median, 'g', -1, 64), "", "", "", "",
			}
			for _, c := range r.Changes {
				if c.at == i {
					for j, x := range []float64{c.Worse, c.Lo, c.Hi, c.P} {
						row[9+j] = strconv.FormatFloat(x, 'g', 4, 64)
					}
				}
			}
			rows = append(rows, row)
		}
	}
	for _, row := range rows {
		for i, c := range row[:6] { // the others are times and numbers
			row[i] = termtext.Spreadsheet(c)
		}
	}
	err := w.WriteAll(rows)
	return buf.String(), err
}

// label names the row: with its unit where that is not what everybody
// expects.
func (r trendRow) label() string {
	if r.Unit == "ns/op" || r.Op == suiteOp {
		return r.Op
	}
	return r.Op + " " + r.Unit
}

func (r trendRow) value(v float64) string {
	if r.Op == suiteOp {
		return compare.Percent(v - 1)
	}
	return compare.Value(v, r.Unit)
}

func (r trendRow) medians() []float64 {
	out := make([]float64, len(r.Points))
	for i, p := range r.Points {
		out[i] = p.Median
	}
	return out
}

// sparkline draws values as blocks of eight heights, the least at the bottom:
// at most so many, of a longer sequence the means of equal parts.
func sparkline(values []float64, most int) string {
	if len(values) > most {
		parts := make([]float64, most)
		for i := range parts {
			part := values[i*len(values)/most : (i+1)*len(values)/most]
			for _, v := range part {
				parts[i] += v / float64(len(part))
			}
		}
		values = parts
	}
	lo, hi := slices.Min(values), slices.Max(values)
	var b strings.Builder
	for _, v := range values {
		at := 0
		if hi > lo {
			at = int(math.Round((v - lo) / (hi - lo) * 7))
		}
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[at])
	}
	return b.String()
}
