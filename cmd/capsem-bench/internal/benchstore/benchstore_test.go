package benchstore

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/convert"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tables are those of the format, as its description has them.
const tables = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE runs (id INTEGER PRIMARY KEY, dimension TEXT NOT NULL, recorded_at TEXT NOT NULL, version TEXT NOT NULL,
	channel TEXT NOT NULL, commit_sha TEXT NOT NULL, arch TEXT NOT NULL, os TEXT NOT NULL, cpu_count INTEGER NOT NULL,
	kvm INTEGER NOT NULL, governor TEXT, load_before REAL NOT NULL, profile TEXT NOT NULL, quick INTEGER NOT NULL, sidecar TEXT);
CREATE TABLE metrics (run_id INTEGER NOT NULL, key TEXT NOT NULL, unit TEXT NOT NULL, n INTEGER NOT NULL, min REAL, max REAL,
	mean REAL, median REAL, p90 REAL, p95 REAL, p99 REAL, p999 REAL, stddev REAL, cv REAL, mad REAL, PRIMARY KEY (run_id, key));
INSERT INTO meta VALUES ('schema_version', '1');
`

const (
	oneRun    = `INSERT INTO runs VALUES (7, 'disk', '2026-01-01T00:00:00Z', '0.6.0', 'nightly', '0123abc', 'x86_64', 'linux', 8, 1, NULL, 0.5, 'code', 0, NULL);`
	oneMetric = `INSERT INTO metrics VALUES (7, 'disk.seq_write.throughput_mbps', 'megabits_per_second', 1, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0);`
)

func madeBy(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a? b#%41.db") // what means something in a URI
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23").Replace(path))
	require.NoError(t, err)
	for _, s := range statements {
		_, err := db.ExecContext(t.Context(), s)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	require.FileExists(t, path)
	return path
}

func TestRunsOfAStore(t *testing.T) {
	t.Parallel()
	path := madeBy(
		t, tables, oneRun, oneMetric,
		`INSERT INTO metrics SELECT 7, 'disk.infinite_ms', 'milliseconds', 2, 9e999, 1, -9e999, NULL, 1, 1, 1, 1, 1, 1, 1`,
		`INSERT INTO metrics SELECT 9, key, unit, n, min, max, mean, median, p90, p95, p99, p999, stddev, cv, mad FROM metrics`, // of no run
		`INSERT INTO runs SELECT 8, 'fork', '2026-01-02T03:04:05.5+01:00', version, channel, commit_sha, arch, os, cpu_count, 0, 'powersave', 1, 'co-work', 1, 'x.txt' FROM runs`,
	)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	docs, err := Read(t.Context(), path)
	require.NoError(t, err)
	require.Len(t, docs, 2)
	var first, second run
	require.NoError(t, json.Unmarshal(docs[0].Data, &first))
	require.NoError(t, json.Unmarshal(docs[1].Data, &second))
	assert.EqualValues(t, 7, docs[0].Run)
	require.Len(t, first.Store.Metrics, 2)
	assert.Equal(t, "disk.infinite_ms", first.Store.Metrics[0].Key)
	assert.Nil(t, first.Store.Metrics[0].Mean, "what JSON has no number for")
	assert.InDelta(t, 2, *first.Store.Metrics[1].Mean, 0)
	assert.Equal(t, "0.6.0", first.Version)
	assert.InDelta(t, 1767225600, first.Timestamp, 0)
	assert.True(t, second.Store.Quick)
	assert.Equal(t, "powersave", second.Host.Governor)
	assert.InDelta(t, 1767319445.5, second.Timestamp, 0)

	var text bytes.Buffer
	_, err = convert.Import(&text, bytes.NewReader(docs[0].Data), "store")
	require.NoError(t, err)
	assert.Contains(t, text.String(), "BenchmarkStore/dim=disk/key=disk.seq_write.throughput_mbps\t1\t2097152 B/s", "MiB, whatever the unit says")

	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, before, after)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing is left beside it")
}

// What is no store is refused with the reason, whoever made it.
func TestWhatIsNoStore(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		statements []string
		want       string
	}{
		"other database":  {[]string{`CREATE TABLE x (a)`}, "no store of capsem.bench.v1: it has no table meta"},
		"later version":   {[]string{tables, `UPDATE meta SET value = '2'`}, `schema_version "2"; only 1 is known`},
		"no version":      {[]string{tables, `DELETE FROM meta`}, "meta has no schema_version"},
		"missing column":  {[]string{tables, `ALTER TABLE metrics DROP COLUMN mad`}, "no such column: mad"},
		"bad time":        {[]string{tables, oneRun, `UPDATE runs SET recorded_at = 'then'`}, `run 7: recorded_at "then"`},
		"word for number": {[]string{tables, oneRun, oneMetric, `UPDATE metrics SET mean = 'fast'`}, "table metrics: sql: Scan error"},
		"long key":        {[]string{tables, oneRun, oneMetric, `UPDATE metrics SET key = hex(zeroblob(5000))`}, "a key or unit of"},
		"large key":       {[]string{tables, oneRun, oneMetric, `UPDATE metrics SET key = hex(zeroblob(5000000))`}, "too big"},
		"endless view": {[]string{tables, `DROP TABLE metrics`, `CREATE VIEW metrics AS
			WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS run_id FROM c`}, "it has no table metrics"},
		"virtual table": {[]string{tables, `DROP TABLE runs`, `CREATE VIRTUAL TABLE runs USING fts5(id)`}, "it has no table runs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			_, err := Read(t.Context(), madeBy(t, tt.statements...))
			require.ErrorContains(t, err, tt.want)
			assert.Less(t, time.Since(begin), 30*time.Second)
		})
	}
}

// A file that is cut or overwritten is an error or fewer rows, and never more.
func TestBrokenStore(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(madeBy(t, tables, oneRun, oneMetric))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "broken.db")
	for at := 100; at < len(whole); at += 997 {
		broken := bytes.Clone(whole)
		for i := at; i < min(at+64, len(broken)); i++ {
			broken[i] ^= 0xff
		}
		for _, data := range [][]byte{whole[:at], broken} {
			require.NoError(t, os.WriteFile(path, data, 0o600))
			docs, err := Read(t.Context(), path)
			assert.True(t, err != nil || len(docs) <= 1)
		}
	}
	require.NoError(t, os.WriteFile(path, []byte("text"), 0o600))
	assert.False(t, Is(path))
	assert.False(t, Is(filepath.Dir(path)))
}
