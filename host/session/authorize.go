package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"modernc.org/sqlite"
)

// A compiler compiles statements on one connection, which from then on refuses
// all that does not read. SQLite's own parser and authorizer decide what a
// statement is and does (https://sqlite.org/c3ref/set_authorizer.html).
type compiler struct {
	conn    driverConn
	refused string // what the last statement wanted, "" if nothing was refused
}

// driverConn is what sql.Conn.Raw gives, as far as it is used here.
type driverConn interface {
	ColumnInfo(query string) ([]sqlite.ColumnInfo, error)
	sqlite.AuthorizerRegisterer
}

func newCompiler(conn any) (*compiler, error) {
	c, ok := conn.(driverConn)
	if !ok {
		return nil, errors.New("the SQLite driver has no authorizer")
	}
	p := &compiler{conn: c}
	return p, c.RegisterAuthorizer(p.authorize)
}

// authorize implements sqlite.AuthorizerFn. Pragmas act when they are compiled,
// explained or not. Without a value they only tell what is set, or need to
// write, which a connection for reading cannot.
func (p *compiler) authorize(action sqlite.AuthorizerActionCode, name, value, _, _ string) sqlite.AuthorizerReturnCode {
	switch action {
	case sqlite.AuthSelect, sqlite.AuthRead, sqlite.AuthFunction, sqlite.AuthRecursive:
		return sqlite.AuthorizerOK
	case sqlite.AuthPragma:
		if value == "" || namesSomething(name) {
			return sqlite.AuthorizerOK
		}
		p.refused = "PRAGMA " + name + " with a value"
	case sqlite.AuthInsert:
		p.refused = "INSERT INTO " + name // CREATE begins with sqlite_master
	case sqlite.AuthUpdate:
		p.refused = "UPDATE " + name
	case sqlite.AuthDelete:
		p.refused = "DELETE FROM " + name // DROP likewise
	case sqlite.AuthAttach:
		p.refused = "ATTACH"
	default:
		p.refused = "another statement"
	}
	return sqlite.AuthorizerDeny
}

// namesSomething reports a pragma whose value is the name of a table or an
// index, or the number of errors to list.
func namesSomething(pragma string) bool {
	return slices.Contains([]string{
		"foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo", "integrity_check",
		"quick_check", "table_info", "table_list", "table_xinfo",
	}, strings.ToLower(pragma))
}

// prepare returns the one statement of a query as it is to be run, and the
// names of its columns.
func (p *compiler) prepare(ctx context.Context, query string, rows int) (statement string, names []string, err error) {
	statement, rest, err := p.cut(ctx, query)
	if err != nil {
		return "", nil, err
	}
	columns, err := p.compile(statement)
	switch {
	case err != nil:
		return "", nil, err
	case columns == nil:
		return "", nil, errors.New("no statement")
	case len(columns) == 0: // VACUUM, about which SQLite does not ask
		return "", nil, fmt.Errorf("%w: the statement returns no columns", ErrReadOnly)
	}
	if more, err := p.compile(rest); more != nil || err != nil {
		return "", nil, errors.New("one statement only; there is more after the semicolon")
	}
	for _, column := range columns {
		names = append(names, column.Name)
	}
	// A pragma and an explanation cannot be a part of another statement.
	if all := atOnce(statement, rows); p.compiles(all) {
		statement = all
	}
	return statement, names, nil
}

// atOnce is a statement with all its work, of at most so many rows, done
// before the first row is there. The driver interrupts a statement that is on
// its way to its first row, and none that is on its way to the next.
func atOnce(statement string, rows int) string {
	return fmt.Sprintf(`WITH "(result)" AS MATERIALIZED (SELECT * FROM (%s`+"\n"+`) LIMIT %d) SELECT * FROM "(result)"`, statement, rows)
}

// cut returns the first statement of a query and what follows its semicolon. A
// semicolon ends a statement when what is before it compiles, and with another
// parenthesis does not: inside of quotes the first is untrue, in a comment the
// second.
func (p *compiler) cut(ctx context.Context, query string) (first, rest string, err error) {
	begin := 0
	for i, c := range query {
		if c != ';' {
			continue
		}
		if err := ctx.Err(); err != nil {
			return "", "", err
		}
		columns, err := p.compile(query[begin:i])
		switch {
		case err != nil || p.compiles(query[begin:i]+")"):
		case columns == nil:
			begin = i + 1 // nothing before it
		default:
			return query[begin:i], query[i+1:], nil
		}
	}
	first = query[begin:]
	if p.compiles(first) && p.compiles(first+"\n)") {
		first += "*/" // a comment that the query leaves open
	}
	return first, "", nil
}

func (p *compiler) compiles(query string) bool {
	_, err := p.compile(query)
	return err == nil
}

// compile returns the columns of the first statement of a query: nil if there
// is no statement. Pragmas act.
func (p *compiler) compile(query string) ([]sqlite.ColumnInfo, error) {
	p.refused = ""
	columns, err := p.conn.ColumnInfo(query)
	if p.refused != "" {
		return nil, fmt.Errorf("%w: SELECT, WITH, VALUES, EXPLAIN and pragmas without a value, not %s", ErrReadOnly, p.refused)
	}
	return columns, err
}
