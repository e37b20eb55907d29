package session

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sample is a session with some of everything.
func sample(t *testing.T) string {
	t.Helper()
	failed := mcp("snapshots_create", 900*time.Microsecond)
	failed.Decision, failed.Error, failed.Response = "error", "no manual snapshot slots available (max 12)", ""
	evil := mcp("snapshots_list\x1b[31m\n", 0)
	rows := []any{
		failed, evil,
		MCPCall{Time: epoch, Server: "gateway", Method: "initialize", Decision: "allowed"},
		event("www.google.com", "allowed", 120*time.Millisecond),
		event("www.google.com", "allowed", 80*time.Millisecond),
		event("www.google.com", "error", time.Millisecond),
		event("evil.example", "denied", time.Millisecond),
		event(strings.Repeat("long.", 20)+"example\x07", "allowed", 1500*time.Millisecond),
	}
	for _, us := range []time.Duration{100, 200, 300, 400} {
		rows = append(rows, mcp("snapshots_create", us*time.Microsecond))
	}
	return written(t, rows...)
}

func TestInspect(t *testing.T) {
	s, err := opened(t, sample(t)).Inspect(context.Background())
	require.NoError(t, err)
	assert.Equal(t, []Table{
		{"net_events", true, 5},
		{"model_calls", true, 0},
		{"tool_calls", true, 0},
		{"tool_responses", true, 0},
		{"mcp_calls", true, 7},
		{"fs_events", true, 0},
	}, s.Tables)
	assert.Empty(t, s.Notes)

	require.Len(t, s.Tools, 3)
	create := s.Tools[0]
	assert.Equal(t, "snapshots_create allowed 4", create.Tool+" "+create.Decision+" "+"4")
	assert.EqualValues(t, 4, create.Count)
	assert.InDelta(t, 0.25, *create.MeanMS, 1e-9)
	assert.InDelta(t, 0.25, *create.P50MS, 1e-9)
	assert.InDelta(t, 0.385, *create.P95MS, 1e-9) // type 7: 0.3 + 0.85 * 0.1
	assert.InDelta(t, 0.4, *create.MaxMS, 1e-9)
	assert.Equal(t, "error", s.Tools[1].Decision)

	google := s.Domains[0]
	assert.Equal(t, "www.google.com", google.Domain)
	assert.Equal(t, []int64{3, 2, 0, 1, 15, 3000}, []int64{google.Requests, google.Allowed, google.Denied, google.Errors, google.Sent, google.Received})
	assert.InDelta(t, 100, *google.MeanMS, 1e-9, "the failed request does not count")
	assert.InDelta(t, 118, *google.P95MS, 1e-9)
	for _, d := range s.Domains {
		if d.Domain == "evil.example" {
			assert.Nil(t, d.MeanMS)
		}
	}
}

// A database of Capsem has no microseconds, more columns than ours and, when
// it is old, fewer tables.
func TestInspectCapsem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session.db")
	madeBy(
		t, path,
		`CREATE TABLE mcp_calls (id INTEGER PRIMARY KEY, timestamp TEXT NOT NULL, server_name TEXT NOT NULL, method TEXT NOT NULL,
			tool_name TEXT, request_id TEXT, request_preview TEXT, response_preview TEXT, decision TEXT NOT NULL,
			duration_ms INTEGER DEFAULT 0, error_message TEXT, process_name TEXT, bytes_sent INTEGER, bytes_received INTEGER, later TEXT)`,
		`INSERT INTO mcp_calls (timestamp, server_name, method, tool_name, decision, duration_ms) VALUES
			('2026-03-27T10:15:00Z', 'builtin', 'tools/call', 'snapshots_list', 'allowed', 4),
			('2026-03-27T10:15:00Z', 'builtin', 'tools/call', 'snapshots_list', 'allowed', 5),
			('2026-03-27T10:15:00Z', 'builtin', 'tools/call', 'snapshots_list', 'denied', NULL)`,
		`CREATE TABLE net_events (id INTEGER PRIMARY KEY, timestamp TEXT, domain TEXT)`,
	)
	s, err := opened(t, path).Inspect(context.Background())
	require.NoError(t, err)
	require.Len(t, s.Tools, 2)
	assert.InDelta(t, 4.5, *s.Tools[0].MeanMS, 1e-9)
	assert.Nil(t, s.Tools[1].MeanMS)
	assert.Empty(t, s.Domains)
	assert.Equal(t, []string{
		"table model_calls is missing", "table tool_calls is missing", "table tool_responses is missing", "table fs_events is missing",
		"table mcp_calls has whole milliseconds only, cut off: its times are up to 1 ms short",
		"no proxy usage: table net_events lacks one of the columns [domain decision]",
	}, s.Notes)
}

func TestInspectEndsWithItsContext(t *testing.T) {
	d, err := Open(sample(t))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = d.Inspect(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, d.Close())
}

func TestWriteSummary(t *testing.T) {
	s, err := opened(t, sample(t)).Inspect(context.Background())
	require.NoError(t, err)
	s.Path = "results/20260327-101500-1a2b/session.db"
	s.Notes = []string{"table fs_events is missing"}
	s.Tables[5].Present = false
	s.Split = &Split{
		Ops: []OpSplit{
			{"Snapshot/files=10/op=create", 6, 9.5, 4.25, 0.5, 1.75, 3},
			{"Snapshot/files=500/op=changes", 6, 123.4, 4.25, 0.5, 116.65, 2},
		},
		Matched: 12, Missed: 2,
		Unmatched: []UnmatchedCall{{"Snapshot/files=10/op=list", epoch, "no rows within its time"}},
	}
	for _, width := range []int{60, 80, 120} {
		var b strings.Builder
		require.NoError(t, WriteSummary(&b, s, width))
		for line := range strings.SplitSeq(b.String(), "\n") {
			assert.NotContains(t, line, "\x1b")
			assert.NotContains(t, line, "\x07")
			if width == 80 {
				assert.LessOrEqual(t, len([]rune(line)), width, line)
			}
		}
		if width == 80 {
			golden(t, "summary.txt", b.String())
		}
	}
	data, err := json.MarshalIndent(s, "", "  ")
	require.NoError(t, err)
	golden(t, "summary.json", string(data)+"\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	assert.Equal(t, string(readFile(t, path)), got)
}
