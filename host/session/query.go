package session

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

// Query runs one reading statement: SELECT, WITH, VALUES, EXPLAIN, or one of
// the pragmas that only tell. The time limit is that of the context.
func (d *DB) Query(ctx context.Context, query string, limits QueryLimits) (*Result, error) {
	st, err := checkQuery(query)
	if err != nil {
		return nil, err
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
	rows, err := conn.QueryContext(ctx, st.atOnce(limits.Rows+1))
	if err != nil {
		return nil, queryError(ctx, err)
	}
	defer rows.Close()
	res, err := collect(rows, limits)
	if err != nil {
		return nil, queryError(ctx, err)
	}
	return res, nil
}

// atOnce is the statement with all its work, of at most so many rows, done
// before the first row is there. The driver interrupts a statement that is on
// its way to its first row, and none that is on its way to the next.
func (s statement) atOnce(rows int) string {
	switch s.verb() {
	case "SELECT", "VALUES":
		return fmt.Sprintf("WITH result AS MATERIALIZED (SELECT * FROM (%s\n) LIMIT %d) SELECT * FROM result", s.text, rows)
	}
	return s.text
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

// tellingPragmas only tell, as long as nothing is assigned to them.
func tellingPragmas() []string {
	return []string{
		"application_id", "collation_list", "compile_options", "database_list", "encoding", "foreign_key_check",
		"foreign_key_list", "freelist_count", "function_list", "index_info", "index_list", "index_xinfo", "integrity_check",
		"journal_mode", "module_list", "page_count", "page_size", "pragma_list", "quick_check", "schema_version",
		"table_info", "table_list", "table_xinfo", "user_version",
	}
}

// pragmasWithArgument are those of the above where a value names something.
func pragmasWithArgument() []string {
	return []string{
		"foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo", "integrity_check",
		"quick_check", "table_info", "table_list", "table_xinfo",
	}
}

// checkQuery refuses what is not one reading statement. SQLite itself refuses
// to write, for file and connection are read-only; this keeps a statement from
// changing that, and from opening other files.
func checkQuery(query string) (statement, error) {
	st, err := scanStatement(query)
	if err != nil {
		return st, err
	}
	words := st.words
	// Some pragmas act as soon as they are compiled, explained or not.
	if len(words) > 1 && strings.EqualFold(words[0], "EXPLAIN") {
		words = words[1:]
		if len(words) > 2 && strings.EqualFold(words[0], "QUERY") {
			words = words[2:]
		}
	}
	switch verb := (statement{words: words}).verb(); verb {
	case "SELECT", "WITH", "VALUES":
		return st, nil
	case "PRAGMA":
		return st, checkPragma(words[1:])
	default:
		return st, fmt.Errorf("query: %w: SELECT, WITH, VALUES, EXPLAIN and pragmas that only tell, not %s", ErrReadOnly, verb)
	}
}

// checkPragma takes the words behind PRAGMA.
func checkPragma(words []string) error {
	if len(words) > 2 && words[1] == "." {
		words = words[2:] // of a named database
	}
	if len(words) == 0 {
		return errors.New("query: PRAGMA without a name")
	}
	name := strings.ToLower(words[0])
	if !slices.Contains(tellingPragmas(), name) {
		return fmt.Errorf("query: %w: PRAGMA %s is not one of %s", ErrReadOnly, name, strings.Join(tellingPragmas(), ", "))
	}
	if len(words) > 1 && !slices.Contains(pragmasWithArgument(), name) {
		return fmt.Errorf("query: %w: PRAGMA %s with a value", ErrReadOnly, name)
	}
	return nil
}
