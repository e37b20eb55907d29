// Package benchstore reads the SQLite store in which Capsem's own tool keeps
// its benchmark history, capsem.bench.v1: one row a run and one row a metric,
// which is a summary, for the store keeps no samples.
//
// A store may come from anybody. It is opened for reading alone, only tables
// with rows of their own are read, and texts, rows and time are bounded.
package benchstore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"modernc.org/sqlite"

	"github.com/capsem/capsem-bench/internal/record"
)

// Schema is the name of the format, which the store itself does not state.
const Schema = "capsem.bench.v1"

// version is the schema_version that is read here.
const version = "1"

// Bounds of a store. A run of Capsem's tool has some hundred metrics.
const (
	maxRuns    = 10_000
	maxMetrics = 1_000_000
	maxText    = 4 << 10
	maxTime    = time.Minute
)

// The numbers of sqlite3_limit: of a value and of attached databases.
const (
	limitLength   = 0
	limitAttached = 7
)

// magic is how every SQLite database begins.
const magic = "SQLite format 3\x00"

// A Document is one run of a store as JSON, which convert imports.
type Document struct {
	Run  int64 // its id in the store
	Data []byte
}

// Is reports whether a regular file begins as a SQLite database does.
func Is(path string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(magic))
	_, err = io.ReadFull(f, head)
	return err == nil && bytes.Equal(head, []byte(magic))
}

// Read returns the runs of a store in the order of their ids.
func Read(ctx context.Context, path string) ([]Document, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxTime, fmt.Errorf("reading took longer than %s", maxTime))
	defer cancel()
	docs, err := read(ctx, path)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return docs, nil
}

func read(ctx context.Context, path string) (docs []Document, err error) {
	db, err := open(path)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	for id, n := range map[int]int{limitLength: 1 << 20, limitAttached: 0} {
		if _, err := sqlite.Limit(conn, id, n); err != nil {
			return nil, err
		}
	}
	if err := check(ctx, conn); err != nil {
		return nil, err
	}
	runs, err := readRuns(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("table runs: %w", err)
	}
	if err := readMetrics(ctx, conn, runs); err != nil {
		return nil, fmt.Errorf("table metrics: %w", err)
	}
	for _, r := range runs {
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("run %d: %w", r.Store.Run, err)
		}
		docs = append(docs, Document{r.Store.Run, data})
	}
	return docs, nil
}

// open opens the file for reading. Without a log it is declared immutable, or
// SQLite would leave an empty log beside it.
func open(path string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	query := url.Values{"mode": {"ro"}, "_pragma": {
		"busy_timeout(5000)", "query_only(1)", "trusted_schema(0)", "cell_size_check(1)",
	}}
	_, wal := os.Stat(path + "-wal")
	_, journal := os.Stat(path + "-journal")
	if errors.Is(wal, os.ErrNotExist) && errors.Is(journal, os.ErrNotExist) {
		query.Set("immutable", "1")
	}
	name := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	return sql.Open("sqlite", name.String())
}

// check refuses what is not a store of the known version. A view or a virtual
// table in the place of a table may compute any number of rows of any size.
func check(ctx context.Context, conn *sql.Conn) error {
	for _, table := range []string{"meta", "runs", "metrics"} {
		var n int
		err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name = ?", table).Scan(&n)
		if err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("a SQLite database, but no store of %s: it has no table %s", Schema, table)
		}
	}
	var v string
	switch err := conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'schema_version' LIMIT 1").Scan(&v); {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("no store of %s: meta has no schema_version", Schema)
	case err != nil:
		return fmt.Errorf("table meta: %w", err)
	case v != version:
		return fmt.Errorf("a store of schema_version %.20q; only %s is known", v, version)
	}
	return nil
}

// A run is one row of runs with its metrics, under the keys that Capsem's other
// documents have for the same facts.
type run struct {
	Version   string  `json:"project_version,omitempty"`
	Git       git     `json:"git"`
	Timestamp float64 `json:"timestamp,omitempty"`
	Arch      string  `json:"arch,omitempty"`
	Host      host    `json:"host"`
	Store     store   `json:"bench_store"`
}

type git struct {
	Commit string `json:"commit,omitempty"`
}

type host struct {
	OS       string   `json:"os,omitempty"`
	CPUs     int64    `json:"cpu_count,omitempty"`
	KVM      bool     `json:"kvm"`
	Governor string   `json:"governor,omitempty"`
	Load     *float64 `json:"load_before,omitempty"`
}

