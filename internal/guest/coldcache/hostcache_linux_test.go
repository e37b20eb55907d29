package coldcache

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostThatSays is a host whose service answers every connection so.
func hostThatSays(t *testing.T, answer string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		}
	}()
	return "unix:" + path
}

func TestHostCaches(t *testing.T) {
	for _, tt := range []struct{ name, address, host, doubt string }{
		{"nobody to ask", "", "", ""},
		{"dropped", hostThatSays(t, "dropped\n"), record.HostDropped, ""},
		{"kept", hostThatSays(t, "kept: the host side is not root\n"), record.HostKept, "the host's caches were not dropped (the host side is not root)"},
		{"silent", hostThatSays(t, ""), record.HostKept, "the host's caches were not dropped (no reason given)"},
		{"escapes", hostThatSays(t, "kept: \x1b[31mred\n"), record.HostKept, "the host's caches were not dropped ([31mred)"},
		{"gone", "unix:/no/such/socket", record.HostKept, "no such file or directory"},
		{"no address", "127.0.0.1:1", record.HostKept, `"127.0.0.1:1" is no address`},
		{"no port", "vsock:2:x", record.HostKept, "is no address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var st record.Status
			dropHost(&st, tt.address)
			assert.Equal(t, tt.host, st.Host)
			if tt.doubt == "" {
				assert.Empty(t, st.Doubts)
			} else {
				require.Len(t, st.Doubts, 1, "each doubt once")
				assert.Contains(t, st.Doubts[0], tt.doubt)
			}
		})
	}
}

// An answer without an end is not read to it.
func TestHostCachesEndlessAnswer(t *testing.T) {
	var st record.Status
	dropHost(&st, hostThatSays(t, "kept: "+strings.Repeat("x", 1<<20)))
	require.Len(t, st.Doubts, 1)
	assert.Less(t, len(st.Doubts[0]), 2*maxHostAnswer)
}

func TestWarm(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(name, make([]byte, 1<<20), 0o600))
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	require.NoError(t, err)
	all := pages(1 << 20)
	turns := 0
	work := func() (time.Duration, error) { turns++; return 5, nil }
	warm := func(cached int64) time.Duration {
		turns = 0
		return Warm(t.Context(), func() (int64, bool) { return cached, cached >= 0 }, all, work)
	}
	assert.Equal(t, time.Duration(5), warm(all))
	assert.Equal(t, 1, turns)
	assert.Equal(t, time.Duration(5), warm(0), "a filesystem that caches nothing here")
	assert.Zero(t, warm(all/2), "not all of it is cached")
	assert.Zero(t, warm(-1), "not known")
	assert.Zero(t, turns)
	assert.Zero(t, Warm(t.Context(), func() (int64, bool) { return all, true }, all, func() (time.Duration, error) { return 1, io.ErrUnexpectedEOF }))

	n, known := CachedPages(f, 1<<20)
	assert.True(t, known)
	of, known := CachedPagesOf([]string{name})
	assert.True(t, known)
	assert.Equal(t, n, of)
	assert.LessOrEqual(t, n, all)
}
