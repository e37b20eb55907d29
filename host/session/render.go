package session

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

const (
	minWidth = 60
	indent   = "  "
)

// WriteSummary writes a summary as tables for people, at most width columns
// wide; 0 means 80. Names that a guest chose are shortened to fit, and their
// control characters escaped. The blocks and their first columns are those of
// Capsem's inspect-session.
func WriteSummary(w io.Writer, s *Summary, width int) error {
	if width <= 0 {
		width = 80
	}
	r := renderer{width: max(width, minWidth)}
	fmt.Fprintf(&r.out, "Session database: %s\n\n", printable(s.Path))
	r.events(s.Tables)
	r.tools(s.Tools)
	r.domains(s.Domains)
	r.split(s.Split)
	for _, n := range s.Notes {
		fmt.Fprintf(&r.out, "Note: %s.\n", printable(n))
	}
	_, err := w.Write(bytes.TrimLeft(r.out.Bytes(), "\n"))
	return err
}

type renderer struct {
	out   bytes.Buffer
	width int
}

// block writes a titled table whose first column takes the room that the
// others leave; the columns after the first `left` ones are numbers.
func (r *renderer) block(title string, head []string, left int, rows [][]string) {
	fmt.Fprintf(&r.out, "%s\n", title)
	room := r.width - len(indent)
	for i, h := range head[1:] {
		widest := len(h)
		for _, row := range rows {
			widest = max(widest, text.StringWidthWithoutEscSequences(row[i+1]))
		}
		room -= widest + len(indent)
	}
	t := table.NewWriter()
	t.SetStyle(plainStyle())
	t.AppendHeader(cells(head))
	for _, row := range rows {
		t.AppendRow(cells(row))
	}
	configs := []table.ColumnConfig{{Number: 1, WidthMax: max(room, 12), WidthMaxEnforcer: shorten}}
	for i := left; i < len(head); i++ {
		configs = append(configs, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(configs)
	for line := range strings.SplitSeq(t.Render(), "\n") {
		r.out.WriteString(strings.TrimRight(indent+line, " ") + "\n")
	}
	r.out.WriteByte('\n')
}

// plainStyle has two blanks between columns and a rule below the header.
func plainStyle() table.Style {
	return table.Style{
		Name: "plain",
		Box: table.BoxStyle{
			MiddleHorizontal: "-", MiddleSeparator: indent, MiddleVertical: indent,
		},
		Format:  table.FormatOptions{Header: text.FormatDefault},
		Options: table.Options{SeparateColumns: true, SeparateHeader: true},
	}
}

func cells(texts []string) table.Row {
	row := make(table.Row, len(texts))
	for i, t := range texts {
		row[i] = t
	}
	return row
}

// shorten keeps the beginning of a name, in one line.
func shorten(s string, width int) string {
	if text.StringWidthWithoutEscSequences(s) <= width {
		return s
	}
	return text.Trim(s, width-1) + "…"
}

func (r *renderer) events(tables []Table) {
	var rows [][]string
	for _, t := range tables {
		n := strconv.FormatInt(t.Rows, 10)
		if !t.Present {
			n = "missing"
		}
		rows = append(rows, []string{t.Name, n})
	}
	r.block("Event counts:", []string{"table", "rows"}, 1, rows)
}

func (r *renderer) tools(tools []ToolUsage) {
	if len(tools) == 0 {
		return
	}
	var rows [][]string
	for _, t := range tools {
		rows = append(rows, []string{
			printable(t.Tool), printable(t.Decision), strconv.FormatInt(t.Count, 10),
			millis(t.MeanMS), millis(t.P50MS), millis(t.P95MS), millis(t.MaxMS),
		})
	}
	r.block("MCP tool usage:", []string{"tool_name", "decision", "count", "avg_ms", "p50_ms", "p95_ms", "max_ms"}, 2, rows)
}

func (r *renderer) domains(domains []DomainUsage) {
	if len(domains) == 0 {
		return
	}
	head := []string{"domain", "count", "allowed", "denied", "error", "received", "avg_ms", "p95_ms"}
	// A benchmark sends nothing, and the room is better used for names.
	sent := slices.ContainsFunc(domains, func(d DomainUsage) bool { return d.Sent > 0 })
	if sent {
		head = slices.Insert(head, 5, "sent")
	}
	var rows [][]string
	for _, d := range domains {
		row := []string{
			printable(d.Domain), strconv.FormatInt(d.Requests, 10), strconv.FormatInt(d.Allowed, 10),
			strconv.FormatInt(d.Denied, 10), strconv.FormatInt(d.Errors, 10), bytesText(d.Received),
			millis(d.MeanMS), millis(d.P95MS),
		}
		if sent {
			row = slices.Insert(row, 5, bytesText(d.Sent))
		}
		rows = append(rows, row)
	}
	r.block("Proxy usage:", head, 1, rows)
}

func (r *renderer) split(s *Split) {
	if s == nil {
		return
	}
	var rows [][]string
	for _, o := range s.Ops {
		rows = append(rows, []string{
			printable(shortOp(o.Op)), strconv.Itoa(o.Calls), millis(&o.TotalMS),
			millis(&o.GatewayMS), percent(o.GatewayMS, o.TotalMS), millis(&o.StartMS), millis(&o.HandshakeMS), millis(&o.TransportMS),
		})
	}
	if len(rows) > 0 {
		r.block("Snapshot calls, mean ms:", []string{"op", "calls", "total", "gateway", "share", "start", "handshake", "transport"}, 1, rows)
	}
	if s.uncertain() {
		fmt.Fprintf(&r.out, "%sstart and transport are within ±%s ms: guest and host have a clock each\n\n", indent, millis(&s.BoundMS))
	}
	if s.Missed == 0 {
		return
	}
	fmt.Fprintf(&r.out, "%d of %d snapshot calls have no rows of their own and are left out:\n", s.Missed, s.Missed+s.Matched)
	for _, u := range s.Unmatched {
		fmt.Fprintf(&r.out, "%s%s: %s\n", indent, printable(u.Op), printable(u.Reason))
	}
	if more := s.Missed - len(s.Unmatched); more > 0 {
		fmt.Fprintf(&r.out, "%sand %d more\n", indent, more)
	}
	r.out.WriteByte('\n')
}

// millis shows 10 µs up to 100 ms: a gateway's call may take 0.3 ms.
func millis(v *float64) string {
	switch {
	case v == nil:
		return "-"
	case *v < 100:
		return strconv.FormatFloat(*v, 'f', 2, 64)
	}
	return strconv.FormatFloat(*v, 'f', 1, 64)
}

// shortOp is an operation's name without what all of them have, so that the
// table fits 80 columns.
func shortOp(op string) string {
	return strings.Replace(strings.TrimPrefix(op, "Snapshot/"), "/op=", "/", 1)
}

// percent shows a part of a whole, to the digit that a person uses.
func percent(part, whole float64) string {
	if whole <= 0 {
		return "-"
	}
	return strconv.FormatFloat(100*part/whole, 'f', 1, 64) + "%"
}

// uncertain reports whether what the clocks leave open is of the order of what
// is shown: a tenth of a start or a transport.
func (s *Split) uncertain() bool {
	return slices.ContainsFunc(s.Ops, func(o OpSplit) bool { return s.BoundMS > 0 && 10*s.BoundMS >= min(o.StartMS, o.TransportMS) })
}

func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// printable escapes what a terminal would act on or not show: a guest chose
// these texts.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}
