package session

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQueryReads(t *testing.T) {
	d := opened(t, sample(t))
	tests := []struct {
		query string
		want  [][]any
	}{
		{"SELECT 1, 1.5, 'a', NULL, x'00ff'", [][]any{{int64(1), 1.5, "a", nil, []byte{0, 0xff}}}},
		{"select count(*) from mcp_calls;", [][]any{{int64(7)}}},
		{"SELECT 'a;b' -- ; c\n || \"x;y\" /* ; */ FROM (SELECT ';)' AS [x;y])", [][]any{{"a;b;)"}}},
		{"SELECT 1 /* open ; SELECT 2", [][]any{{int64(1)}}},
		{" ;; -- first\n/* then ; */ SELECT ';' ; -- and a comment\n ;", [][]any{{";"}}},
		{"WITH x(a) AS (VALUES (1), (2)) SELECT sum(a) FROM x", [][]any{{int64(3)}}},
		{"WITH x(a) AS (VALUES (1), (3), (2)) SELECT replace(a, '3', 'c') FROM x ORDER BY a DESC -- down", [][]any{{"c"}, {"2"}, {"1"}}},
		{"VALUES (1)", [][]any{{int64(1)}}},
		{"PRAGMA user_version", [][]any{{int64(0)}}},
		{"PRAGMA main.quick_check(1)", [][]any{{"ok"}}},
		{"SELECT 'it''s', \"domain\", [domain], `domain` FROM net_events WHERE id = 2", [][]any{{"it's", "www.google.com", "www.google.com", "www.google.com"}}},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			assert.Equal(t, tt.want, query(t, d, tt.query))
		})
	}
	assert.NotEmpty(t, query(t, d, "EXPLAIN QUERY PLAN SELECT * FROM mcp_calls"))
	assert.NotEmpty(t, query(t, d, "PRAGMA table_info(mcp_calls)"))
}

func TestQueryRefuses(t *testing.T) {
	path := sample(t)
	before := readFile(t, path)
	other := filepath.Join(t.TempDir(), "other.db")
	d := opened(t, path)
	tests := []struct {
		query, want string
		readOnly    bool
	}{
		{"", "no statement", false},
		{" -- nothing\n;", "no statement", false},
		{"/* open", "no statement", false},
		{"SELECT 1; DELETE FROM mcp_calls", "one statement only", false},
		{"SELECT 1; SELECT 2", "one statement only", false},
		{"SELECT ';", "unrecognized token", false},
		{"SELECT 1\x00 garbage", "NUL byte", false},
		{"SELEC 1", "syntax error", false},
		{"SELECT nonesuch FROM mcp_calls", "no such column", false},
		{"DELETE FROM mcp_calls", "not DELETE", true},
		{"/**/ insert into mcp_calls DEFAULT VALUES", "not INSERT", true},
		{"WITH x AS (SELECT 1) DELETE FROM mcp_calls", "not DELETE", true},
		{"WITH x AS (SELECT 1) INSERT INTO fs_events SELECT * FROM fs_events", "not INSERT", true},
		{"ATTACH '" + other + "' AS o", "not ATTACH", true},
		{"VACUUM INTO '" + other + "'", "returns no columns", true},
		{"CREATE TABLE x (a)", "not INSERT INTO sqlite_master", true},
		{"PRAGMA query_only = 0", "PRAGMA query_only with a value", true},
		{"PRAGMA user_version = 3", "with a value", true},
		{"PRAGMA main.journal_mode(DELETE)", "with a value", true},
		{"EXPLAIN PRAGMA query_only = 0", "PRAGMA query_only with a value", true},
		{"explain query plan pragma user_version = 1", "with a value", true},
		{"PRAGMA", "incomplete input", false},
		{"SELECT zeroblob(1000000000)", "too big", false},
		{"SELECT 1; VACUUM", "one statement only", false},
		{"SELECT 1; PRAGMA query_only = 0", "one statement only", false},
		{"REPLACE INTO mcp_calls DEFAULT VALUES", "not INSERT", true},
		{"UPDATE mcp_calls SET id = 1", "not UPDATE", true},
		{"DROP TABLE mcp_calls", "not DELETE FROM sqlite_master", true},
		{"ALTER TABLE mcp_calls ADD COLUMN x", "another statement", true},
		{"CREATE TEMP TABLE x (a)", "not INSERT INTO sqlite_temp_master", true},
		{"BEGIN", "another statement", true},
		{"REINDEX mcp_calls", "returns no columns", true},
		{"DETACH main", "another statement", true},
		{"SELECT * FROM pragma_journal_mode('delete')", "unknown database", false},
		{"SELECT load_extension('x')", "not authorized", false},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			_, err := d.Query(context.Background(), tt.query, QueryLimits{})
			require.ErrorContains(t, err, tt.want)
			if tt.readOnly {
				require.ErrorIs(t, err, ErrReadOnly)
			}
		})
	}
	assert.Equal(t, before, readFile(t, path))
	assert.NoFileExists(t, other)
	_, err := os.Stat(other)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A pragma without a value, also one that would write, leaves the file and the
// connection as they are.
func TestPragmasWithoutAValueChangeNothing(t *testing.T) {
	path := sample(t)
	before := readFile(t, path)
	d := opened(t, path)
	list := query(t, d, "PRAGMA pragma_list")
	require.Greater(t, len(list), 50)
	for _, name := range list {
		_, err := d.Query(t.Context(), "PRAGMA "+name[0].(string), QueryLimits{})
		if err != nil {
			require.ErrorIs(t, err, ErrReadOnly, "%s", name)
		}
	}
	assert.Equal(t, [][]any{{int64(1)}}, query(t, d, "PRAGMA query_only"))
	require.NoError(t, d.Close())
	assert.Equal(t, before, readFile(t, path))
	assert.Equal(t, []string{"session.db"}, names(t, filepath.Dir(path)))
}

const endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "

func TestQueryEndsWithItsContext(t *testing.T) {
	d := opened(t, sample(t))
	for _, q := range []string{
		endless + "SELECT count(*) FROM c",
		endless + "SELECT 1 UNION ALL SELECT count(*) FROM c", // its first row comes at once
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		start := time.Now()
		_, err := d.Query(ctx, q, QueryLimits{})
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded, q)
		assert.Less(t, time.Since(start), time.Minute, q)
	}
	assert.Equal(t, [][]any{{int64(7)}}, query(t, d, "SELECT count(*) FROM mcp_calls"), "the next query works")
}

func TestQueryIsBounded(t *testing.T) {
	d := opened(t, sample(t))
	res, err := d.Query(context.Background(), endless+"SELECT x FROM c", QueryLimits{Rows: 5})
	require.NoError(t, err)
	assert.Len(t, res.Rows, 5)
	assert.True(t, res.More)
	assert.Equal(t, []string{"x"}, res.Columns)

	res, err = d.Query(context.Background(), endless+"SELECT zeroblob(1000) FROM c", QueryLimits{Bytes: 10_000})
	require.NoError(t, err)
	assert.Len(t, res.Rows, 11)
	assert.True(t, res.More)

	res, err = d.Query(context.Background(), "VALUES (1), (2)", QueryLimits{Rows: 2})
	require.NoError(t, err)
	assert.False(t, res.More)
}
