package session

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

const (
	minWidth = 40
	minName  = 12 // columns of the first column of a table
	indent   = "  "
)

// WriteSummary writes a summary as tables for people, at most width columns
// wide; 0 means 80, less than 0 any width. Names that a guest chose are shortened
// to fit, but never for a reader that has no width, as a file: two names may
// differ at their ends only. Control characters are escaped. The blocks and their first columns are those of
// Capsem's inspect-session.
func WriteSummary(w io.Writer, s *Summary, width int) error {
	switch {
	case width < 0:
		width = math.MaxInt32
	case width == 0:
		width = 80
	}
	r := renderer{width: max(width, minWidth)}
	r.line("", "Session database: "+termtext.Cell(s.Path))
	for _, sentence := range append([]string{s.Split.sentence()}, requestSentences(s.Requests)...) {
		if sentence != "" {
			r.line("", sentence)
		}
	}
	r.out.WriteByte('\n')
	r.events(s.Tables)
	r.tools(s.Tools)
	r.domains(s.Domains)
	r.split(s.Split)
	r.requests(s.Requests)
	r.percentiles(s.Percentiles)
	r.calls(s.Calls)
	for _, n := range s.Notes {
		r.line("", "Note: "+termtext.Cell(n)+".")
	}
	_, err := w.Write(bytes.TrimLeft(r.out.Bytes(), "\n"))
	return err
}

type renderer struct {
	out   bytes.Buffer
	width int
}

// line writes text in as many lines as the width takes, each behind lead.
func (r *renderer) line(lead, text string) {
	for _, l := range layout.Wrap(lead+text, r.width, lead+indent) {
		r.out.WriteString(l + "\n")
	}
}

// block writes a titled table whose first column takes the room that the
// others leave; the columns after the first `left` ones are numbers. Where they
// leave too little, the rows are written one below the other.
func (r *renderer) block(title string, head []string, left int, rows [][]string) {
	r.line("", title)
	room := r.width - len(indent)
	for i, h := range head[1:] {
		widest := len(h)
		for _, row := range rows {
			widest = max(widest, layout.Width(row[i+1]))
		}
		room -= widest + len(indent)
	}
	if room < minName {
		r.stack(head, rows)
		return
	}
	t := table.NewWriter()
	t.SetStyle(plainStyle())
	t.AppendHeader(cells(head))
	for _, row := range rows {
		t.AppendRow(cells(row))
	}
	configs := []table.ColumnConfig{{Number: 1, WidthMax: room, WidthMaxEnforcer: layout.ShortenEnd}}
	for i := left; i < len(head); i++ {
		configs = append(configs, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(configs)
	for line := range strings.SplitSeq(t.Render(), "\n") {
		r.out.WriteString(strings.TrimRight(indent+line, " ") + "\n")
	}
	r.out.WriteByte('\n')
}

// stack writes each row as its first cell, and below it the others with what
// their columns are called.
func (r *renderer) stack(head []string, rows [][]string) {
	for _, row := range rows {
		r.out.WriteString(layout.ShortenEnd(indent+row[0], r.width) + "\n")
		var values []string
		for i, v := range row[1:] {
			values = append(values, head[i+1]+" "+v)
		}
		r.line(indent+indent, strings.Join(values, ", "))
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
			termtext.Cell(t.Tool), termtext.Cell(t.Decision), strconv.FormatInt(t.Count, 10),
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
			termtext.Cell(d.Domain), strconv.FormatInt(d.Requests, 10), strconv.FormatInt(d.Allowed, 10),
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
			termtext.Cell(shortOp(o.Op)), strconv.Itoa(o.Calls), millis(&o.TotalMS),
			millis(&o.GatewayMS), percent(o.GatewayMS, o.TotalMS), millis(&o.StartMS), millis(&o.HandshakeMS), millis(&o.TransportMS),
		})
	}
	if len(rows) > 0 {
		r.block("Snapshot calls, mean ms:", []string{"op", "calls", "total", "gateway", "share", "start", "handshake", "transport"}, 1, rows)
	}
	if len(rows) > 0 {
		r.line(indent, "start: both processes start and connect; handshake: MCP's initialize;")
		r.line(indent, "gateway: the host's own work, and its share of the total; transport: the rest")
		r.out.WriteByte('\n')
	}
	if s.uncertain() {
		r.line(indent, fmt.Sprintf("start and transport are within ±%s ms: guest and host have a clock each", millis(&s.BoundMS)))
		r.out.WriteByte('\n')
	}
	if s.Missed == 0 {
		return
	}
	r.line("", fmt.Sprintf("%d of %d snapshot calls have no rows of their own and are left out:", s.Missed, s.Missed+s.Matched))
	for _, u := range s.Unmatched {
		r.line(indent, termtext.Cell(u.Op)+": "+termtext.Cell(u.Reason))
	}
	if more := s.Missed - len(s.Unmatched); more > 0 {
		r.line(indent, fmt.Sprintf("and %d more", more))
	}
	r.out.WriteByte('\n')
}

// sentence says where the time of the snapshot calls went, "" without any.
func (s *Split) sentence() string {
	if s == nil || s.Matched == 0 {
		return ""
	}
	parts := []struct {
		name string
		ms   float64
	}{{"process start", 0}, {"handshake", 0}, {"the gateway's own work", 0}, {"transport", 0}}
	var total, calls float64
	for _, o := range s.Ops {
		n := float64(o.Calls)
		calls += n
		total += n * o.TotalMS
		for i, ms := range []float64{o.StartMS, o.HandshakeMS, o.GatewayMS, o.TransportMS} {
			parts[i].ms += n * ms
		}
	}
	most := parts[0]
	for _, p := range parts[1:] {
		if p.ms > most.ms {
			most = p
		}
	}
	total, share := total/calls, most.ms/calls
	return fmt.Sprintf("A snapshot call takes %s ms, of which %s ms are %s.", millis(&total), millis(&share), most.name)
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
