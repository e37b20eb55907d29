package session

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/capsem/capsem-bench/internal/diskroom"
	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/dustin/go-humanize"
)

// maxUnpacked bounds a compressed database once unpacked, and a copy: some
// million rows with their previews of bodies.
const maxUnpacked = 1 << 30

// freeMargin is the space that is left free beside a copy.
const freeMargin = 64 << 20

// tempPrefix begins the names of the directories for copies.
const tempPrefix = "capsem-session-"

// SQLite limits for what it reads here: a value, a statement.
const (
	maxValue     = 16 << 20
	maxStatement = 1 << 20
)

// The numbers of sqlite3_limit.
const (
	limitLength    = 0
	limitSQLLength = 1
	limitAttached  = 7
)

// magic is how every SQLite database begins.
const magic = "SQLite format 3\x00"

// A DB is a session database open for reading. Its methods may not be called
// at the same time.
type DB struct {
	path    string
	db      *sql.DB
	conn    *sql.Conn
	temp    *scratch.Dir               // for copies, or nil
	columns map[string]map[string]bool // of the tables that there are
}

// Open opens a session database for reading, also a gzip-compressed one, which
// is unpacked to a private temporary file, and one that is being written. It
// never writes to it. The caller must Close it.
func Open(path string) (*DB, error) { return open(path, maxUnpacked) }

func open(path string, limit int64) (*DB, error) {
	d := &DB{path: path}
	if err := d.open(context.Background(), limit); err != nil {
		return nil, errors.Join(fmt.Errorf("opening session database %s: %w", path, err), d.Close())
	}
	return d, nil
}

func (d *DB) open(ctx context.Context, limit int64) error {
	head, err := readHead(d.path)
	if err != nil {
		return err
	}
	file := d.path
	if bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
		if file, err = d.unpack(limit); err != nil {
			return err
		}
		if head, err = readHead(file); err != nil {
			return err
		}
	}
	if !bytes.Equal(head, []byte(magic)) {
		return errors.New("not a SQLite database")
	}
	if err := d.connect(ctx, file, logged(file)); err != nil {
		if !logged(file) {
			return err
		}
		// SQLite cannot read a log in a directory where it may not write its
		// index beside it, so it gets copies.
		if file, err = d.copyLogged(file, limit); err != nil {
			return err
		}
		return d.connect(ctx, file, true)
	}
	return nil
}

func readHead(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	head := make([]byte, len(magic))
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	return head[:n], nil
}

// logged reports whether a log with content lies beside the database: it is
// being written, or its writer was killed.
func logged(file string) bool {
	info, err := os.Stat(file + "-wal")
	return err == nil && info.Size() > 0
}

// connect opens the file and looks at its tables. Without a log the file is
// declared immutable, or SQLite would leave an empty log and its index behind.
func (d *DB) connect(ctx context.Context, file string, logged bool) (err error) {
	query := url.Values{"mode": {"ro"}, "_pragma": {
		"busy_timeout(5000)", "query_only(1)", "trusted_schema(0)", "cell_size_check(1)",
	}}
	if !logged {
		query.Set("immutable", "1")
	}
	name, err := uri(file, query)
	if err != nil {
		return err
	}
	if d.db, err = sql.Open("sqlite", name); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.disconnect())
		}
	}()
	if d.conn, err = d.db.Conn(ctx); err != nil {
		return err
	}
	if err := setLimits(d.conn); err != nil {
		return err
	}
	d.columns, err = readColumns(ctx, d.conn)
	return err
}

func (d *DB) disconnect() error {
	var errs []error
	if d.conn != nil {
		// A connection whose query was interrupted is gone already.
		if err := d.conn.Close(); !errors.Is(err, driver.ErrBadConn) {
			errs = append(errs, err)
		}
	}
	if d.db != nil {
		errs = append(errs, d.db.Close())
	}
	d.conn, d.db = nil, nil
	return errors.Join(errs...)
}

// Close closes the database and removes what Open made for itself.
func (d *DB) Close() error {
	err := d.disconnect()
	if d.temp != nil {
		err = errors.Join(err, d.temp.Close())
		d.temp = nil
	}
	return err
}

// tempDir makes the private directory for copies, after those of processes
// that were killed.
func (d *DB) tempDir() (err error) {
	if d.temp == nil {
		scratch.Sweep(os.TempDir(), tempPrefix)
		d.temp, err = scratch.New(os.TempDir(), tempPrefix)
	}
	return err
}

// unpack writes the uncompressed database to a file of its own.
func (d *DB) unpack(limit int64) (string, error) {
	in, err := os.Open(d.path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		return "", fmt.Errorf("unpacking: %w", err)
	}
	file, err := d.copyIn(z, "session.db", limit)
	if err != nil {
		return "", fmt.Errorf("unpacking: %w", err)
	}
	return file, nil
}

// copyLogged copies a database and its log.
func (d *DB) copyLogged(file string, limit int64) (string, error) {
	var to string
	for _, suffix := range []string{"-wal", ""} {
		in, err := os.Open(file + suffix)
		if err != nil {
			return "", err
		}
		to, err = d.copyIn(in, "session.db"+suffix, limit)
		in.Close()
		if err != nil {
			return "", fmt.Errorf("copying %s: %w", filepath.Base(file+suffix), err)
		}
	}
	return to, nil
}

// copyIn copies at most limit bytes into the private directory, and leaves
// freeMargin free there.
func (d *DB) copyIn(in io.Reader, name string, limit int64) (path string, err error) {
	if err := d.tempDir(); err != nil {
		return "", err
	}
	free, _, err := diskroom.On(d.temp.Path())
	if err != nil {
		return "", err
	}
	path = filepath.Join(d.temp.Path(), name)
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	return path, errors.Join(copyBounded(out, in, limit, free), out.Close())
}

// copyBounded copies at most limit bytes to where so many bytes are free.
func copyBounded(out io.Writer, in io.Reader, limit, free int64) error {
	room := max(free-freeMargin, 0)
	n, err := io.Copy(out, io.LimitReader(in, min(limit, room)+1))
	switch {
	case err != nil:
		return err
	case n > limit:
		return fmt.Errorf("more than %s", humanize.IBytes(uint64(limit)))
	case n > room:
		return fmt.Errorf("no room for it among the temporary files: %s are free", humanize.IBytes(uint64(free)))
	}
	return nil
}
