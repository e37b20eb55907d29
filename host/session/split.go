package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/montanaflynn/stats"

	"github.com/capsem/capsem-bench/internal/contract"
)

// An OpCall is one call of the snapshots command as its caller timed it: the
// operation, when the process was started and how long it took to end.
type OpCall struct {
	Op      string    // "Snapshot/files=10/op=create", or just "create"
	Start   time.Time // by the host's clock
	Elapsed time.Duration
	// Bound is how far Start may be off, where the caller's clock is another
	// than the host's.
	Bound time.Duration
}

// A Split says where the time of snapshot calls went. It joins the caller's
// timing with the gateway's rows by time. What is wrong with Start moves time
// between process start and transport; gateway and handshake are differences
// of the host's clock alone and stay right.
type Split struct {
	Ops       []OpSplit       `json:"ops"` // in the order of their first call
	Matched   int             `json:"matched"`
	Unmatched []UnmatchedCall `json:"unmatched,omitempty"`
	// Missed counts all unmatched calls; Unmatched lists the first of them.
	Missed int `json:"missed"`
	// BoundMS is how far process start and transport may be off, one by as
	// much as the other the other way; 0 where guest and host have one clock.
	BoundMS float64 `json:"clock_bound_ms,omitempty"`
	// Calls are the matched calls, in their order.
	Calls []CallSplit `json:"-"`
}

// A CallSplit is where the time of one call went. The four parts add up to the
// total; see OpSplit for what they are.
type CallSplit struct {
	Op                                          string
	At                                          time.Time // arrival of tools/call at the gateway
	Total, Start, Handshake, Gateway, Transport time.Duration
}

// An OpSplit is the mean over the matched calls of one operation, in ms. The
// four parts add up to the total.
type OpSplit struct {
	Op    string `json:"op"`
	Calls int    `json:"calls"` // matched
	// TotalMS is from the start of the process to its end.
	TotalMS float64 `json:"total_ms"`
	// StartMS is from there to the arrival of initialize at the gateway: both
	// processes start, the relay connects.
	StartMS float64 `json:"process_start_ms"`
	// HandshakeMS is from the arrival of initialize to that of tools/call.
	HandshakeMS float64 `json:"handshake_ms"`
	// GatewayMS is the gateway's own time for tools/call.
	GatewayMS float64 `json:"gateway_ms"`
	// TransportMS is the rest: the answer's way back, printing it, the ends of
	// connection and processes.
	TransportMS float64 `json:"transport_ms"`
}

// An UnmatchedCall is a call without rows that belong to it beyond doubt.
type UnmatchedCall struct {
	Op     string    `json:"op"`
	Start  time.Time `json:"start"`
	Reason string    `json:"reason"`
}

const (
	// maxUnmatched bounds the list of unmatched calls.
	maxUnmatched = 20
	// maxCallRows bounds the rows that a split reads.
	maxCallRows = 2_000_000
)

// callRow is what a split needs of a row of mcp_calls.
type callRow struct {
	at   time.Time
	tool string // "" for initialize
	took time.Duration
}

// Split matches calls with rows of mcp_calls whose time of arrival lies within
// the call, and splits the time of each. A call that has not exactly one
// initialize followed by one tools/call of its tool is unmatched: two clients
// at once cannot be distinguished.
func (d *DB) Split(ctx context.Context, calls []OpCall) (*Split, error) {
	rows, err := d.callRows(ctx)
	if err != nil {
		return nil, fmt.Errorf("splitting snapshot calls of %s: %w", d.path, err)
	}
	s := &Split{Ops: []OpSplit{}}
	parts := map[string]*[5]stats.Float64Data{}
	var order []string
	for _, call := range calls {
		p, at, err := splitCall(call, rows)
		if err != nil {
			s.miss(call, err)
			continue
		}
		s.Matched++
		s.Calls = append(s.Calls, CallSplit{call.Op, at, p[0], p[1], p[2], p[3], p[4]})
		s.BoundMS = max(s.BoundMS, call.Bound.Seconds()*1e3)
		if parts[call.Op] == nil {
			order = append(order, call.Op)
		}
		g := groupOf(parts, call.Op)
		for i, v := range p {
			g[i] = append(g[i], v.Seconds()*1e3)
		}
	}
	for _, op := range order {
		s.Ops = append(s.Ops, opSplit(op, parts[op]))
	}
	return s, nil
}

