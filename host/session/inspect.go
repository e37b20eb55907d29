package session

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/montanaflynn/stats"
)

// Bounds on what a summary reads: names of tools and domains are made up by a
// guest, and a file may come from anybody.
const (
	maxGroups    = 1000      // that are shown
	maxRead      = 10_000    // that are counted apart while reading
	maxName      = 256       // characters of a name
	maxRows      = 5_000_000 // of one table
	inspectLimit = 2 * time.Minute
)

// others is the name of all groups beyond maxRead.
const others = "(others)"

// A Summary is what a session database says. Its JSON is its documented form.
type Summary struct {
	Path   string      `json:"path"`
	Tables []Table     `json:"tables"`
	Tools  []ToolUsage `json:"mcp_tool_usage"`
	// Domains are the proxy's requests, the most used domain first.
	Domains []DomainUsage `json:"proxy_usage"`
	// Split is set by the caller for a benchmark run; see [DB.Split].
	Split *Split `json:"snapshot_split,omitempty"`
	// Requests are set by the caller too; see [DB.SplitRequests].
	Requests []RequestSplit `json:"request_split,omitempty"`
	// Calls and Percentiles are set by [DB.SingleCalls].
	Calls       []Call       `json:"calls,omitempty"`
	Percentiles []Percentile `json:"percentiles,omitempty"`
	// Notes say what the database could not tell, one sentence each.
	Notes []string `json:"notes,omitempty"`
}

// A Table is one table of a session database and its number of rows.
type Table struct {
	Name    string `json:"table"`
	Present bool   `json:"present"`
	Rows    int64  `json:"rows"`
}

// A ToolUsage is the calls of one MCP tool that ended in one way. Times are in
// ms, measured on the host; percentiles interpolate linearly (type 7). They
// are null when no row has a duration.
type ToolUsage struct {
	Tool     string   `json:"tool_name"`
	Decision string   `json:"decision"`
	Count    int64    `json:"count"`
	MeanMS   *float64 `json:"avg_ms"`
	P50MS    *float64 `json:"p50_ms"`
	P95MS    *float64 `json:"p95_ms"`
	MaxMS    *float64 `json:"max_ms"`
}

// A DomainUsage is the proxy's requests to one domain. The times in ms are of
// the allowed requests alone, for a refusal is fast; null if there is none.
type DomainUsage struct {
	Domain   string   `json:"domain"`
	Requests int64    `json:"requests"`
	Allowed  int64    `json:"allowed"`
	Denied   int64    `json:"denied"`
	Errors   int64    `json:"errors"` // whatever is neither allowed nor denied
	Sent     int64    `json:"bytes_sent"`
	Received int64    `json:"bytes_received"`
	MeanMS   *float64 `json:"avg_ms"`
	P95MS    *float64 `json:"p95_ms"`
}

// Inspect reads the whole database. A missing table or column is a note, not
// an error; a damaged file is an error.
func (d *DB) Inspect(ctx context.Context) (*Summary, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, inspectLimit, fmt.Errorf("it took longer than %v", inspectLimit))
	defer cancel()
	s := &Summary{Path: d.path, Tools: []ToolUsage{}, Domains: []DomainUsage{}}
	for _, step := range []func(context.Context, *Summary) error{d.countRows, d.toolUsage, d.domainUsage} {
		if err := step(ctx, s); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, fmt.Errorf("inspecting %s: %w", d.path, err)
		}
	}
	return s, nil
}

func (d *DB) countRows(ctx context.Context, s *Summary) error {
	for _, name := range tableNames() {
		t := Table{Name: name, Present: d.columns[name] != nil}
		if !t.Present {
			s.Notes = append(s.Notes, "table "+name+" is missing")
		} else if err := d.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+name).Scan(&t.Rows); err != nil {
			return fmt.Errorf("counting %s: %w", name, err)
		}
		if t.Rows > maxRows {
			s.Notes = append(s.Notes, fmt.Sprintf("of table %s the first %d rows were read", name, maxRows))
		}
		s.Tables = append(s.Tables, t)
	}
	return nil
}

// ready reports whether a table has what a report needs, and notes if not.
func (d *DB) ready(s *Summary, report, table string, columns ...string) bool {
	if d.columns[table] == nil {
		return false // noted already
	}
	if !d.has(table, columns...) {
		s.Notes = append(s.Notes, fmt.Sprintf("no %s: table %s lacks one of the columns %v", report, table, columns))
		return false
	}
	if !d.has(table, "duration_us") {
		s.Notes = append(s.Notes, "table "+table+" has whole milliseconds only, cut off: its times are up to 1 ms short")
	}
	return true
}

