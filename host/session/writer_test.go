package session

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Dropped returns how many rows are missing from the database so far.
func (w *Writer) Dropped() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Guest to host: the database has a budget; rows beyond it are counted, and
// what a guest makes up is cut to what a column is for.
func TestGuestCannotFillTheDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "session.db")
	w, err := Create(path)
	require.NoError(t, err)
	w.budget = 1 << 20
	for range 100 {
		w.MCPCall(MCPCall{Time: epoch, Method: strings.Repeat("m", 1<<20), Error: strings.Repeat("e", 1<<20), Request: strings.Repeat("r", 1<<20)})
	}
	err = w.Close()
	require.ErrorIs(t, err, ErrDropped)
	require.ErrorContains(t, err, "97, the database has its 1 MiB")
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(2<<20))
	rows := query(t, opened(t, path), "SELECT length(method), length(error_message), length(request_preview) FROM mcp_calls")
	require.Len(t, rows, 3)
	assert.Equal(t, []any{int64(1024), int64(1024), int64(256 << 10)}, rows[0])
}

func TestWriterRows(t *testing.T) {
	c := mcp("snapshots_create", 4999*time.Microsecond)
	hello := MCPCall{Time: epoch.In(time.FixedZone("", 3600)), Server: "gateway", Method: "initialize", Decision: "error", Error: "no"}
	e := event("www.google.com", "allowed", 1999*time.Microsecond)
	e.Query, e.RequestHeaders, e.ResponseHeaders, e.RequestPreview, e.ResponsePreview = "q=1", "a: b", "c: d", "in", "out"
	d := opened(t, written(t, c, hello, e, NetEvent{Time: epoch, Domain: "x", Port: 80, Decision: "error"}))

	const at = "2026-03-27T10:15:00.123456789Z"
	assert.Equal(t, [][]any{
		{
			int64(1), at, "builtin", "tools/call", "snapshots_create", "1", `{"name":"snapshots_create"}`, `{"content":[]}`,
			"allowed", int64(4), nil, "snapshots", int64(10), int64(14), int64(4999),
		},
		{
			int64(2), at, "gateway", "initialize", nil, nil, nil, nil, "error", int64(0), "no", nil, int64(0), int64(0), int64(0),
		},
	}, query(t, d, "SELECT * FROM mcp_calls ORDER BY id"))
	assert.Equal(t, [][]any{
		{
			int64(1), at, "www.google.com", int64(443), "allowed", "curl", nil, "GET", "/", "q=1", int64(200), int64(5), int64(1000),
			int64(1), "www.google.com", "a: b", "c: d", "in", "out", "https-mitm", int64(1999),
		},
		{
			int64(2), at, "x", int64(80), "error", nil, nil, nil, nil, nil, nil, int64(0), int64(0), int64(0), nil, nil, nil, nil, nil, "https", int64(0),
		},
	}, query(t, d, "SELECT * FROM net_events ORDER BY id"))
}

func TestWriterKeepsEveryRow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session.db")
	w, err := Create(path)
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 250 {
				w.MCPCall(mcp("snapshots_list", time.Millisecond))
			}
		})
	}
	group.Wait()
	require.NoError(t, w.Close())
	require.NoError(t, w.Close(), "closing twice")
	assert.Equal(t, [][]any{{int64(2000)}}, query(t, opened(t, path), "SELECT count(*) FROM mcp_calls"))

	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	assert.NoFileExists(t, path+"-wal")
}

func TestWriterFullQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session.db")
	release := make(chan struct{})
	var once sync.Once
	first := make(chan struct{})
	w, err := create(path, func(int64) {
		once.Do(func() { close(first) })
		<-release
	})
	require.NoError(t, err)
	w.MCPCall(mcp("first", 0))
	<-first // the writing goroutine is held from here on
	for range maxQueueRows + 3 {
		w.MCPCall(mcp("more", 0))
	}
	assert.EqualValues(t, 3, w.Dropped())
	close(release)
	err = w.Close()
	require.ErrorIs(t, err, ErrDropped)
	assert.ErrorContains(t, err, "dropped: 3, the queue was full")
	assert.Equal(t, [][]any{{int64(maxQueueRows + 1)}}, query(t, opened(t, path), "SELECT count(*) FROM mcp_calls"))

	w.MCPCall(mcp("late", 0))
	assert.EqualValues(t, 4, w.Dropped(), "a row after Close is counted")
}

