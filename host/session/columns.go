package session

import (
	"context"
	"database/sql"
	"fmt"

	"modernc.org/sqlite"
)

// setLimits bounds what a query may build, whatever the file says.
func setLimits(conn *sql.Conn) error {
	for id, n := range map[int]int{limitLength: maxValue, limitSQLLength: maxStatement, limitAttached: 0} {
		if _, err := sqlite.Limit(conn, id, n); err != nil {
			return fmt.Errorf("setting a limit: %w", err)
		}
	}
	return nil
}

// readColumns returns the columns of every table of a session database, and of
// main.db, that the file has.
func readColumns(ctx context.Context, conn *sql.Conn) (map[string]map[string]bool, error) {
	tables := map[string]map[string]bool{}
	for _, table := range append(tableNames(), sessionsTable) {
		real, err := isTable(ctx, conn, table)
		if err != nil {
			return nil, fmt.Errorf("reading the tables: %w", err)
		}
		if !real {
			continue
		}
		columns, err := tableColumns(ctx, conn, table)
		if err != nil {
			return nil, fmt.Errorf("reading the tables: %w", err)
		}
		if len(columns) > 0 {
			tables[table] = columns
		}
	}
	return tables, nil
}

// isTable reports whether a name is that of a table with rows of its own. A
// view or a virtual table may compute any number of rows of any size, and a
// database may come from anybody.
func isTable(ctx context.Context, conn *sql.Conn, table string) (bool, error) {
	var n int
	err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name = ?", table).Scan(&n)
	return n == 1, err
}

func tableColumns(ctx context.Context, conn *sql.Conn, table string) (map[string]bool, error) {
	rows, err := conn.QueryContext(ctx, "SELECT name FROM pragma_table_info(?)", table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		columns[name] = true
	}
	return columns, rows.Err()
}

// has reports whether a table has all of the columns.
func (d *DB) has(table string, columns ...string) bool {
	for _, c := range columns {
		if !d.columns[table][c] {
			return false
		}
	}
	return d.columns[table] != nil
}

// or returns the column if the table has it, else an expression instead.
func (d *DB) or(table, column, instead string) string {
	if d.has(table, column) {
		return column
	}
	return instead
}

// milliseconds is the expression for a duration in ms: exact where the row
// has microseconds, else whole milliseconds.
func (d *DB) milliseconds(table string) string {
	ms := d.or(table, "duration_ms", "NULL")
	if d.has(table, "duration_us") {
		return "coalesce(duration_us / 1000.0, " + ms + ")"
	}
	return ms
}
