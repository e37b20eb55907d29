package session

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// envChild makes the test binary the process that is killed while it writes.
const envChild = "SESSION_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(envChild); path != "" {
		writeForEver(path)
	}
	goleak.VerifyTestMain(m)
}

var epoch = time.Date(2026, 3, 27, 10, 15, 0, 123456789, time.UTC)

// mcp is a call of a snapshot tool that took the given time.
func mcp(tool string, took time.Duration) MCPCall {
	return MCPCall{
		Time: epoch, Server: "builtin", Method: "tools/call", Tool: tool, RequestID: "1", Request: `{"name":"` + tool + `"}`,
		Response: `{"content":[]}`, Decision: "allowed", Duration: took, Process: "snapshots", Sent: 10, Received: 14,
	}
}

func event(domain, decision string, took time.Duration) NetEvent {
	return NetEvent{
		Time: epoch, Domain: domain, Port: 443, Decision: decision, Process: "curl", Method: "GET", Path: "/", Status: 200,
		Sent: 5, Received: 1000, Duration: took, MatchedRule: domain, ConnType: "https-mitm",
	}
}

// written makes a database of the given rows and returns its path.
func written(t *testing.T, rows ...any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "session.db")
	w, err := Create(path)
	require.NoError(t, err)
	for _, r := range rows {
		switch r := r.(type) {
		case NetEvent:
			w.NetEvent(r)
		case MCPCall:
			w.MCPCall(r)
		default:
			require.FailNow(t, "not a row", "%T", r)
		}
	}
	require.NoError(t, w.Close())
	return path
}

// madeBy makes a database with statements of its own, as another program would.
func madeBy(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	for _, s := range statements {
		_, err := db.Exec(s)
		require.NoError(t, err, s)
	}
	require.NoError(t, db.Close())
}

func opened(t *testing.T, path string) *DB {
	t.Helper()
	d, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func query(t *testing.T, d *DB, q string) [][]any {
	t.Helper()
	res, err := d.Query(context.Background(), q, QueryLimits{})
	require.NoError(t, err, q)
	return res.Rows
}

// writeForEver writes rows and says after every commit how many there are.
func writeForEver(path string) {
	w, err := create(path, func(total int64) { fmt.Println(total) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		w.MCPCall(mcp("snapshots_list", time.Millisecond))
		w.NetEvent(event("example.com", "allowed", time.Millisecond))
	}
}
