package session

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// helloAt and callAt are the rows of a snapshots call, ms after the epoch.
func helloAt(ms float64) MCPCall {
	return MCPCall{Time: epoch.Add(millisecond(ms)), Server: "gateway", Method: "initialize", Decision: "allowed", Duration: time.Microsecond}
}

func callAt(ms float64, tool string, took float64) MCPCall {
	c := mcp(tool, millisecond(took))
	c.Time = epoch.Add(millisecond(ms))
	return c
}

func millisecond(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func opCall(op string, start, elapsed float64) OpCall {
	return OpCall{Op: op, Start: epoch.Add(millisecond(start)), Elapsed: millisecond(elapsed)}
}

func TestSplit(t *testing.T) {
	const create, list = "Snapshot/files=10/op=create", "Snapshot/files=10/op=list"
	d := opened(t, written(
		t,
		callAt(14, "snapshots_create", 3), helloAt(5), // rows need not be in order
		helloAt(107), callAt(108, "snapshots_create", 5), callAt(109, "fetch_http", 1),
		helloAt(205), callAt(206, "snapshots_list", 1), helloAt(207), // two clients at once
		helloAt(305), callAt(306, "snapshots_delete", 1), // another tool
		helloAt(405), callAt(406, "snapshots_list", 50),
	))
	s, err := d.Split(context.Background(), []OpCall{
		opCall(create, 0, 20), opCall(create, 100, 20), opCall(list, 200, 20), opCall(list, 300, 20),
		opCall(list, 400, 20), opCall(list, 500, 20),
	})
	require.NoError(t, err)
	assert.Equal(t, 2, s.Matched)
	assert.Equal(t, 4, s.Missed)
	require.Len(t, s.Ops, 1)
	op := s.Ops[0]
	assert.Equal(t, 2, op.Calls)
	assert.InDelta(t, 20, op.TotalMS, 1e-6)
	assert.InDelta(t, 6, op.StartMS, 1e-6)
	assert.InDelta(t, 5, op.HandshakeMS, 1e-6)
	assert.InDelta(t, 4, op.GatewayMS, 1e-6)
	assert.InDelta(t, 5, op.TransportMS, 1e-6)
	var reasons []string
	for _, u := range s.Unmatched {
		assert.Equal(t, list, u.Op)
		reasons = append(reasons, u.Reason)
	}
	assert.Equal(t, []string{
		"ambiguous: 2 initialize and 1 tools/call rows within its time",
		"ambiguous: 1 initialize and 0 tools/call rows within its time",
		"the gateway took longer than the call: the clocks differ",
		"no rows within its time",
	}, reasons)
}

// A clock that is not quite the host's may put a row outside of its call. That
// is found within the bound, and no part becomes negative.
func TestSplitWithinTheBound(t *testing.T) {
	d := opened(t, written(
		t,
		helloAt(99.5), callAt(105, "snapshots_create", 5),
		helloAt(205), callAt(220.5, "snapshots_create", 0.1),
		helloAt(399), callAt(404, "snapshots_create", 5), // 1 ms too early
	))
	calls := []OpCall{opCall("create", 100, 20), opCall("create", 200, 20), opCall("create", 400, 20)}
	s, err := d.Split(context.Background(), calls)
	require.NoError(t, err)
	assert.Equal(t, 3, s.Missed)
	for i := range calls {
		calls[i].Bound = millisecond(0.75)
	}
	s, err = d.Split(context.Background(), calls)
	require.NoError(t, err)
	assert.Equal(t, 2, s.Matched)
	assert.InDelta(t, 0.75, s.BoundMS, 1e-9)
	require.Len(t, s.Ops, 1)
	op := s.Ops[0]
	assert.InDelta(t, (0+4.4)/2, op.StartMS, 1e-6)       // the first from -0.5, the second from 5
	assert.InDelta(t, (9.5+0.0)/2, op.TransportMS, 1e-6) // the second from -0.6
	assert.InDelta(t, op.TotalMS, op.StartMS+op.HandshakeMS+op.GatewayMS+op.TransportMS, 1e-9)
	assert.True(t, s.uncertain())
}

func TestSplitNeedsItsTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session.db")
	madeBy(t, path, "CREATE TABLE mcp_calls (id INTEGER, timestamp TEXT)")
	_, err := opened(t, path).Split(context.Background(), nil)
	require.ErrorContains(t, err, "lacks the columns")
}

func TestVerb(t *testing.T) {
	for op, want := range map[string]string{
		"Snapshot/files=10/op=create": "create", "snapshot/10/list": "list", "delete": "delete", "": "",
	} {
		assert.Equal(t, want, verb(op), op)
	}
}