type store struct {
	Schema    string   `json:"schema"`
	Run       int64    `json:"run"`
	Dimension string   `json:"dimension"`
	Recorded  string   `json:"recorded_at"`
	Channel   string   `json:"channel,omitempty"`
	Profile   string   `json:"profile,omitempty"`
	Quick     bool     `json:"quick"`
	Sidecar   string   `json:"sidecar,omitempty"`
	Metrics   []metric `json:"metrics"`
}

// A metric is one row of metrics. What is no finite number is null.
type metric struct {
	Key    string   `json:"key"`
	Unit   string   `json:"unit"`
	N      int64    `json:"n"`
	Min    *float64 `json:"min"`
	Max    *float64 `json:"max"`
	Mean   *float64 `json:"mean"`
	Median *float64 `json:"median"`
	P90    *float64 `json:"p90"`
	P95    *float64 `json:"p95"`
	P99    *float64 `json:"p99"`
	P999   *float64 `json:"p999"`
	StdDev *float64 `json:"stddev"`
	CV     *float64 `json:"cv"`
	MAD    *float64 `json:"mad"`
}

func readRuns(ctx context.Context, conn *sql.Conn) (runs []*run, err error) {
	rows, err := conn.QueryContext(ctx, `SELECT id, dimension, recorded_at, version, channel, commit_sha, arch, os, cpu_count, kvm,
		governor, load_before, profile, quick, substr(sidecar, 1, 1000) FROM runs ORDER BY id LIMIT `+strconv.Itoa(maxRuns+1))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r := new(run)
		var texts [10]sql.NullString
		var load sql.NullFloat64
		if err := rows.Scan(&r.Store.Run, &texts[0], &texts[1], &texts[2], &texts[3], &texts[4], &texts[5], &texts[6], &r.Host.CPUs, &r.Host.KVM,
			&texts[7], &load, &texts[8], &r.Store.Quick, &texts[9]); err != nil {
			return nil, err
		}
		for i, to := range []*string{
			&r.Store.Dimension, &r.Store.Recorded, &r.Version, &r.Store.Channel, &r.Git.Commit, &r.Arch, &r.Host.OS, &r.Host.Governor, &r.Store.Profile, &r.Store.Sidecar,
		} {
			if len(texts[i].String) > maxText {
				return nil, fmt.Errorf("run %d: a text of %d bytes", r.Store.Run, len(texts[i].String))
			}
			*to = texts[i].String
		}
		at, err := time.Parse(time.RFC3339Nano, r.Store.Recorded)
		if err != nil {
			return nil, fmt.Errorf("run %d: recorded_at %.40q: want a time as in RFC 3339", r.Store.Run, r.Store.Recorded)
		}
		r.Timestamp, r.Host.Load, r.Store.Schema = max(record.Seconds(at), 0), finite(load), Schema
		r.Store.Metrics = []metric{}
		if runs = append(runs, r); len(runs) > maxRuns {
			return nil, fmt.Errorf("more than %d runs", maxRuns)
		}
	}
	return runs, rows.Err()
}

// readMetrics reads them in one pass, for a store without its index would be
// read whole for each run.
func readMetrics(ctx context.Context, conn *sql.Conn, runs []*run) error {
	byID := make(map[int64]*run, len(runs))
	for _, r := range runs {
		byID[r.Store.Run] = r
	}
	rows, err := conn.QueryContext(ctx, `SELECT run_id, key, unit, n, min, max, mean, median, p90, p95, p99, p999, stddev, cv, mad
		FROM metrics ORDER BY run_id, key LIMIT `+strconv.Itoa(maxMetrics+1))
	if err != nil {
		return err
	}
	defer rows.Close()
	for n := 0; rows.Next(); n++ {
		var m metric
		var id int64
		var v [11]sql.NullFloat64
		if err := rows.Scan(&id, &m.Key, &m.Unit, &m.N, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9], &v[10]); err != nil {
			return err
		}
		if len(m.Key)+len(m.Unit) > maxText {
			return fmt.Errorf("run %d: a key or unit of %d bytes", id, len(m.Key)+len(m.Unit))
		}
		if n == maxMetrics {
			return fmt.Errorf("more than %d metrics", maxMetrics)
		}
		for i, to := range []**float64{&m.Min, &m.Max, &m.Mean, &m.Median, &m.P90, &m.P95, &m.P99, &m.P999, &m.StdDev, &m.CV, &m.MAD} {
			*to = finite(v[i])
		}
		if r := byID[id]; r != nil { // a metric of no run says nothing
			r.Store.Metrics = append(r.Store.Metrics, m)
		}
	}
	return rows.Err()
}

// finite returns nil for NULL and for what JSON has no number for.
func finite(v sql.NullFloat64) *float64 {
	if !v.Valid || math.IsInf(v.Float64, 0) || math.IsNaN(v.Float64) {
		return nil
	}
	return &v.Float64
}
