package session

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/montanaflynn/stats"

	"github.com/capsem/capsem-bench/internal/contract"
)

// maxCalls bounds the list of single calls; a query shows any of them. Ten times
// as many are kept to be put in order of time: rows are written when calls end.
const maxCalls = 10_000

// A Call is one call of an MCP tool or one request of the proxy.
type Call struct {
	At       time.Time `json:"at"`   // arrival at the host
	What     string    `json:"what"` // the tool, or method, domain and path
	Decision string    `json:"decision"`
	// HostMS is what gateway or proxy took, null without a duration.
	HostMS *float64 `json:"host_ms"`
	// Op and ClientMS are of the snapshot call that it is part of, where the
	// caller's timing is known.
	Op       string   `json:"op,omitempty"`
	ClientMS *float64 `json:"client_ms,omitempty"`
}

// A Percentile is the times of the calls of one kind, as one side measured them.
type Percentile struct {
	What  string `json:"what"` // a tool, a domain, or an operation
	Side  string `json:"side"` // gateway, proxy or client
	Calls int    `json:"calls"`
	Times
}

// SingleCalls adds to a summary every single call, in order of time, and the
// percentiles of each kind. The summary's splits say what the client measured.
func (d *DB) SingleCalls(ctx context.Context, s *Summary) error {
	matched := make(map[string]CallSplit)
	if s.Split != nil {
		for _, c := range s.Split.Calls {
			matched[c.At.Format(time.RFC3339Nano)+verb(c.Op)] = c
		}
	}
	groups := make(map[[2]string]*stats.Float64Data)
	var order [][2]string
	group := func(what, side string, ms float64) {
		key := [2]string{what, side}
		if groups[key] == nil && len(groups) < maxGroups {
			order = append(order, key)
			groups[key] = new(stats.Float64Data)
		}
		if g := groups[key]; g != nil {
			*g = append(*g, ms)
		}
	}
	all := 0
	err := d.eachCall(ctx, func(c Call, name, side string) {
		if c.HostMS != nil {
			group(name, side, *c.HostMS)
		}
		if side == gatewaySide {
			if m, ok := matched[c.At.Format(time.RFC3339Nano)+strings.TrimPrefix(name, contract.ToolPrefix)]; ok {
				ms := m.Total.Seconds() * 1e3
				c.Op, c.ClientMS = m.Op, &ms
				group(m.Op, "client", ms)
			}
		}
		if all++; len(s.Calls) < 10*maxCalls {
			s.Calls = append(s.Calls, c)
		}
	})
	if err != nil {
		return fmt.Errorf("reading the calls of %s: %w", d.path, err)
	}
	slices.SortStableFunc(s.Calls, func(a, b Call) int { return a.At.Compare(b.At) })
	if more := all - maxCalls; more > 0 {
		s.Calls = s.Calls[:maxCalls]
		s.Notes = append(s.Notes, fmt.Sprintf("%d more calls are left out; 'session query' shows any of them", more))
	}
	for _, key := range order {
		s.Percentiles = append(s.Percentiles, Percentile{key[0], key[1], groups[key].Len(), timesOf(*groups[key])})
	}
	slices.SortStableFunc(s.Percentiles, func(a, b Percentile) int { return cmp.Compare(a.Side, b.Side) })
	for _, r := range s.Requests {
		if r.Rounds > 0 {
			s.Percentiles = append(s.Percentiles, Percentile{r.Op, "client", int(r.Requests), r.Client})
		}
	}
	return nil
}

const (
	gatewaySide = "gateway"
	proxySide   = "proxy"
)

// eachCall reads the calls of tools, then the requests, with the name of their
// kind. Rows without a time that is one are left out.
func (d *DB) eachCall(ctx context.Context, f func(c Call, name, side string)) error {
	read := func(side, table, name, what, where string) error {
		rows, err := d.conn.QueryContext(ctx, "SELECT timestamp, "+shortName(name)+", "+what+", "+shortName("decision")+", "+
			d.milliseconds(table)+" FROM "+table+" "+where+" LIMIT ?", maxCallRows)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var stamp, name string
			var c Call
			if err := rows.Scan(&stamp, &name, &c.What, &c.Decision, &c.HostMS); err != nil {
				return err
			}
			var bad error
			if c.At, bad = time.Parse(time.RFC3339Nano, stamp); bad != nil {
				continue
			}
			if c.HostMS != nil && !(*c.HostMS >= 0 && *c.HostMS <= maxMillis) {
				c.HostMS = nil
			}
			f(c, name, side)
		}
		return rows.Err()
	}
	if d.has("mcp_calls", "timestamp", "tool_name", "decision") {
		if err := read(gatewaySide, "mcp_calls", "tool_name", shortName("tool_name"), "WHERE tool_name IS NOT NULL"); err != nil {
			return err
		}
	}
	if d.has("net_events", "timestamp", "domain", "decision") {
		what := shortName(d.or("net_events", "method", "'-'")) + " || ' ' || " + shortName("domain") + " || " + shortName(d.or("net_events", "path", "''"))
		return read(proxySide, "net_events", "domain", what, "")
	}
	return nil
}
