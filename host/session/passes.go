package session

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/montanaflynn/stats"
)

// A Pass is the requests of one round of an operation as their client timed
// them, over one connection or several.
type Pass struct {
	Op      string
	URL     string    // requests of other hosts in its time are not its own
	Start   time.Time // by the host's clock
	Elapsed time.Duration
	Bound   time.Duration // how far Start may be off, as of an OpCall
	OK      int64         // requests that succeeded, of which Client is
	Failed  int64
	Client  Times // the client's times
}

// Times summarises the times of requests or calls, in ms. Percentiles
// interpolate linearly (type 7).
type Times struct {
	Mean float64 `json:"mean_ms"`
	P50  float64 `json:"p50_ms"`
	P95  float64 `json:"p95_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
}

// timesOf summarises some times in ms, of which there is at least one.
func timesOf(ms stats.Float64Data) Times {
	var t Times
	t.Mean, _ = ms.Mean() // no data is the only error of these
	t.P50, _ = stats.Percentile(ms, 50)
	t.P95, _ = stats.Percentile(ms, 95)
	t.P99, _ = stats.Percentile(ms, 99)
	t.Max, _ = ms.Max()
	return t
}

// A RequestSplit says where the time of an operation's requests went. The sums
// of client and proxy are over the same requests, so the means can be
// subtracted; a percentile of the one is of another request than that of the
// other. Over several rounds a mean is that of all requests, and any other
// figure the median over the rounds.
type RequestSplit struct {
	Op       string `json:"op"`
	Requests int64  `json:"requests"`
	Rounds   int    `json:"rounds"` // matched
	// Client is from just before a request is written to the end of its answer;
	// the first on a connection has the connect and the TLS handshake in it.
	Client Times `json:"client"`
	// Proxy is from the arrival of a request's headers at the proxy to the end
	// of the answer that it sent: its own work and the origin.
	Proxy Times `json:"proxy"`
	// OutsideMS is the mean of the rest: the guest, TLS, and the way between.
	OutsideMS float64 `json:"outside_ms"`
	// Unmatched says for each round that is left out why.
	Unmatched []string `json:"unmatched,omitempty"`
}

// SplitRequests matches passes with the requests that the proxy has in their
// time. A round is left out where these are not as many: then the sums would be
// of different requests.
func (d *DB) SplitRequests(ctx context.Context, passes []Pass) ([]RequestSplit, error) {
	if len(passes) == 0 || !d.has("net_events", "timestamp", "decision", "domain") {
		return nil, nil
	}
	rows, err := d.requestRows(ctx)
	if err != nil {
		return nil, err
	}
	var out []RequestSplit
	parts := make(map[string]*passParts)
	for _, p := range passes {
		at := slices.IndexFunc(out, func(s RequestSplit) bool { return s.Op == p.Op })
		if at < 0 {
			at, out = len(out), append(out, RequestSplit{Op: p.Op})
		}
		s := &out[at]
		proxy, err := p.rows(rows)
		if err != nil {
			s.Unmatched = append(s.Unmatched, err.Error())
			continue
		}
		s.Requests += p.OK
		s.Rounds++
		groupOf(parts, p.Op).add(p.OK, p.Client, timesOf(proxy))
	}
	for i := range out {
		if g := parts[out[i].Op]; g != nil {
			out[i].Client, out[i].Proxy = g.client.over(g.weights), g.proxy.over(g.weights)
			out[i].OutsideMS = max(out[i].Client.Mean-out[i].Proxy.Mean, 0)
		}
	}
	return out, nil
}

// rows returns the times at the proxy of a pass's requests, in ms.
func (p Pass) rows(all []requestRow) (stats.Float64Data, error) {
	if p.Failed > 0 {
		return nil, fmt.Errorf("%d of %d requests failed", p.Failed, p.OK+p.Failed)
	}
	host := p.URL
	if u, err := url.Parse(p.URL); err == nil {
		host = strings.ToLower(u.Hostname())
	}
	within := func(longer time.Duration) (ms stats.Float64Data) {
		begin, end := p.Start.Add(-longer), p.Start.Add(p.Elapsed+longer)
		for _, r := range all {
			if r.domain == host && !r.At.Before(begin) && !r.At.After(end) {
				ms = append(ms, r.Took.Seconds()*1e3)
			}
		}
		return ms
	}
	ms := within(0)
	if wide := within(p.Bound); int64(len(ms)) != p.OK && int64(len(wide)) == p.OK {
		ms = wide // as for a call: the clocks differ, and the wider time may have others'
	}
	if int64(len(ms)) != p.OK || p.OK == 0 {
		return nil, fmt.Errorf("%d requests, of which the proxy has %d in their time", p.OK, len(ms))
	}
	return ms, nil
}

// passParts are the rounds of one operation.
type passParts struct {
	weights       []float64
	client, proxy timesList
}

func (g *passParts) add(n int64, client, proxy Times) {
	g.weights = append(g.weights, float64(n))
	g.client, g.proxy = append(g.client, client), append(g.proxy, proxy)
}

type timesList []Times

// over is the mean of all requests, and the medians of the rest.
func (l timesList) over(weights []float64) Times {
	var sum, n float64
	for i, t := range l {
		sum, n = sum+t.Mean*weights[i], n+weights[i]
	}
	middle := func(f func(Times) float64) float64 {
		var v stats.Float64Data
		for _, t := range l {
			v = append(v, f(t))
		}
		m, _ := v.Median()
		return m
	}
	return Times{
		Mean: sum / math.Max(n, 1),
		P50:  middle(func(t Times) float64 { return t.P50 }),
		P95:  middle(func(t Times) float64 { return t.P95 }),
		P99:  middle(func(t Times) float64 { return t.P99 }),
		Max:  middle(func(t Times) float64 { return t.Max }),
	}
}

// requestRow is an allowed request with its domain.
type requestRow struct {
	Request
	domain string
}

// requestRows reads the allowed requests in order of their arrival.
func (d *DB) requestRows(ctx context.Context) ([]requestRow, error) {
	rows, err := d.conn.QueryContext(ctx, "SELECT timestamp, "+shortName(d.or("net_events", "domain", "NULL"))+", "+d.milliseconds("net_events")+
		" FROM net_events WHERE decision = 'allowed' LIMIT ?", maxCallRows)
	if err != nil {
		return nil, fmt.Errorf("reading net_events of %s: %w", d.path, err)
	}
	defer rows.Close()
	var list []requestRow
	for rows.Next() {
		var stamp, domain string
		var ms *float64
		if err := rows.Scan(&stamp, &domain, &ms); err != nil {
			return nil, fmt.Errorf("reading net_events of %s: %w", d.path, err)
		}
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil || ms == nil || *ms < 0 || *ms > maxMillis {
			continue
		}
		list = append(list, requestRow{Request{at, time.Duration(*ms * float64(time.Millisecond))}, domain})
	}
	slices.SortFunc(list, func(a, b requestRow) int { return a.At.Compare(b.At) })
	return list, rows.Err()
}
