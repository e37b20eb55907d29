package session

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// eventAt is a request that reached the proxy ms after the epoch.
func eventAt(ms float64, domain, decision string, took float64) NetEvent {
	e := event(domain, decision, millisecond(took))
	e.Time = epoch.Add(millisecond(ms))
	return e
}

func passAt(op string, start, elapsed float64, ok int64, mean float64) Pass {
	return Pass{
		Op: op, URL: "https://WWW.google.com/", Start: epoch.Add(millisecond(start)), Elapsed: millisecond(elapsed), OK: ok,
		Client: Times{Mean: mean, P50: mean, P95: 2 * mean, P99: 2 * mean, Max: 3 * mean},
	}
}

func TestSplitRequests(t *testing.T) {
	d := opened(t, written(
		t,
		eventAt(30, "www.google.com", "allowed", 6), eventAt(10, "www.google.com", "allowed", 2), // rows need not be in order
		eventAt(20, "other.example", "allowed", 50), eventAt(20, "www.google.com", "denied", 50), // not its own
		eventAt(110, "www.google.com", "allowed", 10), eventAt(120, "www.google.com", "allowed", 12),
		eventAt(210, "www.google.com", "allowed", 1),
		eventAt(300, "www.google.com", "allowed", 1),
	))
	failed := passAt("http/get", 290, 20, 1, 5)
	failed.Failed = 1
	s, err := d.SplitRequests(context.Background(), []Pass{
		passAt("http/get", 0, 100, 2, 10), passAt("http/get", 100, 100, 2, 20), passAt("http/get", 200, 50, 2, 5), failed,
		passAt("throughput/get", 400, 100, 1, 5),
	})
	require.NoError(t, err)
	require.Len(t, s, 2)
	get := s[0]
	assert.Equal(t, "http/get", get.Op)
	assert.EqualValues(t, 4, get.Requests)
	assert.Equal(t, 2, get.Rounds)
	assert.InDelta(t, 15, get.Client.Mean, 1e-9)
	assert.InDelta(t, 7.5, get.Proxy.Mean, 1e-9)
	assert.InDelta(t, 7.5, get.OutsideMS, 1e-9)
	assert.InDelta(t, 30, get.Client.P95, 1e-9)          // of 20 and 40
	assert.InDelta(t, (5.8+11.9)/2, get.Proxy.P95, 1e-9) // of 2, 6 and 10, 12
	assert.InDelta(t, (6.0+12.0)/2, get.Proxy.Max, 1e-9) // the median over rounds
	assert.Equal(t, []string{"2 requests, of which the proxy has 1 in their time", "1 of 2 requests failed"}, get.Unmatched)
	assert.Equal(t, []string{"1 requests, of which the proxy has 0 in their time"}, s[1].Unmatched)
	assert.Zero(t, s[1].Rounds)
}

// The clock of a guest is not quite the host's: a request may lie outside of its
// round by as much.
func TestSplitRequestsWithinTheBound(t *testing.T) {
	d := opened(t, written(t, eventAt(99.5, "www.google.com", "allowed", 1), eventAt(150, "www.google.com", "allowed", 3)))
	p := passAt("http/get", 100, 60, 2, 10)
	s, err := d.SplitRequests(context.Background(), []Pass{p})
	require.NoError(t, err)
	assert.Zero(t, s[0].Rounds)
	p.Bound = time.Millisecond
	s, err = d.SplitRequests(context.Background(), []Pass{p})
	require.NoError(t, err)
	assert.InDelta(t, 2, s[0].Proxy.Mean, 1e-9)
}

func TestSingleCalls(t *testing.T) {
	const create = "Snapshot/files=10/op=create"
	evil := eventAt(50, "evil\x1b[31m.example", "denied", 1)
	d := opened(t, written(
		t,
		eventAt(40, "www.google.com", "allowed", 6), evil,
		helloAt(5), callAt(14, "snapshots_create", 3),
		helloAt(105), callAt(114, "snapshots_create", 5), callAt(200, "fetch_http", 1),
	))
	s, err := d.Inspect(context.Background())
	require.NoError(t, err)
	s.Split, err = d.Split(context.Background(), []OpCall{opCall(create, 0, 20), opCall(create, 100, 30)})
	require.NoError(t, err)
	s.Requests = []RequestSplit{{Op: "http/get", Requests: 1, Rounds: 1, Client: Times{Mean: 9, P50: 9, P95: 9, P99: 9, Max: 9}}}
	require.NoError(t, d.SingleCalls(context.Background(), s))
	var what []string
	for _, c := range s.Calls {
		what = append(what, c.What+" "+c.Op)
	}
	assert.Equal(t, []string{
		"snapshots_create " + create, "GET www.google.com/ ", "GET evil\x1b[31m.example/ ", "snapshots_create " + create, "fetch_http ",
	}, what)
	assert.InDelta(t, 3, *s.Calls[0].HostMS, 1e-9)
	assert.InDelta(t, 20, *s.Calls[0].ClientMS, 1e-9)
	assert.Nil(t, s.Calls[4].ClientMS)
	byName := make(map[string]Percentile)
	for _, p := range s.Percentiles {
		byName[p.Side+" "+p.What] = p
	}
	assert.InDelta(t, 4, byName["gateway snapshots_create"].P50, 1e-9)
	assert.InDelta(t, 29.5, byName["client "+create].P95, 1e-9)
	assert.InDelta(t, 6, byName["proxy www.google.com"].Max, 1e-9)
	assert.InDelta(t, 9, byName["client http/get"].Mean, 1e-9)
	assert.Len(t, byName, 6)
}

// A database without requests, or of another program, has no split of them.
func TestSplitRequestsNeedsItsTable(t *testing.T) {
	path := t.TempDir() + "/session.db"
	madeBy(t, path, "CREATE TABLE net_events (id INTEGER, timestamp TEXT)", "CREATE TABLE mcp_calls (id INTEGER, timestamp TEXT)")
	d := opened(t, path)
	s, err := d.SplitRequests(context.Background(), []Pass{passAt("http/get", 0, 1, 1, 1)})
	require.NoError(t, err)
	assert.Empty(t, s)
	sum := new(Summary)
	require.NoError(t, d.SingleCalls(context.Background(), sum))
	assert.Empty(t, sum.Calls)
}
