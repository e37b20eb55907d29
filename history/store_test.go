package history

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/history/internal/pgtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// server is the PostgreSQL of all tests, started by the first that wants it.
var server = sync.OnceValues(pgtest.Start)

func TestMain(m *testing.M) {
	status := m.Run()
	if s, err := server(); err == nil {
		_ = s.Close()
	}
	os.Exit(status)
}

// eachStore runs a test on both kinds of store.
func eachStore(t *testing.T, test func(t *testing.T, where string)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, filepath.Join(t.TempDir(), "history.db"))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		s, err := server()
		if err == pgtest.ErrNotInstalled {
			t.Skip(err)
		}
		require.NoError(t, err)
		test(t, s.Database(t))
	})
}

func openStore(t *testing.T, where string) *Store {
	t.Helper()
	s, err := Open(t.Context(), where)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// aRun makes a run of some boots, measured on a day.
func aRun(t *testing.T, seed uint64, day, boots int, labels Labels, slow map[string]float64) Run {
	t.Helper()
	m := boottest.New(seed)
	m.Slow = slow
	var docs []Document
	for i := range boots {
		b := m.Next(boottest.Cand, 1)
		b.Mark = nil
		b.Run.Time = float64(time.Date(2026, 1, day, 10, i, 0, 0, time.UTC).Unix())
		docs = append(docs, Document{fmt.Sprintf("boot-%03d.txt", i+1), b.Text()})
	}
	run, err := Read(fmt.Sprintf("run%d", day), labels, docs)
	require.NoError(t, err)
	return run
}

func add(t *testing.T, s *Store, run Run) int64 {
	t.Helper()
	id, added, err := s.Add(t.Context(), run)
	require.NoError(t, err)
	require.True(t, added)
	return id
}

func count(t *testing.T, s *Store, table string) int {
	t.Helper()
	var n int
	require.NoError(t, s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
	return n
}

func TestAddListShowRemove(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		second := add(t, s, aRun(t, 2, 2, 1, Labels{"release": "1.1"}, nil))
		first := add(t, s, aRun(t, 1, 1, 2, Labels{"release": "1.0", "commit": "abc"}, nil))
		runs, err := s.Runs(t.Context(), Filter{})
		require.NoError(t, err)
		require.Len(t, runs, 2, "in the order of measuring, not of adding")
		assert.Equal(t, []int64{first, second}, []int64{runs[0].ID, runs[1].ID})
		assert.Equal(t, Labels{"release": "1.0", "commit": "abc"}, runs[0].Labels)
		assert.Equal(t, 2, runs[0].Boots)
		assert.True(t, runs[0].Complete)
		assert.Equal(t, "2026-01-01T10:00:00Z", runs[0].Time.Format(time.RFC3339))

		runs, err = s.Runs(t.Context(), Filter{Labels: Labels{"release": "1.1"}})
		require.NoError(t, err)
		require.Len(t, runs, 1)
		runs, err = s.Runs(t.Context(), Filter{Since: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)})
		require.NoError(t, err)
		require.Len(t, runs, 1)

		docs, err := s.Documents(t.Context(), first)
		require.NoError(t, err)
		assert.Equal(t, aRun(t, 1, 1, 2, nil, nil).Documents, docs, "the texts come out as they went in")

		require.NoError(t, s.Remove(t.Context(), first))
		require.ErrorIs(t, s.Remove(t.Context(), first), ErrNoRun)
		assert.Equal(t, 1, count(t, s, "texts"))
		assert.Equal(t, 1, count(t, s, "boots"))
		runs, err = s.Runs(t.Context(), Filter{})
		require.NoError(t, err)
		assert.Len(t, runs, 1)
	})
}

func TestAddTwiceCountsOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		run := aRun(t, 1, 1, 2, Labels{"release": "1.0"}, nil)
		id := add(t, s, run)
		run.Labels = Labels{"channel": "nightly"}
		run.Documents[0], run.Documents[1] = run.Documents[1], run.Documents[0]
		again, added, err := s.Add(t.Context(), run)
		require.NoError(t, err)
		assert.False(t, added, "the same content in another order")
		assert.Equal(t, id, again)
		runs, err := s.Runs(t.Context(), Filter{})
		require.NoError(t, err)
		require.Len(t, runs, 1)
		assert.Equal(t, Labels{"release": "1.0", "channel": "nightly"}, runs[0].Labels, "new labels are taken")
		assert.Equal(t, 2, count(t, s, "boots"))
	})
}

func TestManyWriters(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		const writers, each = 4, 3
		var all sync.WaitGroup
		errs := make(chan error, writers*each)
		for w := range writers {
			runs := make([]Run, each)
			for i := range runs {
				runs[i] = aRun(t, uint64(100*w+i), 1+w, 1, nil, nil)
			}
			all.Go(func() {
				s, err := Open(context.Background(), where)
				if err != nil {
					errs <- err
					return
				}
				defer s.Close()
				for _, r := range runs {
					_, _, err := s.Add(context.Background(), r)
					errs <- err
				}
			})
		}
		all.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		s := openStore(t, where)
		assert.Equal(t, writers*each, count(t, s, "runs"))
		assert.Equal(t, writers*each, count(t, s, "boots"))
		assert.Equal(t, count(t, s, "metrics")*writers*each, count(t, s, "figures"))
	})
}

