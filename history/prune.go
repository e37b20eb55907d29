package history

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Retention says which runs a history need not keep.
type Retention struct {
	// Before is when a run was measured that is old enough to go.
	Before time.Time
	// Labels are those of runs that may go, all of them; none is any run.
	Labels Labels
	// KeepReleases keeps every run with the label release.
	KeepReleases bool
}

// Prunable returns the runs that a retention lets go, oldest first, and how
// many old ones it keeps for their release.
func (s *Store) Prunable(ctx context.Context, keep Retention) (old []RunInfo, releases int, err error) {
	runs, err := s.Runs(ctx, Filter{Labels: keep.Labels})
	if err != nil {
		return nil, 0, err
	}
	for _, r := range runs {
		switch {
		case !r.Time.Before(keep.Before):
		case keep.KeepReleases && r.Labels["release"] != "":
			releases++
		default:
			old = append(old, r)
		}
	}
	return old, releases, nil
}

// removedAtOnce is how many runs one transaction removes: few enough that
// other writers do not wait for long.
const removedAtOnce = 20

// RemoveRuns removes runs, with the texts that no other run has, some in each
// transaction: an interruption leaves every run whole or gone. A run that
// somebody else has removed meanwhile is no error.
func (s *Store) RemoveRuns(ctx context.Context, runs []int64) error {
	done := 0
	for some := range slices.Chunk(runs, removedAtOnce) {
		if err := s.transaction(ctx, func(tx *sql.Tx) error {
			for _, id := range some {
				if err := removeRun(ctx, tx, id); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("%w (%d of %d runs removed)", err, done, len(runs))
		}
		done += len(some)
	}
	return nil
}

// removeRun removes a run, what is derived from it, and its texts unless
// another run has them too.
func removeRun(ctx context.Context, tx *sql.Tx, run int64) error {
	texts, err := digestsOf(ctx, tx, run)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM runs WHERE id = $1`, run); err != nil {
		return err
	}
	for _, digest := range texts {
		if _, err := tx.ExecContext(ctx, `DELETE FROM texts WHERE digest = $1 AND NOT EXISTS (SELECT 1 FROM run_texts WHERE digest = $1)`, digest); err != nil {
			return err
		}
	}
	return nil
}

func digestsOf(ctx context.Context, tx *sql.Tx, run int64) (digests []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT digest FROM run_texts WHERE run_id = $1`, run)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d string
		if err := rows.Scan(&d); err != nil {
			return nil, err
		}
		digests = append(digests, d)
	}
	return digests, rows.Err()
}

// Compact gives the room of removed runs back to the disk. PostgreSQL does so
// by itself. SQLite writes the file again, for which it needs as much room as
// the runs that are left take.
func (s *Store) Compact(ctx context.Context) error {
	if s.dialect.name != sqliteDialect.name {
		return nil
	}
	for _, q := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := s.db.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("history %s: giving back the room of removed runs (%s): %w", s.where, strings.ToLower(q), explain(err))
		}
	}
	return nil
}
