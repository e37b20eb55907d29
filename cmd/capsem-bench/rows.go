package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/capsem/capsem-bench/host/session"
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
func rowsTable(res *session.Result) string {
	rows := make([][]string, 0, len(res.Rows)+1)
	rows = append(rows, res.Columns)
	for _, row := range res.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = cell(v)
		}
		rows = append(rows, cells)
	}
	return columns(rows)
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
	return escape(s)
}

// escape shows text on one line, control characters as in Go's strings, and
// shortened.
func escape(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxCell {
			b.WriteString("...")
			break
		}
		if r == utf8.RuneError || clean(string(r)) == "" || r == '\n' {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// columns aligns rows, the first of which is the head.
func columns(rows [][]string) string {
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
func sessionTable(list *session.SessionList) string {
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
		row := []string{escape(s.ID), s.Time.UTC().Format(time.DateTime), db}
		if known {
			row = append(row, escape(s.Status), fmt.Sprintf("%d/%d", s.Allowed, s.Requests), strconv.FormatInt(s.MCPCalls, 10))
		}
		rows = append(rows, row)
	}
	return columns(rows)
}