func (s *Split) miss(call OpCall, err error) {
	s.Missed++
	if len(s.Unmatched) < maxUnmatched {
		s.Unmatched = append(s.Unmatched, UnmatchedCall{call.Op, call.Start, err.Error()})
	}
}

func opSplit(op string, parts *[5]stats.Float64Data) OpSplit {
	var mean [5]float64
	for i := range parts {
		mean[i], _ = parts[i].Mean() // a group has at least one call
	}
	return OpSplit{
		Op: op, Calls: parts[0].Len(), TotalMS: mean[0], StartMS: mean[1],
		HandshakeMS: mean[2], GatewayMS: mean[3], TransportMS: mean[4],
	}
}

// splitCall returns total, process start, handshake, gateway and transport, and
// when the call arrived at the gateway.
func splitCall(call OpCall, rows []callRow) (parts [5]time.Duration, at time.Time, err error) {
	hello, answer, err := rowsOf(call, rows, 0)
	if err != nil && call.Bound > 0 {
		// The ends of the call may be further out. Looked for second, because
		// that may also catch a row of the call before or after.
		if h, a, werr := rowsOf(call, rows, call.Bound); werr == nil {
			hello, answer, err = h, a, nil
		}
	}
	if err != nil {
		return parts, at, err
	}
	start, handshake, gateway := hello.at.Sub(call.Start), answer.at.Sub(hello.at), answer.took
	rest := call.Elapsed - handshake - gateway // of start and transport
	if rest < 0 || start > rest+call.Bound {
		return parts, at, errors.New("the gateway took longer than the call: the clocks differ")
	}
	start = max(0, min(start, rest))
	return [5]time.Duration{call.Elapsed, start, handshake, gateway, rest - start}, answer.at, nil
}

// rowsOf finds the rows within a call, which may be longer at both ends.
func rowsOf(call OpCall, rows []callRow, longer time.Duration) (initialize, tool callRow, err error) {
	begin, end := call.Start.Add(-longer), call.Start.Add(call.Elapsed+longer)
	first := sort.Search(len(rows), func(i int) bool { return !rows[i].at.Before(begin) })
	var hello, answer []callRow
	for _, r := range rows[first:] {
		if r.at.After(end) {
			break
		}
		switch r.tool {
		case "":
			hello = append(hello, r)
		case contract.ToolPrefix + verb(call.Op):
			answer = append(answer, r)
		}
	}
	switch {
	case len(hello) == 0 && len(answer) == 0:
		return callRow{}, callRow{}, errors.New("no rows within its time")
	case len(hello) != 1 || len(answer) != 1:
		return callRow{}, callRow{}, fmt.Errorf("ambiguous: %d initialize and %d tools/call rows within its time", len(hello), len(answer))
	case answer[0].at.Before(hello[0].at):
		return callRow{}, callRow{}, errors.New("tools/call before initialize")
	}
	return hello[0], answer[0], nil
}

// verb returns the snapshots command of an operation's name.
func verb(op string) string {
	for part := range strings.SplitSeq(op, "/") {
		if v, ok := strings.CutPrefix(part, "op="); ok {
			return v
		}
	}
	return op[strings.LastIndexByte(op, '/')+1:]
}

// callRows reads the rows that a split is about, in order of time.
func (d *DB) callRows(ctx context.Context) ([]callRow, error) {
	if !d.has("mcp_calls", "timestamp", "method", "tool_name") {
		return nil, errors.New("table mcp_calls is missing or lacks the columns timestamp, method, tool_name")
	}
	rows, err := d.conn.QueryContext(ctx, "SELECT timestamp, tool_name, "+d.milliseconds("mcp_calls")+
		" FROM mcp_calls WHERE method = 'initialize' OR (method = 'tools/call' AND tool_name LIKE 'snapshots\\_%' ESCAPE '\\') LIMIT ?",
		maxCallRows+1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []callRow
	for rows.Next() {
		var at string
		var tool *string
		var ms *float64
		if err := rows.Scan(&at, &tool, &ms); err != nil {
			return nil, err
		}
		t, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return nil, fmt.Errorf("mcp_calls: %w", err)
		}
		r := callRow{at: t}
		if tool != nil {
			r.tool = *tool
		}
		if ms != nil {
			r.took = time.Duration(*ms * float64(time.Millisecond))
		}
		if list = append(list, r); len(list) > maxCallRows {
			return nil, fmt.Errorf("more than %d rows", maxCallRows)
		}
	}
	slices.SortFunc(list, func(a, b callRow) int { return a.at.Compare(b.at) })
	return list, rows.Err()
}