func (d *DB) toolUsage(ctx context.Context, s *Summary) error {
	const table = "mcp_calls"
	if !d.ready(s, "MCP tool usage", table, "tool_name", "decision") {
		return nil
	}
	rows, err := d.conn.QueryContext(ctx, "SELECT "+shortName("tool_name")+", "+shortName("decision")+", "+d.milliseconds(table)+
		" FROM mcp_calls WHERE tool_name IS NOT NULL LIMIT ?", maxRows)
	if err != nil {
		return fmt.Errorf("reading mcp_calls: %w", err)
	}
	defer rows.Close()
	type key struct{ tool, decision string }
	groups := map[key]*durations{}
	for rows.Next() {
		var k key
		var ms *float64
		if err := rows.Scan(&k.tool, &k.decision, &ms); err != nil {
			return fmt.Errorf("reading mcp_calls: %w", err)
		}
		if len(groups) >= maxRead && groups[k] == nil {
			k.tool = others
		}
		groupOf(groups, k).add(ms)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading mcp_calls: %w", err)
	}
	for k, g := range groups {
		s.Tools = append(s.Tools, ToolUsage{k.tool, k.decision, g.n, g.mean(), g.percentile(50), g.percentile(95), g.percentile(100)})
	}
	slices.SortFunc(s.Tools, func(a, b ToolUsage) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.Decision, b.Decision))
	})
	s.Tools = bounded(s, s.Tools, "tools")
	return nil
}

func (d *DB) domainUsage(ctx context.Context, s *Summary) error {
	const table = "net_events"
	if !d.ready(s, "proxy usage", table, "domain", "decision") {
		return nil
	}
	rows, err := d.conn.QueryContext(ctx, "SELECT "+shortName("domain")+", "+shortName("decision")+", "+
		"coalesce("+d.or(table, "bytes_sent", "0")+", 0), coalesce("+d.or(table, "bytes_received", "0")+", 0), "+
		d.milliseconds(table)+" FROM net_events LIMIT ?", maxRows)
	if err != nil {
		return fmt.Errorf("reading net_events: %w", err)
	}
	defer rows.Close()
	type group struct {
		usage   DomainUsage
		allowed durations
	}
	groups := map[string]*group{}
	for rows.Next() {
		var domain, decision string
		var sent, received int64
		var ms *float64
		if err := rows.Scan(&domain, &decision, &sent, &received, &ms); err != nil {
			return fmt.Errorf("reading net_events: %w", err)
		}
		if len(groups) >= maxRead && groups[domain] == nil {
			domain = others
		}
		g := groupOf(groups, domain)
		g.usage.count(decision, sent, received)
		if decision == "allowed" {
			g.allowed.add(ms)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading net_events: %w", err)
	}
	for domain, g := range groups {
		g.usage.Domain, g.usage.MeanMS, g.usage.P95MS = domain, g.allowed.mean(), g.allowed.percentile(95)
		s.Domains = append(s.Domains, g.usage)
	}
	slices.SortFunc(s.Domains, func(a, b DomainUsage) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Domain, b.Domain))
	})
	s.Domains = bounded(s, s.Domains, "domains")
	return nil
}

func (u *DomainUsage) count(decision string, sent, received int64) {
	u.Requests++
	u.Sent, u.Received = addBytes(u.Sent, sent), addBytes(u.Received, received)
	switch decision {
	case "allowed":
		u.Allowed++
	case "denied":
		u.Denied++
	default:
		u.Errors++
	}
}

// addBytes adds up to the largest number there is; what is negative is no
// number of bytes.
func addBytes(sum, n int64) int64 {
	if n = max(n, 0); sum > math.MaxInt64-n {
		return math.MaxInt64
	}
	return sum + n
}

// shortName is the expression for a column that is a name, bounded.
func shortName(column string) string {
	return fmt.Sprintf("coalesce(substr(CAST(%s AS TEXT), 1, %d), '')", column, maxName)
}

func groupOf[K comparable, G any](groups map[K]*G, k K) *G {
	g := groups[k]
	if g == nil {
		g = new(G)
		groups[k] = g
	}
	return g
}

// bounded cuts a list to maxGroups and notes how many are left out.
func bounded[T any](s *Summary, list []T, what string) []T {
	if len(list) <= maxGroups {
		return list
	}
	s.Notes = append(s.Notes, fmt.Sprintf("%d more %s are left out", len(list)-maxGroups, what))
	return list[:maxGroups]
}

// durations are the times in ms of a group of rows.
type durations struct {
	n  int64 // rows, with a time or without
	ms stats.Float64Data
}

func (d *durations) add(ms *float64) {
	d.n++
	if ms != nil && *ms >= 0 && *ms <= maxMillis { // else no time that a clock measured
		d.ms = append(d.ms, *ms)
	}
}

// maxMillis is the longest time that is one: 300 years.
const maxMillis = 1e13

func (d *durations) mean() *float64 { return known(stats.Mean(d.ms)) }

func (d *durations) percentile(p float64) *float64 { return known(stats.Percentile(d.ms, p)) }

// known is nil where there is no value: both functions above fail on no data.
func known(v float64, err error) *float64 {
	if err != nil {
		return nil
	}
	return &v
}
