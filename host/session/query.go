package session

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
)

// QueryLimits bound the result of a query; a zero field is the default.
type QueryLimits struct {
	Rows  int   // default 10,000
	Bytes int64 // of texts and blobs, default 16 MiB
}

// A Result is what a query gave. Values are nil, int64, float64, string or,
// for a blob, []byte.
type Result struct {
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
	// More is set when a limit left rows out.
	More bool `json:"more,omitempty"`
}

// ErrReadOnly is wrapped by Query for a statement that would change something
// or reach beyond the database.
var ErrReadOnly = errors.New("only reading is allowed")

// Query runs one reading statement: SELECT, WITH, VALUES, EXPLAIN, or a pragma
// without a value. The time limit is that of the context.
func (d *DB) Query(ctx context.Context, query string, limits QueryLimits) (*Result, error) {
	if strings.Contains(query, "\x00") { // SQLite reads up to it
		return nil, errors.New("the statement has a NUL byte")
	}
	if limits.Rows <= 0 {
		limits.Rows = 10_000
	}
	if limits.Bytes <= 0 {
		limits.Bytes = 16 << 20
	}
	// A connection of its own, for an interrupted one is thrown away.
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, queryError(ctx, err)
	}
	defer conn.Close()
	if err := setLimits(conn); err != nil {
		return nil, err
	}
	var names []string
	err = conn.Raw(func(c any) error {
		p, err := newCompiler(c)
		if err != nil {
			return err
		}
		query, names, err = p.prepare(ctx, query, limits.Rows+1)
		return err
	})
	if err != nil {
		return nil, queryError(ctx, err)
	}
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, queryError(ctx, err)
	}
	defer rows.Close()
	res, err := collect(rows, limits)
	if err != nil {
		return nil, queryError(ctx, err)
	}
	res.Columns = names // those of the statement as its author wrote it
	return res, nil
}

// MarshalJSON writes the result for programs. JSON has no infinite numbers;
// they are texts.
func (r *Result) MarshalJSON() ([]byte, error) {
	type plain Result
	out := plain{Columns: r.Columns, Rows: make([][]any, len(r.Rows)), More: r.More}
	for i, row := range r.Rows {
		out.Rows[i] = slices.Clone(row)
		for j, v := range row {
			f, ok := v.(float64)
			switch {
			case ok && math.IsInf(f, 1):
				out.Rows[i][j] = "Infinity"
			case ok && math.IsInf(f, -1):
				out.Rows[i][j] = "-Infinity"
			case ok && math.IsNaN(f):
				out.Rows[i][j] = nil
			}
		}
	}
	return json.Marshal(out)
}

func collect(rows *sql.Rows, limits QueryLimits) (*Result, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	res := &Result{Columns: columns, Rows: [][]any{}}
	var size int64
	for rows.Next() {
		if len(res.Rows) == limits.Rows || size > limits.Bytes {
			res.More = true
			return res, nil
		}
		values, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		for i, v := range values {
			switch v := v.(type) {
			case string:
				size += int64(len(v))
			case []byte:
				size += int64(len(v))
			case time.Time: // a column declared as a time
				values[i] = v.Format(time.RFC3339Nano)
			}
		}
		res.Rows = append(res.Rows, values)
	}
	return res, rows.Err()
}

// The primary result codes of SQLite that say a statement is not for here.
const (
	codeReadOnly = 8
	codeAuth     = 23
)

// queryError says what went wrong in the caller's terms.
func queryError(ctx context.Context, err error) error {
	var e *sqlite.Error
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("query: %w", context.Cause(ctx))
	case errors.As(err, &e) && (e.Code()&0xff == codeReadOnly || e.Code()&0xff == codeAuth):
		return fmt.Errorf("query: %w: %w", ErrReadOnly, err)
	}
	return fmt.Errorf("query: %w", err)
}
