package guest

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
		{"no address", "tcp:127.0.0.1:1", record.HostKept, `CAPSEM_BENCH_HOST_CACHES="tcp:127.0.0.1:1" is no address`},
		{"no port", "vsock:2:x", record.HostKept, "is no address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(EnvHostCaches, tt.address)
			var st record.Status
			dropHost(&st)
			dropHost(&st)
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
	t.Setenv(EnvHostCaches, hostThatSays(t, "kept: "+strings.Repeat("x", 1<<20)))
	var st record.Status
	dropHost(&st)
	require.Len(t, st.Doubts, 1)
	assert.Less(t, len(st.Doubts[0]), 2*maxHostAnswer)
}

// One round whose host kept its caches is enough for the operation to say so.
func TestHostCachesOfRounds(t *testing.T) {
	kept := record.Status{Cache: record.CacheCold, Host: record.HostKept, Doubts: []string{"kept"}}
	dropped := record.Status{Cache: record.CacheCold, Host: record.HostDropped}
	for _, st := range []record.Status{worse(kept, dropped), worse(dropped, kept)} {
		assert.Equal(t, record.HostKept, st.Host)
		assert.Equal(t, []string{"kept"}, st.Doubts)
	}
}

func TestWarm(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(name, make([]byte, 1<<20), 0o600))
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	require.NoError(t, err)
	all := TouchedPages([]Sample{{Path: name}}, 1<<20)
	require.Equal(t, pages(1<<20), all)
	took := []time.Duration{5, 3, 4, 1}
	turns := 0
	work := func() (time.Duration, error) { turns++; return took[turns-1], nil }
	warm := func(cached int64, cold time.Duration) time.Duration {
		turns = 0
		return Warm(t.Context(), func() (int64, bool) { return cached, cached >= 0 }, all, cold, work)
	}
	assert.Equal(t, time.Duration(3), warm(all, 100), "the fastest of three")
	assert.Equal(t, 3, turns)
	assert.Equal(t, time.Duration(5), warm(all, 9), "no longer than the cold pass")
	assert.Equal(t, 1, turns)
	assert.Equal(t, time.Duration(3), warm(0, 100), "a filesystem that caches nothing here")
	assert.Zero(t, warm(all/2, 100), "not all of it is cached")
	assert.Zero(t, warm(-1, 100), "not known")
	assert.Zero(t, turns)
	assert.Zero(t, Warm(t.Context(), func() (int64, bool) { return all, true }, all, 100, func() (time.Duration, error) { return 1, io.ErrUnexpectedEOF }))

	n, known := CachedPages(f, 1<<20)
	assert.True(t, known)
	of, known := CachedPagesOf([]string{name})
	assert.True(t, known)
	assert.Equal(t, n, of)
	assert.LessOrEqual(t, n, all)
}

func TestTouchedPages(t *testing.T) {
	page := int64(os.Getpagesize())
	assert.Equal(t, int64(3), TouchedPages([]Sample{{"a", 0}, {"a", 0}, {"a", page}, {"b", 0}}, page))
	assert.Equal(t, int64(2), TouchedPages([]Sample{{"a", page / 2}}, page))
	assert.Zero(t, TouchedPages(nil, page))
}
