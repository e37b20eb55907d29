package history

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A Store is a history open for use. Its methods may be called at the same
// time, also by several processes on one store.
type Store struct {
	db       *sql.DB
	dialect  dialect
	where    string // for messages, without a password
	source   string // for the driver
	readOnly bool
	now      func() time.Time
}

// ErrReadOnly is returned for a change to a store that may not be written.
var ErrReadOnly = errors.New("the store is read-only")

// DefaultPath returns the SQLite file of the user's own history:
// $XDG_DATA_HOME/capsem-bench/history.db, else below ~/.local/share.
func DefaultPath() (string, error) {
	dir := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(dir) { // the XDG base directory specification: a relative one is ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return "", errors.New("no place for a history: set HOME or XDG_DATA_HOME, or give --store")
		}
		dir = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(dir, "capsem-bench", "history.db"), nil
}

// Open opens a store, and makes it where there is none: a postgres:// URL, or
// the name of a SQLite file. An older schema is migrated. A SQLite file that
// may not be written is opened for reading. The caller must Close it.
func Open(ctx context.Context, where string) (*Store, error) {
	s := &Store{now: time.Now, where: where}
	var err error
	if isPostgres(where) {
		err = s.openPostgres(where)
	} else {
		err = s.openSQLite(where)
	}
	if err == nil {
		err = s.prepare(ctx)
	}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("history %s: %w", s.where, explain(err))
	}
	return s, nil
}

func isPostgres(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

func (s *Store) openPostgres(where string) (err error) {
	s.dialect = postgresDialect
	if u, perr := url.Parse(where); perr == nil {
		s.where = u.Redacted()
	} else {
		s.where = "postgres://..."
		return errors.New("the URL cannot be read; want postgres://USER@HOST:PORT/DATABASE")
	}
	s.source = where
	s.db, err = sql.Open("pgx", where)
	return err
}

func (s *Store) openSQLite(name string) error {
	info, err := os.Stat(name)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return errors.New("not a regular file")
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		s.readOnly = syscall.Access(name, 2) != nil || syscall.Access(filepath.Dir(name), 2) != nil
	}
	return s.openFile(name)
}

// openFile opens the SQLite file as s.readOnly says.
func (s *Store) openFile(name string) (err error) {
	s.dialect = sqliteDialect
	q := url.Values{"_pragma": {"busy_timeout(30000)", "foreign_keys(1)", "synchronous(1)"}, "_txlock": {"immediate"}}
	if s.readOnly {
		q = url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(30000)"}}
		if _, err := os.Stat(name + "-wal"); errors.Is(err, fs.ErrNotExist) {
			q.Set("immutable", "1") // else SQLite wants to make its -shm file
		}
	} else {
		q.Add("_pragma", "journal_mode(WAL)")
	}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: name}).EscapedPath(), RawQuery: q.Encode()}
	s.source = u.String()
	s.db, err = sql.Open("sqlite", s.source)
	return err
}

// prepare checks the schema, and brings it up to date.
func (s *Store) prepare(ctx context.Context) error {
	v, err := version(ctx, s.db, s.dialect)
	if err != nil {
		return err
	}
	if v == len(migrations()) {
		return nil
	}
	if s.readOnly {
		return fmt.Errorf("%w, and has schema version %d where %d is wanted; open it once where it may be written", ErrReadOnly, v, len(migrations()))
	}
	return migrate(ctx, s.db, s.dialect, len(migrations()))
}

// Close closes the store.
func (s *Store) Close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// Where says which store it is, without a password.
func (s *Store) Where() string { return s.where }

// explain adds to an error of the database what to do about it.
func explain(err error) error {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		code := lite.Code() & 0xff
		if lite.Code() == sqlite3.SQLITE_IOERR_SHMSIZE {
			code = sqlite3.SQLITE_FULL // there is no room for the index of the log
		}
		switch code {
		case sqlite3.SQLITE_FULL:
			return fmt.Errorf("the disk is full; the store is as it was before: %w", err)
		case sqlite3.SQLITE_NOTADB:
			return fmt.Errorf("not a SQLite database: %w", err)
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return fmt.Errorf("another process keeps the store locked; try again: %w", err)
		case sqlite3.SQLITE_READONLY:
			return fmt.Errorf("%w: %w", ErrReadOnly, err)
		case sqlite3.SQLITE_CORRUPT:
			return fmt.Errorf("the file is damaged; restore it, or add the runs to a new store: %w", err)
		}
	}
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &connect):
		return fmt.Errorf("no connection; is the server running, and are user and database right? %w", err)
	case errors.As(err, &pg):
		return explainPostgres(pg.Code, err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, driver.ErrBadConn), errors.As(err, &network):
		return fmt.Errorf("the connection was lost; a run is in the store whole or not at all, so do it again: %w", err)
	}
	return err
}

// explainPostgres does so by the code of an error (PostgreSQL's documentation,
// appendix A).
func explainPostgres(code string, err error) error {
	switch code {
	case "53100": // disk_full
		return fmt.Errorf("the server's disk is full; the store is as it was before: %w", err)
	case "25006": // read_only_sql_transaction
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case "42501": // insufficient_privilege
		return fmt.Errorf("%w for this user: %w", ErrReadOnly, err)
	case "53300": // too_many_connections
		return fmt.Errorf("the server has no connection left; try again: %w", err)
	case "57P01", "57P02", "57P03": // admin_shutdown, crash_shutdown, cannot_connect_now
		return fmt.Errorf("the server ended the connection; a run is in the store whole or not at all, so do it again: %w", err)
	}
	return err
}

// transaction runs f in one transaction. A conflict with another writer is
// tried again; f must not keep anything of a try that failed.
func (s *Store) transaction(ctx context.Context, f func(*sql.Tx) error) error {
	if s.readOnly {
		return fmt.Errorf("history %s: %w", s.where, ErrReadOnly)
	}
	const tries = 5
	for n := 1; ; n++ {
		err := s.once(ctx, f)
		if err == nil {
			return nil
		}
		if n == tries || !conflict(err) || ctx.Err() != nil {
			return fmt.Errorf("history %s: %w", s.where, explain(err))
		}
	}
}

func (s *Store) once(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// conflict reports whether PostgreSQL ended a transaction in favour of
// another: serialization_failure, deadlock_detected, foreign_key_violation (a
// text, metric or environment that the other one removed as nobody's).
func conflict(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && slices.Contains([]string{"40001", "40P01", "23503"}, pg.Code)
}
