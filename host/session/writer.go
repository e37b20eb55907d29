package session

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"modernc.org/sqlite" // also the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxBatch is how many rows one transaction takes; Capsem's number.
const maxBatch = 128

// The bounds of the queue. At 20,000 requests a second the first is close to a
// second of writing; the second keeps long previews from filling the memory.
const (
	maxQueueRows  = 16 << 10
	maxQueueBytes = 64 << 20
)

// maxBytes is the budget of one database, about: what a guest asks for is
// recorded, and it may ask as often as it likes. Rows beyond it are counted.
const maxBytes = 1 << 30

// ErrDropped is wrapped by Close when rows are missing from the database.
var ErrDropped = errors.New("session rows dropped")

// A Writer writes one session database. Its methods may be called from many
// goroutines; NetEvent and MCPCall never wait for the disk.
type Writer struct {
	db   *sql.DB
	conn *sql.Conn
	net  *sql.Stmt
	mcp  *sql.Stmt

	mu      sync.Mutex
	queue   []row
	bytes   int64 // of what is queued
	taken   int64 // of all rows so far
	budget  int64 // for all rows
	closed  bool
	dropped int64
	over    bool  // rows were dropped because the budget was used up
	err     error // the first failure to write

	wake chan struct{} // one token: there is something in the queue, or closed is set
	done chan struct{} // closed when the writing goroutine has ended

	close    sync.Once
	closeErr error

	written   int64             // by the writing goroutine
	committed func(total int64) // called after each commit, for tests
}

// Create makes a session database at path, readable by its owner alone. A file
// that is there already is an error that wraps os.ErrExist. The caller must
// Close the writer.
func Create(path string) (*Writer, error) { return create(path, nil) }

func create(path string, committed func(total int64)) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating the session database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("creating the session database: %w", err)
	}
	name, err := uri(path, url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)"}})
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("creating the session database %s: %w", path, err)
	}
	w := &Writer{db: db, wake: make(chan struct{}, 1), done: make(chan struct{}), committed: committed, budget: maxBytes}
	if err := w.prepare(context.Background()); err != nil {
		db.Close()
		for _, end := range []string{"", "-wal", "-shm"} { // all ours, and without a table
			_ = os.Remove(path + end)
		}
		return nil, fmt.Errorf("creating the session database %s: %w", path, withENOSPC(err))
	}
	go w.run()
	return w, nil
}

// withENOSPC gives SQLite's error of a full disk the one that the system has for it.
func withENOSPC(err error) error {
	// Its index of the log, which it makes as long as it needs at once, fails otherwise.
	if e := (*sqlite.Error)(nil); errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE) {
		return fmt.Errorf("%w: %w", err, syscall.ENOSPC)
	}
	return err
}

// uri names a file for SQLite; characters that a URI knows are escaped.
func uri(path string, query url.Values) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "file", Path: abs, RawQuery: query.Encode()}
	return u.String(), nil
}

func (w *Writer) prepare(ctx context.Context) (err error) {
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return err
	}
	if _, err = w.conn.ExecContext(ctx, "BEGIN;"+schema+"COMMIT"); err != nil {
		return err
	}
	if w.net, err = w.conn.PrepareContext(ctx, insertNetEvent); err != nil {
		return err
	}
	w.mcp, err = w.conn.PrepareContext(ctx, insertMCPCall)
	return err
}

// NetEvent queues a row of net_events.
func (w *Writer) NetEvent(e NetEvent) { w.add(&e) }

// MCPCall queues a row of mcp_calls.
func (w *Writer) MCPCall(c MCPCall) { w.add(&c) }

func (w *Writer) add(r row) {
	r.limit()
	n := r.size()
	w.mu.Lock()
	full := w.taken+n > w.budget
	if w.closed || full || len(w.queue) >= maxQueueRows || w.bytes+n > maxQueueBytes {
		w.dropped++
		w.over = w.over || full
		w.mu.Unlock()
		return
	}
	w.taken += n
	w.queue = append(w.queue, r)
	w.bytes += n
	w.mu.Unlock()
	w.signal()
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // there is a token already
	}
}

// take removes up to a batch from the queue. It reports false when the writer
// is closed and nothing is left.
func (w *Writer) take(batch []row) ([]row, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), maxBatch)
	batch = append(batch[:0], w.queue[:n]...)
	for i, r := range batch {
		w.bytes -= r.size()
		w.queue[i] = nil
	}
	w.queue = w.queue[n:]
	if len(w.queue) == 0 {
		w.queue = nil
	}
	return batch, n > 0 || !w.closed
}

// run writes batches until the writer is closed and the queue is empty.
func (w *Writer) run() {
	defer close(w.done)
	var batch []row
	for {
		var more bool
		batch, more = w.take(batch)
		switch {
		case !more:
			return
		case len(batch) == 0:
			<-w.wake
			continue
		}
		if err := w.write(batch); err != nil {
			w.mu.Lock()
			w.dropped += int64(len(batch))
			if w.err == nil {
				w.err = withENOSPC(err)
			}
			w.mu.Unlock()
			continue
		}
		w.written += int64(len(batch))
		if w.committed != nil {
			w.committed(w.written)
		}
	}
}

// write stores a batch in one transaction, or nothing of it.
func (w *Writer) write(batch []row) error {
	ctx := context.Background()
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, r := range batch {
		stmt := w.mcp
		if _, ok := r.(*NetEvent); ok {
			stmt = w.net
		}
		if _, err := stmt.ExecContext(ctx, r.values()...); err != nil {
			w.rollback(ctx)
			return err
		}
	}
	if _, err := w.conn.ExecContext(ctx, "COMMIT"); err != nil {
		w.rollback(ctx)
		return err
	}
	return nil
}

// rollback ends a failed transaction. After some errors, a full disk among
// them, SQLite has done so itself; then there is nothing to roll back.
func (w *Writer) rollback(ctx context.Context) {
	_, _ = w.conn.ExecContext(ctx, "ROLLBACK")
}

// Close writes what is queued, folds the log into the database file and closes
// it. If rows were dropped, by a full queue or a failed write, its error wraps
// ErrDropped and says how many and why. Rows that come later are dropped too.
func (w *Writer) Close() error {
	w.close.Do(func() {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		w.signal()
		<-w.done
		w.closeErr = w.finish()
	})
	return w.closeErr
}

func (w *Writer) finish() error {
	var errs []error
	w.mu.Lock()
	switch {
	case w.err != nil:
		errs = append(errs, fmt.Errorf("%w: %d: %w", ErrDropped, w.dropped, w.err))
	case w.over:
		errs = append(errs, fmt.Errorf("%w: %d, the database has its %d MiB", ErrDropped, w.dropped, w.budget>>20))
	case w.dropped > 0:
		errs = append(errs, fmt.Errorf("%w: %d, the queue was full: the disk is slower than the requests", ErrDropped, w.dropped))
	}
	w.mu.Unlock()
	// The statements and the connection go with the database.
	_, err := w.conn.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	errs = append(errs, err, w.net.Close(), w.mcp.Close(), w.conn.Close(), w.db.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the session database: %w", err)
	}
	return nil
}
