package session

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(data)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestOpenRefusesGarbage(t *testing.T) {
	good := readFile(t, written(t))
	tests := []struct {
		name, want string
		data       []byte
	}{
		{"empty", "not a SQLite database", nil},
		{"text", "not a SQLite database", []byte("hello, this is no database at all\n")},
		{"short", "not a SQLite database", []byte("SQLite format")},
		{"gzip of text", "not a SQLite database", gzipped(t, []byte("hello"))},
		{"cut gzip", "unexpected EOF", gzipped(t, good)[:100]},
		{"no gzip after the magic", "unpacking", []byte{0x1f, 0x8b, 0, 0, 0}},
		{"header alone", "", good[:100]},
		{"damaged schema", "", append(append(bytes.Clone(good[:100]), bytes.Repeat([]byte{0xff}, 400)...), good[500:]...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			path := filepath.Join(t.TempDir(), "session.db")
			require.NoError(t, os.WriteFile(path, tt.data, 0o600))
			_, err := Open(path)
			require.Error(t, err)
			assert.ErrorContains(t, err, path)
			assert.ErrorContains(t, err, tt.want)
			assert.Empty(t, names(t, tmp), "nothing is left behind")
		})
	}
	_, err := Open(filepath.Join(t.TempDir(), "none.db"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open(t.TempDir())
	require.ErrorContains(t, err, "not a regular file")
}

func TestOpenCompressed(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	path := filepath.Join(t.TempDir(), "session.db.gz")
	require.NoError(t, os.WriteFile(path, gzipped(t, readFile(t, written(t, mcp("snapshots_list", time.Millisecond)))), 0o600))
	d, err := Open(path)
	require.NoError(t, err)
	assert.Equal(t, [][]any{{int64(1)}}, query(t, d, "SELECT count(*) FROM mcp_calls"))
	require.Len(t, names(t, tmp), 1)
	info, err := os.Stat(d.temp.Path())
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	require.NoError(t, d.Close())
	assert.Empty(t, names(t, tmp))
	require.NoError(t, d.Close(), "closing twice")
}

func TestOpenBoundsCompressed(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	path := filepath.Join(t.TempDir(), "session.db.gz")
	require.NoError(t, os.WriteFile(path, gzipped(t, make([]byte, 1<<20)), 0o600))
	_, err := open(path, 1<<16)
	require.ErrorContains(t, err, "unpacking: more than 64 KiB")
	assert.Empty(t, names(t, tmp))
}

// A full disk is no better than a large file: some space stays free.
func TestCopiesLeaveSpace(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, copyBounded(&out, strings.NewReader("database"), 8, freeMargin+8))
	assert.Equal(t, "database", out.String())
	require.ErrorContains(t, copyBounded(io.Discard, strings.NewReader("database"), 7, freeMargin+8), "more than 7 B")
	require.ErrorContains(t, copyBounded(io.Discard, strings.NewReader("database"), 8, freeMargin+7), "no room for it among the temporary files: 64 MiB are free")
	require.ErrorContains(t, copyBounded(io.Discard, strings.NewReader("database"), 8, 0), "no room")
}

// The directory of a process that was killed is removed by the next one, and
// neither one in use nor one of somebody else.
func TestOpenSweepsDeadDirectories(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	dead, foreign := filepath.Join(tmp, tempPrefix+"dead"), filepath.Join(tmp, tempPrefix+"foreign")
	live, err := scratch.New(tmp, tempPrefix)
	require.NoError(t, err)
	lock := names(t, live.Path())
	require.Len(t, lock, 1)
	require.NoError(t, os.Mkdir(dead, 0o700))
	require.NoError(t, os.Mkdir(foreign, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dead, lock[0]), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dead, "session.db"), []byte("rows"), 0o600))
	path := filepath.Join(t.TempDir(), "session.db.gz")
	require.NoError(t, os.WriteFile(path, gzipped(t, readFile(t, written(t, mcp("one", 0)))), 0o600))
	opened(t, path)
	assert.NoDirExists(t, dead)
	assert.DirExists(t, foreign)
	assert.DirExists(t, live.Path())
	require.NoError(t, live.Close())
}

func TestOpenLeavesNothing(t *testing.T) {
	path := written(t, mcp("snapshots_list", 0))
	before := readFile(t, path)
	d, err := Open(path)
	require.NoError(t, err)
	_, err = d.Inspect(context.Background())
	require.NoError(t, err)
	require.NoError(t, d.Close())
	assert.Equal(t, []string{"session.db"}, names(t, filepath.Dir(path)))
	assert.Equal(t, before, readFile(t, path))
}

func TestOpenWhileWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session.db")
	committed := make(chan int64, 16)
	w, err := create(path, func(n int64) { committed <- n })
	require.NoError(t, err)
	w.MCPCall(mcp("one", 0))
	<-committed
	d := opened(t, path)
	assert.Equal(t, [][]any{{int64(1)}}, query(t, d, "SELECT count(*) FROM mcp_calls"))
	w.MCPCall(mcp("two", 0))
	<-committed
	assert.Equal(t, [][]any{{int64(2)}}, query(t, d, "SELECT count(*) FROM mcp_calls"), "a reader sees later rows")

	// The same where SQLite may not write beside the file.
	c := &DB{path: path}
	to, err := c.copyLogged(path, maxUnpacked)
	require.NoError(t, err)
	require.NoError(t, c.connect(context.Background(), to, true))
	assert.Equal(t, [][]any{{int64(2)}}, query(t, c, "SELECT count(*) FROM mcp_calls"))
	require.NoError(t, c.Close())
	require.NoError(t, w.Close())
}

// FuzzOpen damages a database in one place: reading it may fail, no more.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "good.db")
	w, err := Create(path)
	require.NoError(f, err)
	for range 50 {
		w.MCPCall(mcp("snapshots_list", time.Millisecond))
		w.NetEvent(event("example.com", "allowed", time.Millisecond))
	}
	require.NoError(f, w.Close())
	good := readFile(f, path)
	f.Add(uint32(16), []byte{0x01})
	f.Add(uint32(28), []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(uint32(100), []byte{0x05, 0, 0, 0, 0xff})
	f.Add(uint32(4096), []byte{0x0d, 0xff, 0xff})
	f.Add(uint32(0), []byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, at uint32, bytes []byte) {
		data := append([]byte(nil), good...)
		copy(data[int(at)%len(data):], bytes)
		path := filepath.Join(dir, "bad.db")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		d, err := Open(path)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if s, err := d.Inspect(ctx); err == nil {
			var b strings.Builder
			require.NoError(t, WriteSummary(&b, s, 80))
		}
		require.NoError(t, d.Close())
	})
}
