package history

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A statement is one that was run, with its arguments.
type statement struct {
	text string
	args []any
}

// A recorder keeps the statements that pass it. It stands between database/sql
// and a driver.
type recorder struct {
	driver driver.Driver
	source string
	mu     sync.Mutex
	seen   []statement
}

func (r *recorder) Driver() driver.Driver { return r.driver }

func (r *recorder) Connect(context.Context) (driver.Conn, error) {
	c, err := r.driver.Open(r.source)
	return &recordedConn{c, r}, err
}

func (r *recorder) keep(text string, args []driver.NamedValue) {
	s := statement{text: text}
	for _, a := range args {
		s.args = append(s.args, a.Value)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, s)
}

type recordedConn struct {
	driver.Conn
	r *recorder
}

func (c *recordedConn) BeginTx(ctx context.Context, opt driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opt)
}

func (c *recordedConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	c.r.keep(q, args)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, q, args)
}

func (c *recordedConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	c.r.keep(q, args)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, q, args)
}

func (c *recordedConn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, q)
	return &recordedStmt{s, q, c.r}, err
}

func (c *recordedConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type recordedStmt struct {
	driver.Stmt
	text string
	r    *recorder
}

func (s *recordedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.r.keep(s.text, args)
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s *recordedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.r.keep(s.text, args)
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

// recordStatements has a store keep the statements that it runs from now on.
func recordStatements(t *testing.T, s *Store) *recorder {
	t.Helper()
	r := &recorder{driver: s.db.Driver(), source: s.source}
	require.NoError(t, s.db.Close())
	s.db = sql.OpenDB(r)
	return r
}

// mayBeRead are the tables that a trend reads whole: the few rows that say what
// metrics, environments and runs there are. What grows with every value is only
// searched.
func mayBeRead() []string { return []string{"runs", "labels", "metrics", "environments"} }

// Adding a run, a trend of one op and the removal of a run search the large
// tables by an index, whatever else is in them.
func TestStatementsUseIndexes(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		for day := 1; day <= 3; day++ {
			add(t, s, aRun(t, uint64(day), day, 2, Labels{"release": "1"}, nil))
		}
		r := recordStatements(t, s)
		for name, work := range map[string]func() error{
			"add": func() error {
				_, _, err := s.Add(t.Context(), aRun(t, 9, 9, 1, Labels{"release": "2"}, nil))
				return err
			},
			"trend": func() error {
				_, err := s.Trends(t.Context(), Query{Ops: []string{"disk/seq_read"}, Detector: DefaultDetector()})
				return err
			},
			"remove": func() error { return s.RemoveRuns(t.Context(), []int64{1}) },
			"show": func() error {
				_, err := s.Documents(t.Context(), 2)
				return err
			},
		} {
			r.seen = nil
			require.NoError(t, work(), name)
			require.NotEmpty(t, r.seen)
			for _, st := range slices.Clone(r.seen) {
				for _, table := range scanned(t, s, st) {
					assert.Contains(t, mayBeRead(), table, "%s reads the table %s whole:\n%s", name, table, st.text)
				}
			}
		}
	})
}

// The test sees a scan where there is one.
func TestScansAreSeen(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		add(t, s, aRun(t, 1, 1, 1, nil, nil))
		assert.Equal(t, []string{"samples"}, scanned(t, s, statement{"SELECT count(*) FROM samples v WHERE v.round = $1", []any{2}}))
		assert.Contains(t, scanned(t, s, statement{"SELECT f.value FROM figures f JOIN boots b ON b.id = f.boot_id WHERE f.rounds > $1", []any{2}}), "figures")
		assert.Empty(t, scanned(t, s, statement{"SELECT f.value FROM figures f JOIN boots b ON b.id = f.boot_id WHERE f.metric_id = $1", []any{2}}))
	})
}

// scanned returns the tables that a statement reads whole.
func scanned(t *testing.T, s *Store, st statement) (tables []string) {
	t.Helper()
	if !regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE)`).MatchString(st.text) {
		return nil // BEGIN, a lock
	}
	tx, err := s.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	explain, column := "EXPLAIN QUERY PLAN ", 3
	if s.dialect.arrays {
		// Of a small table PostgreSQL reads the whole even where it has an index.
		_, err := tx.ExecContext(t.Context(), "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
		require.NoError(t, err)
		explain, column = "EXPLAIN ", 0
	}
	rows, err := tx.QueryContext(t.Context(), explain+st.text, st.args...)
	require.NoError(t, err, st.text)
	defer rows.Close()
	var lines []string
	for rows.Next() {
		cells := []any{new(any), new(any), new(any), new(any)}
		line := new(string)
		cells = cells[:column+1]
		cells[column] = line
		require.NoError(t, rows.Scan(cells...))
		lines = append(lines, *line)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	if s.dialect.arrays {
		return scannedPostgres(t, tx, lines)
	}
	return scannedSQLite(st.text, lines)
}

// scannedSQLite reads lines such as "SCAN f" and "SEARCH b USING INTEGER
// PRIMARY KEY (rowid=?)", which name a table by its alias.
func scannedSQLite(text string, lines []string) (tables []string) {
	for _, l := range lines {
		if m := regexp.MustCompile(`^SCAN ([a-z]\w*)`).FindStringSubmatch(l); m != nil {
			table := m[1]
			if alias := regexp.MustCompile(`(?:FROM|JOIN) (\w+) ` + table + `\b`).FindStringSubmatch(text); alias != nil {
				table = alias[1]
			}
			tables = append(tables, table)
		}
	}
	return tables
}

// scannedPostgres reads lines such as "Seq Scan on runs r" and "Index Scan
// using figures_pkey on figures f". Below the latter stands an "Index Cond",
// which must be on the first column of the index, else all of it is read.
func scannedPostgres(t *testing.T, tx *sql.Tx, lines []string) (tables []string) {
	t.Helper()
	for i, l := range lines {
		m := regexp.MustCompile(`(?:Seq Scan|Index (?:Only )?Scan using (\w+)) on (\w+)`).FindStringSubmatch(l)
		if m == nil {
			continue
		}
		searched := false
		if index := m[1]; index != "" && i+1 < len(lines) {
			var first string
			require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT pg_get_indexdef($1::regclass, 1, true)", index).Scan(&first))
			searched = regexp.MustCompile(`Index Cond: .*\b` + first + `\b`).MatchString(lines[i+1])
		}
		if !searched {
			tables = append(tables, m[2])
		}
	}
	return tables
}
