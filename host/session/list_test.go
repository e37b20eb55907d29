package session

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestListSessions(t *testing.T) {
	dir := t.TempDir()
	put := func(id, name string) string {
		require.NoError(t, os.Mkdir(filepath.Join(dir, id), 0o700))
		path := filepath.Join(dir, id, name)
		require.NoError(t, os.WriteFile(path, []byte("12345"), 0o600))
		return path
	}
	old := put("20260327-101500-1a2b", "session.db")
	recent := put("20260328-101500-3c4d", "session.db.gz")
	named := put("named", "session.db")
	require.NoError(t, os.Chtimes(named, epoch.Add(36*time.Hour), epoch.Add(36*time.Hour)))
	put("20260329-101500-ffff", "other.txt")
	require.NoError(t, os.WriteFile(old+"-wal", []byte("123"), 0o600))

	list, err := ListSessions(context.Background(), dir)
	require.NoError(t, err)
	assert.Empty(t, list.Notes)
	var got []string
	for _, s := range list.Sessions {
		got = append(got, s.Path)
	}
	assert.Equal(t, []string{named, recent, old}, got)
	assert.EqualValues(t, 8, list.Sessions[2].Size, "with its log")

	madeBy(
		t, filepath.Join(dir, "main.db"),
		`CREATE TABLE sessions (id TEXT PRIMARY KEY, mode TEXT, command TEXT, status TEXT, created_at TEXT, total_requests INTEGER, total_mcp_calls INTEGER)`,
		`INSERT INTO sessions VALUES ('20260327-101500-1a2b', 'cli', 'ls', 'stopped', '2026-03-27T11:15:00+01:00', 7, 3),
			('20260301-000000-0000', 'gui', NULL, 'terminated', 'yesterday', NULL, NULL)`,
	)
	list, err = ListSessions(context.Background(), dir)
	require.NoError(t, err)
	require.Len(t, list.Sessions, 4)
	s := list.Sessions[2]
	assert.Equal(t, old, s.Path)
	assert.Equal(t, "stopped", s.Status)
	assert.EqualValues(t, 7, s.Requests)
	assert.EqualValues(t, 3, s.MCPCalls)
	assert.True(t, s.Time.Equal(time.Date(2026, 3, 27, 10, 15, 0, 0, time.UTC)))
	gone := list.Sessions[3]
	assert.Equal(t, "terminated", gone.Status)
	assert.Empty(t, gone.Path)
	assert.Equal(t, 2026, gone.Time.Year())
}

func TestListSessionsWithABadIndex(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.db"), []byte("garbage"), 0o600))
	list, err := ListSessions(context.Background(), dir)
	require.NoError(t, err)
	assert.Empty(t, list.Sessions)
	require.Len(t, list.Notes, 1)
	assert.Contains(t, list.Notes[0], "not a SQLite database")

	_, err = ListSessions(context.Background(), filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
