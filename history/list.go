package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/digest"
)

// A RunInfo is what the store says of one run.
type RunInfo struct {
	ID       int64
	Name     string
	Time     time.Time // when it was measured
	Added    time.Time
	Complete bool
	Boots    int
	Labels   Labels
}

// Title names the build of a run: its release, else its commit, else its
// name.
func (r RunInfo) Title() string {
	for _, k := range []string{"release", "commit"} {
		if v := r.Labels[k]; v != "" {
			return v
		}
	}
	return r.Name
}

// A Filter chooses runs. The zero value is all.
type Filter struct {
	ID     int64 // 0: any
	Since  time.Time
	Labels Labels // all of them
}

// ErrNoRun is returned for a number that no run has.
var ErrNoRun = errors.New("no such run in the store")

// Runs returns the runs, oldest first.
func (s *Store) Runs(ctx context.Context, f Filter) ([]RunInfo, error) {
	return s.runs(ctx, f, "(SELECT count(*) FROM boots b WHERE b.run_id = r.id)")
}

// runs returns the runs; boots is the expression of how many each has.
func (s *Store) runs(ctx context.Context, f Filter, boots string) ([]RunInfo, error) {
	labels, err := s.labels(ctx, f.ID)
	if err != nil {
		return nil, s.wrap(err)
	}
	rows, err := s.db.QueryContext(ctx, `SELECT r.id, r.name, r.recorded_at, r.added_at, r.complete, `+boots+` FROM runs r
		WHERE ($1 = 0 OR r.id = $1) AND r.recorded_at >= $2 ORDER BY r.recorded_at, r.id`, f.ID, unix(f.Since))
	if err != nil {
		return nil, s.wrap(err)
	}
	defer rows.Close()
	var out []RunInfo
	for rows.Next() {
		var r RunInfo
		var recorded, added float64
		if err := rows.Scan(&r.ID, &r.Name, &recorded, &added, &r.Complete, &r.Boots); err != nil {
			return nil, s.wrap(err)
		}
		r.Time, r.Added, r.Labels = fromUnix(recorded), fromUnix(added), labels[r.ID]
		if f.matches(r) {
			out = append(out, r)
		}
	}
	return out, s.wrap(rows.Err())
}

func (f Filter) matches(r RunInfo) bool {
	for k, v := range f.Labels {
		if r.Labels[k] != v {
			return false
		}
	}
	return true
}

func (s *Store) labels(ctx context.Context, run int64) (map[int64]Labels, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT run_id, key, value FROM labels WHERE ($1 = 0 OR run_id = $1)`, run)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[int64]Labels)
	for rows.Next() {
		var id int64
		var k, v string
		if err := rows.Scan(&id, &k, &v); err != nil {
			return nil, err
		}
		if out[id] == nil {
			out[id] = make(Labels)
		}
		out[id][k] = v
	}
	return out, rows.Err()
}

// Label sets labels of a run.
func (s *Store) Label(ctx context.Context, run int64, labels Labels) error {
	return s.transaction(ctx, func(tx *sql.Tx) error {
		if err := exists(ctx, tx, run); err != nil {
			return err
		}
		return insertLabels(ctx, tx, run, labels)
	})
}

func exists(ctx context.Context, q querier, run int64) error {
	var n int
	if err := q.QueryRowContext(ctx, `SELECT count(*) FROM runs WHERE id = $1`, run).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("run %d: %w", run, ErrNoRun)
	}
	return nil
}

// Remove removes a run, with the texts that no other run has.
func (s *Store) Remove(ctx context.Context, run int64) error {
	return s.transaction(ctx, func(tx *sql.Tx) error {
		if err := exists(ctx, tx, run); err != nil {
			return err
		}
		return removeRun(ctx, tx, run)
	})
}

// Documents returns what a run was added from, in order.
func (s *Store) Documents(ctx context.Context, run int64) ([]Document, error) {
	if err := exists(ctx, s.db, run); err != nil {
		return nil, s.wrap(err)
	}
	docs, err := documents(ctx, s.db, run)
	return docs, s.wrap(err)
}

func documents(ctx context.Context, q querier, run int64) ([]Document, error) {
	rows, err := q.QueryContext(ctx, `SELECT r.name, t.gzip, t.digest FROM run_texts r JOIN texts t ON t.digest = r.digest
		WHERE r.run_id = $1 ORDER BY r.place`, run)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Document
	for rows.Next() {
		var d Document
		var packed []byte
		var sum string
		if err := rows.Scan(&d.Name, &packed, &sum); err != nil {
			return nil, err
		}
		if d.Data, err = unpack(packed); err != nil {
			return nil, fmt.Errorf("run %d, %s: %w", run, d.Name, err)
		}
		if digest.Bytes(d.Data) != sum {
			return nil, fmt.Errorf("run %d, %s: the text is not what was added: its digest differs", run, d.Name)
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// Rebuild derives everything from the texts again, a run at a time: after a
// correction of how texts are read, say. Each run is whole at every moment.
// It calls progress, if there is one, after each run.
func (s *Store) Rebuild(ctx context.Context, progress func(done, all int)) error {
	runs, err := s.Runs(ctx, Filter{})
	if err != nil {
		return err
	}
	for i, info := range runs {
		err := s.transaction(ctx, func(tx *sql.Tx) error {
			docs, err := documents(ctx, tx, info.ID)
			if err != nil {
				return err
			}
			run, err := Read(info.Name, nil, docs)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM boots WHERE run_id = $1`, info.ID); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE runs SET complete = $1 WHERE id = $2`, integer(run.complete()), info.ID); err != nil {
				return err
			}
			return derive(ctx, tx, s.dialect, info.ID, run.Boots)
		})
		if err != nil {
			return fmt.Errorf("rebuilding run %d (%s): %w", info.ID, info.Name, err)
		}
		if progress != nil {
			progress(i+1, len(runs))
		}
	}
	return s.transaction(ctx, func(tx *sql.Tx) error {
		for _, q := range []string{
			`DELETE FROM metrics WHERE id NOT IN (SELECT metric_id FROM samples)`,
			`DELETE FROM environments WHERE id NOT IN (SELECT environment_id FROM boots)`,
		} {
			if _, err := tx.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) wrap(err error) error {
	if err == nil || strings.HasPrefix(err.Error(), "history ") {
		return err
	}
	return fmt.Errorf("history %s: %w", s.where, explain(err))
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return -1e18
	}
	return float64(t.UnixNano()) / 1e9
}

func fromUnix(t float64) time.Time {
	sec := int64(t)
	return time.Unix(sec, int64((t-float64(sec))*1e9)).UTC()
}
