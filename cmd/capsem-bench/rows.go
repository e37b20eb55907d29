package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// This file prints rows of session databases. Their text came from a guest.

// maxCell bounds what is shown of one value, in characters.
const maxCell = 200

// maxStatement bounds a statement from standard input.
const maxStatement = 1 << 20

// statement returns the SQL given, or read from standard input.
func (a *app) statement(arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	text, err := io.ReadAll(io.LimitReader(a.stdin, maxStatement+1))
	if err != nil {
		return "", exit(exitUsage, fmt.Errorf("reading standard input: %w", err))
	}
	if len(text) > maxStatement {
		return "", usage("standard input: a statement has at most 1 MiB")
	}
	return string(text), nil
}

// rowsTable lays the rows of a query out in columns.
func rowsTable(res *session.Result, width int) string {
	rows := make([][]string, 0, len(res.Rows)+1)
	rows = append(rows, res.Columns)
	for _, row := range res.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = cell(v)
		}
		rows = append(rows, cells)
	}
	return columns(rows, width)
}

// cell shows one value of a database.
func cell(v any) string {
	var s string
	switch v := v.(type) {
	case nil:
		return "NULL"
	case []byte:
		if len(v) > maxCell/2 {
			return fmt.Sprintf("x'%x...' (%d bytes)", v[:maxCell/2], len(v))
		}
		return fmt.Sprintf("x'%x'", v)
	case float64:
		s = strconv.FormatFloat(v, 'g', -1, 64)
	default:
		s = fmt.Sprint(v)
	}
	return termtext.Short(s, maxCell)
}

// columns aligns rows, the first of which is the head. Where they are wider than
// width, less than 0 of which is any, each row is its first cell with the others
// below it.
func columns(rows [][]string, width int) string {
	out := aligned(rows)
	if width < 0 || fits(out, width) {
		return out
	}
	return below(rows, width)
}

// below is a table that is too wide: each row without its columns.
func below(rows [][]string, width int) string {
	var b strings.Builder
	for _, row := range rows[1:] {
		b.WriteString(stacked(rows[0], row, width))
	}
	return b.String()
}

// stacked is a row of a table that is too wide: its first cell, and the others
// below it with what they are. Cells without text are left out.
func stacked(head, row []string, width int) string {
	var values []string
	for i, v := range row[1:] {
		if v != "" {
			values = append(values, head[i+1]+" "+v)
		}
	}
	lines := append(layout.Wrap(row[0], width, "  "), layout.Wrap("  "+strings.Join(values, ", "), width, "  ")...)
	return strings.Join(lines, "\n") + "\n"
}

// fits reports whether no line is wider than width.
func fits(text string, width int) bool {
	return !slices.ContainsFunc(strings.Split(text, "\n"), func(l string) bool { return layout.Width(l) > width })
}

// statesTable shows checks: name, state and value of each. Where a table leaves
// too little for the values, each is a line of text.
func statesTable(checks [][3]string, width int) string {
	const narrowest = 60
	if width < narrowest {
		var b strings.Builder
		for _, c := range checks {
			for _, l := range layout.Wrap(c[0]+": "+c[1]+", "+c[2], width, "  ") {
				b.WriteString(l + "\n")
			}
		}
		return strings.TrimSuffix(b.String(), "\n")
	}
	name, state := 0, 0
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{"check", "state", "value"})
	for _, c := range checks {
		name, state = max(name, layout.Width(c[0]), len("check")), max(state, layout.Width(c[1]), len("state"))
		t.AppendRow(table.Row{c[0], c[1], c[2]})
	}
	const borders = 10 // four, and a blank on each side of three cells
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, WidthMax: width - name - state - borders, WidthMaxEnforcer: text.WrapSoft}})
	return t.Render()
}

// aligned is rows in columns.
func aligned(rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, s := range row {
			if i > 0 {
				_, _ = io.WriteString(w, "\t")
			}
			_, _ = io.WriteString(w, s)
		}
		_, _ = io.WriteString(w, "\n")
	}
	_ = w.Flush()
	var out strings.Builder
	for line := range strings.Lines(b.String()) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return out.String()
}

// sessionTable lists sessions; what main.db knows is shown where there is one.
func sessionTable(list *session.SessionList, width int) string {
	known := false
	for _, s := range list.Sessions {
		known = known || s.Status != ""
	}
	head := []string{"SESSION", "TIME (UTC)", "SIZE"}
	if known {
		head = append(head, "STATUS", "REQUESTS", "MCP")
	}
	rows := [][]string{head}
	for _, s := range list.Sessions {
		db := "gone"
		if s.Path != "" {
			db = size(s.Size)
		}
		row := []string{termtext.Short(s.ID, maxCell), s.Time.UTC().Format(time.DateTime), db}
		if known {
			row = append(row, termtext.Short(s.Status, maxCell), fmt.Sprintf("%d/%d", s.Allowed, s.Requests), strconv.FormatInt(s.MCPCalls, 10))
		}
		rows = append(rows, row)
	}
	return columns(rows, width)
}
