package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// sessionsTable is the table of main.db, Capsem's index of its sessions.
const sessionsTable = "sessions"

// maxIndexed bounds the rows that are read of main.db.
const maxIndexed = 100_000

// A Session is one directory with a session database, or a row of main.db
// whose directory is gone.
type Session struct {
	ID   string    `json:"id"`
	Path string    `json:"path,omitempty"` // of the database; "" if it is gone
	Time time.Time `json:"time"`           // of creation
	Size int64     `json:"bytes"`          // of the database file with its log
	// The rest is known from main.db alone.
	Mode     string `json:"mode,omitempty"`
	Command  string `json:"command,omitempty"`
	Status   string `json:"status,omitempty"` // "running", "stopped", "crashed", "vacuumed", "terminated"
	Requests int64  `json:"total_requests,omitempty"`
	Allowed  int64  `json:"allowed_requests,omitempty"`
	Denied   int64  `json:"denied_requests,omitempty"`
	MCPCalls int64  `json:"total_mcp_calls,omitempty"`
}

// A SessionList is what ListSessions found, newest first.
type SessionList struct {
	Sessions []Session `json:"sessions"`
	// Notes say what could not be read, one sentence each.
	Notes []string `json:"notes,omitempty"`
}

// ListSessions lists the sessions below dir: every directory in it with a
// session.db or session.db.gz, and what Capsem's main.db beside them says.
func ListSessions(ctx context.Context, dir string) (*SessionList, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	list := &SessionList{Sessions: []Session{}}
	for _, e := range entries {
		if s, ok := findSession(dir, e.Name()); ok {
			list.Sessions = append(list.Sessions, s)
		}
	}
	if err := list.addIndex(ctx, filepath.Join(dir, "main.db")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		list.Notes = append(list.Notes, err.Error())
	}
	slices.SortFunc(list.Sessions, func(a, b Session) int {
		return cmp.Or(b.Time.Compare(a.Time), strings.Compare(b.ID, a.ID))
	})
	return list, nil
}

// findSession looks for a database in dir/id. A link to a directory counts.
func findSession(dir, id string) (Session, bool) {
	for _, name := range []string{"session.db", "session.db.gz"} {
		path := filepath.Join(dir, id, name)
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		s := Session{ID: id, Path: path, Time: sessionTime(id, info.ModTime()), Size: info.Size()}
		if log, err := os.Stat(path + "-wal"); err == nil {
			s.Size += log.Size()
		}
		return s, true
	}
	return Session{}, false
}

// sessionTime reads the time at the front of an id like 20260327-101500-1a2b,
// in UTC; ids without one go by the time of the file.
func sessionTime(id string, modified time.Time) time.Time {
	const layout = "20060102-150405"
	if len(id) >= len(layout) {
		if t, err := time.Parse(layout, id[:len(layout)]); err == nil {
			return t
		}
	}
	return modified
}

// addIndex adds what main.db knows.
func (l *SessionList) addIndex(ctx context.Context, path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	d, err := Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if !d.has(sessionsTable, "id") {
		return fmt.Errorf("reading %s: no table sessions with a column id", path)
	}
	if err := d.readIndex(ctx, l); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

func (d *DB) readIndex(ctx context.Context, l *SessionList) error {
	text := func(c string) string { return "coalesce(" + d.or(sessionsTable, c, "NULL") + ", '')" }
	number := func(c string) string { return "coalesce(" + d.or(sessionsTable, c, "NULL") + ", 0)" }
	rows, err := d.conn.QueryContext(ctx, "SELECT coalesce(id, ''), "+strings.Join([]string{
		text("mode"), text("command"), text("status"), text("created_at"),
		number("total_requests"), number("allowed_requests"), number("denied_requests"), number("total_mcp_calls"),
	}, ", ")+" FROM sessions LIMIT ?", maxIndexed)
	if err != nil {
		return err
	}
	defer rows.Close()
	known := map[string]int{}
	for i, s := range l.Sessions {
		known[s.ID] = i
	}
	for rows.Next() {
		var s Session
		var created string
		if err := rows.Scan(&s.ID, &s.Mode, &s.Command, &s.Status, &created, &s.Requests, &s.Allowed, &s.Denied, &s.MCPCalls); err != nil {
			return err
		}
		s.Time, err = time.Parse(time.RFC3339Nano, created)
		if err != nil {
			s.Time = sessionTime(s.ID, time.Time{})
		}
		if i, ok := known[s.ID]; ok {
			s.Path, s.Size = l.Sessions[i].Path, l.Sessions[i].Size
			l.Sessions[i] = s
			continue
		}
		l.Sessions = append(l.Sessions, s)
	}
	return rows.Err()
}
