package session

import (
	"context"
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// File to host: a view or a virtual table in the place of a table computes any
// number of rows of any size, so it is not read.
func TestMaliciousDatabaseIsNotComputed(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][]string{
		"endless view": {
			`CREATE VIEW mcp_calls AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS tool_name, 'allowed' AS decision FROM c`,
		},
		"view of large names": {
			`CREATE VIEW net_events AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 3000)
				SELECT hex(zeroblob(4000000)) || x AS domain, 'allowed' AS decision FROM c`,
		},
		"virtual table":             {`CREATE VIRTUAL TABLE mcp_calls USING fts5(tool_name, decision)`},
		"index of sessions, a view": {`CREATE VIEW sessions AS SELECT 1 AS id`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "session.db")
			madeBy(t, path, statements...)
			begin := time.Now()
			s, err := opened(t, path).Inspect(t.Context())
			require.NoError(t, err)
			assert.Less(t, time.Since(begin), time.Minute)
			assert.Empty(t, s.Tools)
			assert.Empty(t, s.Domains)
			for _, table := range s.Tables {
				assert.False(t, table.Present, table.Name)
			}
		})
	}
}

// File to host: names are bounded in length and number, a computed column in
// size, and nothing of it ends in an error that hides the rest.
func TestMaliciousRowsAreBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "session.db")
	madeBy(
		t, path, schema,
		`INSERT INTO net_events (timestamp, domain, decision, bytes_sent, bytes_received, duration_ms)
			WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 20000) SELECT '', 'd' || x, 'allowed', 1, 1, 1 FROM c`,
		`INSERT INTO net_events (timestamp, domain, decision, bytes_sent, bytes_received, duration_ms) VALUES
			('', 'sum', 'allowed', 9223372036854775807, -5, 9e999), ('', 'sum', 'allowed', 9223372036854775807, 7, -9e999),
			('', 'sum', 'allowed', 1, 1, 1e308), ('', replace(hex(zeroblob(100000)), '0', 'long'), 'allowed', 0, 0, 2)`,
	)
	s, err := opened(t, path).Inspect(t.Context())
	require.NoError(t, err)
	assert.LessOrEqual(t, len(s.Domains), maxGroups)
	text, err := json.Marshal(s)
	require.NoError(t, err)
	assert.Less(t, len(text), 1<<20)
	var out strings.Builder
	require.NoError(t, WriteSummary(&out, s, -1))
	for line := range strings.Lines(out.String()) {
		assert.Less(t, len(line), maxName+100)
	}
	u := DomainUsage{}
	u.count("allowed", math.MaxInt64, -5)
	u.count("allowed", 7, 7)
	assert.EqualValues(t, math.MaxInt64, u.Sent)
	assert.EqualValues(t, 7, u.Received)
	var d durations
	for _, ms := range []float64{math.Inf(1), math.Inf(-1), 1e308, -1, 2} {
		d.add(&ms)
	}
	assert.EqualValues(t, 5, d.n)
	assert.InDelta(t, 2, *d.mean(), 0, "what is no time does not count")
}

// The domain of the encoder: JSON has no infinities.
func TestResultsAreJSON(t *testing.T) {
	t.Parallel()
	d := opened(t, sample(t))
	res, err := d.Query(t.Context(), "SELECT 9e999, -9e999, 9e999 - 9e999, 1.5, NULL, x'ff', '\x1b'", QueryLimits{})
	require.NoError(t, err)
	text, err := json.Marshal(res)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"rows":[["Infinity","-Infinity",null,1.5,null,"/w==","\u001b"]]`)
}

// What SQLite says is about the statement as it was written, and columns have
// the names that it gives them.
func TestMessagesAreOfTheUsersOwnSQL(t *testing.T) {
	t.Parallel()
	d := opened(t, sample(t))
	for query, want := range map[string]string{
		"SELECT (":                         "incomplete input",
		"SELECT 1 FROM":                    "incomplete input",
		"SELECT 1)":                        `near ")": syntax error`,
		"SELECT * FROM nonesuch":           "no such table: nonesuch",
		"SELECT 1 LIMIT 1 LIMIT":           `near "LIMIT": syntax error`,
		"SELECT sum(1, 2)":                 "wrong number of arguments to function sum()",
		"VALUES (1), (2, 3)":               "all VALUES must have the same number of terms",
		"SELECT result.x":                  "no such column: result.x",
		"SELECT * FROM result":             "no such table: result",
		"WITH x AS (SELECT 1":              "incomplete input",
		"SELECT abs(-9223372036854775808)": "integer overflow",
	} {
		_, err := d.Query(t.Context(), query, QueryLimits{})
		require.ErrorContains(t, err, want, query)
		assert.NotContains(t, err.Error(), "MATERIALIZED", query)
	}
	res, err := d.Query(t.Context(), "SELECT 1 AS a, 2 AS a, 3", QueryLimits{})
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "a", "3"}, res.Columns)
}

// A query ends with its time, whatever it computes.
func TestEndlessQueriesEnd(t *testing.T) {
	t.Parallel()
	path := sample(t)
	for _, query := range []string{
		endless + "SELECT x FROM c ORDER BY random()",
		endless + "SELECT count(*) FROM c",
		endless + "SELECT DISTINCT x % 7 FROM c",
		"SELECT count(*) FROM mcp_calls a, mcp_calls b, mcp_calls c, mcp_calls d, mcp_calls e, mcp_calls f, mcp_calls g, mcp_calls h, mcp_calls i, mcp_calls j ORDER BY random()",
		"EXPLAIN " + endless + "SELECT x FROM c WHERE x < 0",
		"SELECT '" + strings.Repeat(";", 500_000) + "'",
	} {
		d := opened(t, path)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		begin := time.Now()
		_, err := d.Query(ctx, query, QueryLimits{})
		cancel()
		assert.Less(t, time.Since(begin), time.Minute, query)
		if !strings.HasPrefix(query, "EXPLAIN") {
			require.ErrorIs(t, err, context.DeadlineExceeded, query)
		}
	}
}