func TestWriterQueueIsBoundedInBytes(t *testing.T) {
	release := make(chan struct{})
	first := make(chan struct{}, 1)
	w, err := create(filepath.Join(t.TempDir(), "session.db"), func(int64) {
		select {
		case first <- struct{}{}:
		default:
		}
		<-release
	})
	require.NoError(t, err)
	w.MCPCall(mcp("first", 0))
	<-first
	big := mcp("more", 0)
	big.Request = strings.Repeat("x", maxText)
	for range maxQueueBytes/maxText + 10 {
		w.MCPCall(big)
	}
	assert.Positive(t, w.Dropped())
	close(release)
	require.ErrorIs(t, w.Close(), ErrDropped)
}

func TestWriterFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session.db")
	w, err := Create(path)
	require.NoError(t, err)
	_, err = w.conn.ExecContext(context.Background(), "PRAGMA max_page_count=20")
	require.NoError(t, err)
	big := mcp("snapshots_list", 0)
	big.Response = strings.Repeat("x", 100<<10)
	w.MCPCall(big)
	small := mcp("snapshots_delete", 0)
	w.MCPCall(small)
	err = w.Close()
	require.ErrorIs(t, err, ErrDropped)
	assert.ErrorContains(t, err, "full")
	d := opened(t, path)
	assert.Equal(t, [][]any{{"ok"}}, query(t, d, "PRAGMA integrity_check"))
}

func TestLimitText(t *testing.T) {
	tests := []struct {
		name, text string
		want       int
	}{
		{"short", "abc", 3},
		{"exact", strings.Repeat("x", maxText), maxText},
		{"ascii", strings.Repeat("x", maxText+1), maxText},
		{"two bytes astride", "x" + strings.Repeat("é", maxText), maxText - 1},
		{"four bytes astride", "xxx" + strings.Repeat("😀", maxText), maxText - 1},
		{"no UTF-8", strings.Repeat("\x80", 2*maxText), maxText - utf8.UTFMax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := limitText(tt.text, maxText)
			assert.Len(t, got, tt.want)
			assert.True(t, strings.HasPrefix(tt.text, got))
		})
	}
}

func TestCreateFails(t *testing.T) {
	path := written(t)
	_, err := Create(path)
	require.ErrorIs(t, err, os.ErrExist)
	_, err = Create(filepath.Join(t.TempDir(), "none", "session.db"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestPathIsNotAURI(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a?b=c %41#d.db")
	w, err := Create(path)
	require.NoError(t, err)
	w.MCPCall(mcp("snapshots_list", 0))
	require.NoError(t, w.Close())
	assert.FileExists(t, path)
	assert.Equal(t, [][]any{{int64(1)}}, query(t, opened(t, path), "SELECT count(*) FROM mcp_calls"))
}

// A writer that is killed leaves a whole file with all that it had committed.
func TestKilledWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session.db")
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), envChild+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())

	committed := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		require.NoError(t, err)
		committed = n
		if n > 20*maxBatch {
			_ = cmd.Process.Kill() // what it printed until then is still read
		}
	}
	require.Error(t, cmd.Wait(), "it was killed")
	require.Greater(t, committed, 20*maxBatch)

	d := opened(t, path)
	assert.Equal(t, [][]any{{"ok"}}, query(t, d, "PRAGMA integrity_check"))
	rows := query(t, d, "SELECT (SELECT count(*) FROM mcp_calls) + (SELECT count(*) FROM net_events)")
	assert.GreaterOrEqual(t, rows[0][0], int64(committed))
}

// The file is one that the sqlite3 command reads.
func TestSQLiteCommandReads(t *testing.T) {
	sqlite3, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Skip("no sqlite3 in PATH: install sqlite3 to check that other programs read the database")
	}
	path := written(t, mcp("snapshots_list", 1500*time.Microsecond), event("example.com", "allowed", time.Second))
	out, err := exec.Command(sqlite3, "-readonly", path,
		"PRAGMA integrity_check; PRAGMA journal_mode; SELECT tool_name, duration_ms, duration_us FROM mcp_calls; SELECT domain, duration_ms FROM net_events").CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Equal(t, "ok\nwal\nsnapshots_list|1|1500\nexample.com|1000\n", string(out))
}