func TestRebuildDerivesTheSame(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		add(t, s, aRun(t, 1, 1, 2, Labels{"release": "1.0"}, nil))
		before, err := s.Trends(t.Context(), Query{Detector: DefaultDetector()})
		require.NoError(t, err)
		require.NotEmpty(t, before)
		for _, q := range []string{"UPDATE figures SET value = 7", "DELETE FROM samples"} {
			_, err = s.db.ExecContext(t.Context(), q)
			require.NoError(t, err)
		}
		require.NoError(t, s.Rebuild(t.Context(), nil))
		after, err := s.Trends(t.Context(), Query{Detector: DefaultDetector()})
		require.NoError(t, err)
		assert.Equal(t, before, after)
		assert.Positive(t, count(t, s, "samples"))
	})
}

func TestMigrateUpAndDown(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		add(t, s, aRun(t, 1, 1, 1, nil, nil))
		require.NoError(t, migrate(t.Context(), s.db, s.dialect, 1))
		_, err := s.db.ExecContext(t.Context(), "SELECT * FROM figures_by_run")
		require.Error(t, err, "version 1 has no views")
		require.NoError(t, s.Close())

		s = openStore(t, where) // an older schema is brought up to date
		assert.Equal(t, 1, count(t, s, "runs"))
		assert.Equal(t, count(t, s, "figures"), count(t, s, "figures_by_run"))
		require.NoError(t, migrate(t.Context(), s.db, s.dialect, 0))
		v, err := version(t.Context(), s.db, s.dialect)
		require.NoError(t, err)
		assert.Zero(t, v, "nothing is left")
	})
}

func TestNewerSchemaIsRefused(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		_, err := s.db.ExecContext(t.Context(), "UPDATE "+metaTable+" SET version = 99")
		require.NoError(t, err)
		require.NoError(t, s.Close())
		_, err = Open(t.Context(), where)
		var v *VersionError
		require.ErrorAs(t, err, &v)
		assert.Contains(t, err.Error(), "use the newer capsem-bench")
	})
}

func TestForeignDatabaseIsRefused(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		driver := "sqlite"
		if isPostgres(where) {
			driver = "pgx"
		}
		db, err := sql.Open(driver, where)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), "CREATE TABLE customers (id INTEGER)")
		require.NoError(t, err)
		require.NoError(t, db.Close())
		_, err = Open(t.Context(), where)
		require.ErrorIs(t, err, ErrForeign)
	})
}

func TestViewsAnswerWithoutOurCode(t *testing.T) {
	eachStore(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		add(t, s, aRun(t, 1, 1, 1, Labels{"release": "1.0"}, nil))
		var release, op string
		var value float64
		require.NoError(t, s.db.QueryRowContext(t.Context(), `SELECT release_label, op, value FROM figures_by_run
			WHERE op = 'disk/seq_read' AND unit = 'B/s'`).Scan(&release, &op, &value))
		assert.Equal(t, "1.0", release)
		assert.InDelta(t, 2e6, value, 2e5)
		var rounds int
		require.NoError(t, s.db.QueryRowContext(t.Context(), `SELECT count(*) FROM samples_by_run WHERE op = 'disk/seq_read' AND unit = 'B/s'`).Scan(&rounds))
		assert.Equal(t, 4, rounds)
	})
}

func TestReadOnlyFileIsRead(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("root may write everything; the file is opened for reading all the same where its mode says so")
	}
	dir := t.TempDir()
	where := filepath.Join(dir, "history.db")
	s := openStore(t, where)
	add(t, s, aRun(t, 1, 1, 1, nil, nil))
	require.NoError(t, s.Close())
	ro := &Store{now: time.Now, where: where, readOnly: true}
	require.NoError(t, ro.openFile(where))
	t.Cleanup(func() { _ = ro.Close() })
	runs, err := ro.Runs(t.Context(), Filter{})
	require.NoError(t, err)
	assert.Len(t, runs, 1)
	_, _, err = ro.Add(t.Context(), aRun(t, 2, 2, 1, nil, nil))
	require.ErrorIs(t, err, ErrReadOnly)
}

func TestDamagedAndOtherFiles(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	require.NoError(t, os.WriteFile(text, bytes.Repeat([]byte("not a database\n"), 100), 0o600))
	_, err := Open(t.Context(), text)
	require.ErrorContains(t, err, "not a SQLite database")
	data, err := os.ReadFile(text)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(data), "not a database"), "the file is as it was")
	_, err = Open(t.Context(), dir)
	require.ErrorContains(t, err, "not a regular file")
}

func TestPasswordStaysOutOfMessages(t *testing.T) {
	_, err := Open(t.Context(), "postgres://capsem:secret@127.0.0.1:1/history?connect_timeout=2")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
	assert.Contains(t, err.Error(), "is the server running")
}

func TestParseLabels(t *testing.T) {
	l, err := ParseLabels([]string{"release=1.4.0", "note=a b"})
	require.NoError(t, err)
	assert.Equal(t, "note=a b release=1.4.0", l.String())
	for _, bad := range []string{"", "release", "Release=1", "=1", "a=", "a=b\nc", "a=" + strings.Repeat("x", 300)} {
		_, err := ParseLabels([]string{bad})
		assert.Error(t, err, bad)
	}
	_, err = ParseLabels([]string{"a=1", "a=2"})
	assert.ErrorContains(t, err, "given twice")
}
