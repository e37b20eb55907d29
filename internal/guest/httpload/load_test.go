package httpload

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLoadKeepsConnections(t *testing.T) {
	leakFree(t)
	clearProxies(t)
	for _, tt := range []struct{ n, c, conns int }{{50, 5, 5}, {3, 64, 3}, {1, 1, 1}, {2000, 64, 64}} {
		o := newOrigin(t, "localhost", func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "HTTP/1.1", r.Proto)
			assert.Equal(t, "/path?q=1", r.RequestURI)
			fmt.Fprint(w, "hello, world")
		})
		trust(t, o.pem)
		r := load(t, o.URL+"/path?q=1#fragment", 0, tt.n, tt.c)
		require.NoError(t, r.Err())
		assert.EqualValues(t, tt.n, r.OK)
		assert.EqualValues(t, 12*tt.n, r.Bytes)
		assert.Len(t, r.Times, tt.n)
		// A worker that found no request left has opened no connection.
		assert.LessOrEqual(t, o.conns.Load(), int64(tt.conns))
		assert.Equal(t, o.conns.Load(), r.Connections)
		assert.Zero(t, r.Reconnects)
		s := r.Samples()
		assert.InDelta(t, float64(tt.n)/r.Elapsed.Seconds(), s.Metrics["req/s"], 1e-6)
		for _, unit := range []string{"ns/op", "p50-ns", "p95-ns", "p99-ns", "min-ns", "max-ns"} {
			assert.Positive(t, s.Metrics[unit], unit)
		}
		assert.Equal(t, tt.n <= 1000, len(s.Values) == tt.n)
		o.Close()
	}
}

func TestLoadBodies(t *testing.T) {
	clearProxies(t)
	body := strings.Repeat("x", 100_000)
	o := newOrigin(t, "localhost", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunked":
			for part := range strings.SplitSeq(strings.Repeat("x,", 10), ",") {
				fmt.Fprint(w, strings.Repeat(part, 10_000))
				w.(http.Flusher).Flush()
			}
		case "/close":
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, body)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		default:
			fmt.Fprint(w, body)
		}
	})
	trust(t, o.pem)
	for path, want := range map[string]struct{ bytes, conns int64 }{
		"/length": {2_000_000, 2}, "/chunked": {2_000_000, 2}, "/close": {2_000_000, 20}, "/empty": {0, 2},
	} {
		r := load(t, o.URL+path, 0, 20, 2)
		require.NoError(t, r.Err(), path)
		assert.Equal(t, want.bytes, r.Bytes, path)
		assert.LessOrEqual(t, r.Connections, want.conns, path)
	}
}

// A redirect is followed, within the time of its request, and is a doubt; what
// cannot be followed is no success. The download does the same.
func TestLoadRedirects(t *testing.T) {
	leakFree(t)
	clearProxies(t)
	other := newOrigin(t, "localhost", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the page") })
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "unsafe") }))
	defer plain.Close()
	o := newOrigin(t, "localhost", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/page":
			fmt.Fprint(w, "the page")
		case "/relative":
			http.Redirect(w, r, "page", http.StatusFound)
		case "/twice":
			http.Redirect(w, r, "/relative", http.StatusPermanentRedirect)
		case "/other":
			http.Redirect(w, r, other.URL+"/", http.StatusMovedPermanently)
		case "/unsafe":
			http.Redirect(w, r, plain.URL, http.StatusSeeOther)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusTemporaryRedirect)
		case "/ftp":
			w.Header().Set("Location", "ftp://x/")
			w.WriteHeader(http.StatusFound)
		case "/nowhere":
			w.WriteHeader(http.StatusFound)
		case "/choices":
			w.WriteHeader(http.StatusMultipleChoices)
		}
	})
	trust(t, o.pem, other.pem)
	for path, hops := range map[string]int64{"/page": 0, "/relative": 1, "/twice": 2, "/other": 1} {
		r := load(t, o.URL+path, 0, 6, 2)
		require.NoError(t, r.Err(), path)
		assert.EqualValues(t, 6*len("the page"), r.Bytes, path)
		assert.Equal(t, 6*hops, r.Redirects, path)
		assert.LessOrEqual(t, r.Connections, int64(4), "connections are kept over redirects")
		var doubts []string
		if hops > 0 {
			doubts = []string{fmt.Sprintf("the requests include %d redirects, to %s", 6*hops, r.RedirectedTo)}
		}
		assert.Equal(t, doubts, r.Doubts(), path)

		d, err := Fetch(t.Context(), o.URL+path, 0)
		require.NoError(t, err)
		assert.EqualValues(t, len("the page"), d.Bytes)
		assert.Equal(t, hops > 0, len(d.Doubts()) == 1, path)
	}
	for path, reason := range map[string]string{
		"/unsafe": "redirect from https to http, which is not followed", "/loop": "more than 10 redirects",
		"/ftp": "unfit redirect", "/nowhere": "status 302", "/choices": "status 300",
	} {
		r := load(t, o.URL+path, 0, 2, 1)
		assert.Equal(t, map[string]int64{reason: 2}, r.Errors, path)
		_, err := Fetch(t.Context(), o.URL+path, 0)
		assert.Error(t, err, path)
	}
}

func TestUnfitURLs(t *testing.T) {
	clearProxies(t)
	for _, u := range []string{"", "www.google.com", "ftp://x/", "https://", "https://exämple.com/", "http://a b/", "https://x\r\ny/"} {
		_, err := New(u, 0)
		assert.Error(t, err, u)
	}
	_, err := New("ftp://me:secret@x/", 0)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
	assert.Equal(t, "https://me:xxxxx@x/", PublicURL("https://me:secret@x/"))
}

func BenchmarkLoad(b *testing.B) {
	clearProxies(b)
	o := newOrigin(b, "localhost", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello, world") })
	trust(b, o.pem)
	client, err := New(o.URL, 0)
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	r, err := client.Load(b.Context(), b.N, 64)
	require.NoError(b, err)
	require.NoError(b, r.Err())
	b.ReportMetric(float64(r.OK)/r.Elapsed.Seconds(), "req/s")
}
