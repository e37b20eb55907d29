package convert

import (
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// A grid is one table before it is fitted to a width.
type grid struct {
	title   string
	caption string // below the title, shortened to the width
	head    []column
	rows    []gridRow
}

// A column that is optional is left out, the last one first, when the table
// is too wide.
type column struct {
	name     string
	left     bool
	optional bool
}

// A gridRow has one cell per column. The first cell is the label; it is
// shortened when the table is too wide.
type gridRow []cell

// A cell is a text; res is the operation whose notes concern it.
type cell struct {
	text   string
	spread string // "±3%", left out when the table is too wide
	marks  string // " [1,2]"
	res    *Result
	style  layout.Style
}

func (c cell) String() string { return c.text + c.spread + c.marks }

// table renders a grid with its notes. Cells are marked, so it is final.
func (t *tables) table(g grid) {
	if len(g.rows) == 0 {
		return
	}
	g.dropEmpty()
	notes := t.mark(&g)
	if dropped := fit(&g, t.opt.Width); len(dropped) > 0 {
		notes = append(notes, t.noteLines("* ", "too narrow for "+strings.Join(dropped, ", "))...)
	}
	body := t.render(g)
	title := layout.ShortenMiddle(termtext.Cell(g.title), t.opt.Width)
	indent := max(0, (layout.Width(body[0])-layout.Width(title))/2)
	lines := []string{strings.Repeat(" ", indent) + layout.Paint(title, layout.Bold, t.opt.Color)}
	if g.caption != "" {
		lines = append(lines, layout.ShortenMiddle(termtext.Cell(g.caption), t.opt.Width))
	}
	lines = append(lines, body...)
	t.block(append(lines, notes...))
}

// render draws the grid. The width limit of the style is the last resort for
// values that cannot be shortened.
func (t *tables) render(g grid) []string {
	w := table.NewWriter()
	style := table.StyleLight
	style.Format.Header = text.FormatDefault
	style.Size.WidthMax = t.opt.Width
	w.SetStyle(style)
	head := make(table.Row, len(g.head))
	configs := make([]table.ColumnConfig, len(g.head))
	for i, c := range g.head {
		head[i] = layout.Paint(c.name, layout.Bold, t.opt.Color)
		align := text.AlignRight
		if c.left {
			align = text.AlignLeft
		}
		configs[i] = table.ColumnConfig{Number: i + 1, Align: align, AlignHeader: align}
	}
	w.AppendHeader(head)
	w.SetColumnConfigs(configs)
	for _, row := range g.rows {
		cells := make(table.Row, len(row))
		for i, c := range row {
			cells[i] = layout.Paint(c.String(), c.style, t.opt.Color)
		}
		w.AppendRow(cells)
	}
	return strings.Split(strings.TrimRight(w.Render(), "\n"), "\n")
}

// fit makes the grid at most w columns wide: it drops optional columns,
// shortens the labels, drops the spreads inside cells and then the last
// columns; what it dropped of the latter two it returns. A figure is never
// cut: half a number reads as another one.
func fit(g *grid, w int) (dropped []string) {
	for g.over(w) > 0 && g.lastOptional() > 0 {
		g.drop(g.lastOptional())
	}
	const shortest = 14
	if over := g.over(w); over > 0 {
		g.shorten(0, max(g.widths()[0]-over, shortest))
	}
	if last := len(g.head) - 1; g.over(w) > 0 && g.head[last].left {
		g.shorten(last, max(g.widths()[last]-g.over(w), shortest))
	}
	if g.over(w) > 0 && g.dropSpreads() {
		dropped = append(dropped, "±")
	}
	for g.over(w) > 0 && len(g.head) > 2 {
		last := len(g.head) - 1
		dropped = append(dropped, g.head[last].name)
		g.drop(last)
	}
	return dropped
}

// over returns by how many columns the grid is wider than w.
func (g *grid) over(w int) int {
	over := 1 - w
	for _, cw := range g.widths() {
		over += cw + 3 // a border and two spaces
	}
	return over
}

// shorten cuts the texts of a column to w columns.
func (g *grid) shorten(col, w int) {
	g.head[col].name = layout.ShortenMiddle(g.head[col].name, w)
	for _, row := range g.rows {
		c := &row[col]
		c.text = layout.ShortenMiddle(c.text, w-layout.Width(c.marks))
	}
}

func (g *grid) widths() []int {
	widths := make([]int, len(g.head))
	for i, c := range g.head {
		widths[i] = layout.Width(c.name)
		for _, row := range g.rows {
			widths[i] = max(widths[i], layout.Width(row[i].String()))
		}
	}
	return widths
}

func (g *grid) lastOptional() int {
	for i := len(g.head) - 1; i > 0; i-- {
		if g.head[i].optional {
			return i
		}
	}
	return -1
}

func (g *grid) drop(i int) {
	g.head = slices.Delete(g.head, i, i+1)
	for r := range g.rows {
		g.rows[r] = slices.Delete(g.rows[r], i, i+1)
	}
}

// dropEmpty drops the columns in which no operation has a figure.
func (g *grid) dropEmpty() {
	for i := len(g.head) - 1; i > 1; i-- {
		if !slices.ContainsFunc(g.rows, func(row gridRow) bool { return row[i].text != none }) {
			g.drop(i)
		}
	}
}

func (g *grid) dropSpreads() (any bool) {
	for _, row := range g.rows {
		for i := range row {
			any = any || row[i].spread != ""
			row[i].spread = ""
		}
	}
	return any
}

// A footnote is a note with the operations it concerns.
type footnote struct {
	text string
	ops  map[*Result]bool
}

// mark finds the notes of a grid's operations, marks the cells they concern
// and returns the lines below the table. A note of every operation gets a star
// and no mark in the table; one of a whole column or row is marked once.
func (t *tables) mark(g *grid) (lines []string) {
	ops, notes := t.footnotes(g)
	marks := newMarks(g)
	var common []string
	n := 0
	for _, note := range notes {
		if len(note.ops) == len(ops) {
			common = append(common, note.text)
			continue
		}
		n++
		marks.place(g, note, n)
		lines = append(lines, t.noteLines("["+strconv.Itoa(n)+"] ", note.text)...)
	}
	marks.write(g)
	for _, s := range append(common, strings.Join(t.runNotes(), "; ")) {
		lines = append(lines, t.noteLines("* ", s)...)
	}
	return lines
}

// noteLines wraps a note behind its mark.
func (t *tables) noteLines(mark, note string) []string {
	lines := layout.Wrap(mark+termtext.Cell(note), t.opt.Width, strings.Repeat(" ", len(mark)))
	for i := range lines {
		lines[i] = layout.Paint(lines[i], layout.Faint, t.opt.Color)
	}
	return lines
}

// footnotes collects each different note once, in order of appearance.
func (t *tables) footnotes(g *grid) (ops map[*Result]bool, notes []*footnote) {
	ops = make(map[*Result]bool)
	byText := make(map[string]*footnote)
	for _, row := range g.rows {
		for _, c := range row {
			if c.res == nil || ops[c.res] {
				continue
			}
			ops[c.res] = true
			for _, s := range t.notes(c.res) {
				if byText[s] == nil {
					byText[s] = &footnote{text: s, ops: make(map[*Result]bool)}
					notes = append(notes, byText[s])
				}
				byText[s].ops[c.res] = true
			}
		}
	}
	return ops, notes
}

// marks are the numbers to append to cells; row 0 is the head.
type marks [][][]int

func newMarks(g *grid) marks {
	m := make(marks, len(g.rows)+1)
	for i := range m {
		m[i] = make([][]int, len(g.head))
	}
	return m
}

// place puts number n at the columns that the note concerns wholly, else at
// the rows, else at single cells.
func (m marks) place(g *grid, note *footnote, n int) {
	done := make(map[*Result]bool)
	for col := range g.head {
		if concerned, all := g.concerns(note, done, 0, len(g.rows), col, col+1); all && len(concerned) > 1 {
			m[0][col] = append(m[0][col], n)
			markAll(done, concerned)
		}
	}
	for row := range g.rows {
		if concerned, all := g.concerns(note, done, row, row+1, 0, len(g.head)); all && len(concerned) > 0 {
			m[row+1][0] = append(m[row+1][0], n)
			markAll(done, concerned)
		}
	}
	for r, row := range g.rows {
		for col, c := range row {
			if c.res != nil && note.ops[c.res] && !done[c.res] {
				m[r+1][col] = append(m[r+1][col], n)
				done[c.res] = true
			}
		}
	}
}

// concerns returns the operations of a part of the grid that the note concerns
// and that are not done, and whether it concerns every operation there.
func (g *grid) concerns(note *footnote, done map[*Result]bool, row0, row1, col0, col1 int) (ops []*Result, all bool) {
	all = true
	for _, row := range g.rows[row0:row1] {
		for _, c := range row[col0:col1] {
			if c.res == nil {
				continue
			}
			if !note.ops[c.res] {
				all = false
			} else if !done[c.res] && !slices.Contains(ops, c.res) {
				ops = append(ops, c.res)
			}
		}
	}
	return ops, all
}

func markAll(done map[*Result]bool, ops []*Result) {
	for _, op := range ops {
		done[op] = true
	}
}

func (m marks) write(g *grid) {
	for col := range g.head {
		g.head[col].name += markText(m[0][col])
		for row := range g.rows {
			g.rows[row][col].marks = markText(m[row+1][col])
		}
	}
}

func markText(numbers []int) string {
	if len(numbers) == 0 {
		return ""
	}
	parts := make([]string, len(numbers))
	for i, n := range numbers {
		parts[i] = strconv.Itoa(n)
	}
	return " [" + strings.Join(parts, ",") + "]"
}
