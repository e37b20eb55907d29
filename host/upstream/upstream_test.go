package upstream

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestObjectHasItsDigest(t *testing.T) {
	sha, crc := sha256.New(), crc32.New(crc32.MakeTable(crc32.Castagnoli))
	n, err := io.Copy(io.MultiWriter(sha, crc), newSource().object(ObjectSize))
	require.NoError(t, err)
	assert.EqualValues(t, ObjectSize, n)
	text := base64.StdEncoding.EncodeToString
	assert.Equal(t, "sha-256=:"+text(sha.Sum(nil))+":, crc32c=:"+text(crc.Sum(nil))+":", ObjectDigest)
}

func TestContentIsIncompressible(t *testing.T) {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	require.NoError(t, err)
	n, err := io.Copy(w, newSource().object(3*tableA))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	assert.Greater(t, int64(out.Len()), n)
}

// TestContentIsOneSequence reads in odd pieces and from odd places.
func TestContentIsOneSequence(t *testing.T) {
	const size = 3*tableA + 5
	whole, err := io.ReadAll(newSource().object(size))
	require.NoError(t, err)
	require.Len(t, whole, size)
	c := newSource().object(size)
	for _, at := range []int64{0, 1, tableB - 3, tableA - 3, 2*tableB - 1, size - 1, size} {
		_, err := c.Seek(at, io.SeekStart)
		require.NoError(t, err)
		got, err := io.ReadAll(io.LimitReader(c, 12345))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(whole[at:min(at+12345, size)], got), "at %d", at)
	}
	_, err = c.Seek(-1, io.SeekStart)
	require.Error(t, err)
	_, err = c.Seek(0, 3)
	require.Error(t, err)
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "https://any.example"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPaths(t *testing.T) {
	u, err := New(Config{})
	require.NoError(t, err)
	tests := []struct {
		path   string
		status int
		size   int // -1: any
	}{
		{"/", 200, len(page())},
		{"/tiny", 200, 11},
		{ObjectPath, 200, ObjectSize},
		{"/bytes/0", 200, 0},
		{"/bytes/1048577", 200, 1048577},
		{"/any/prefix/bytes/7", 200, 7},
		{"/bytes/-1", 400, -1},
		{"/bytes/x", 400, -1},
		{"/bytes/", 400, -1},
		{fmt.Sprint("/bytes/", MaxBytes+1), 400, -1},
		{"/status/503", 503, 0},
		{"/status/204", 204, 0},
		{"/status/99", 400, 0},
		{"/nothing", 404, -1},
		{"/fault/half", 404, -1},
		{"/late/1", 200, 11},
		{"/late/-1", 400, -1},
		{"/late/10001", 400, -1},
		{"/late/x", 400, -1},
	}
	for _, tt := range tests {
		w := get(u.Handler(), tt.path)
		assert.Equal(t, tt.status, w.Code, tt.path)
		if tt.size >= 0 {
			assert.Equal(t, tt.size, w.Body.Len(), tt.path)
		}
	}
	assert.InDelta(t, pageSize, len(page()), 200)
}

func TestRange(t *testing.T) {
	u, err := New(Config{})
	require.NoError(t, err)
	w := get(u.Handler(), ObjectPath, "Range", "bytes=262140-262149") // across the ends of both tables
	require.Equal(t, http.StatusPartialContent, w.Code)
	assert.Equal(t, "bytes 262140-262149/104857600", w.Header().Get("Content-Range"))
	assert.Equal(t, ObjectDigest, w.Header().Get("Repr-Digest"), "of the whole, RFC 9530")
	whole, err := io.ReadAll(newSource().object(262150))
	require.NoError(t, err)
	assert.Equal(t, whole[262140:], w.Body.Bytes())
	assert.Equal(t, http.StatusRequestedRangeNotSatisfiable, get(u.Handler(), "/bytes/5", "Range", "bytes=9-").Code)
}

// start serves on loopback and returns a client for every name.
func start(t testing.TB, plain bool) *http.Client {
	t.Helper()
	u, err := New(Config{Faults: true, Names: []string{"www.google.com"}})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	run := u.Serve
	if plain {
		run = u.Serve
	}
	go func() { served <- run(ctx, ln) }()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(u.CAPEM()))
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 64, ReadBufferSize: 64 << 10,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, ln.Addr().String())
		},
	}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		cancel()
		assert.NoError(t, <-served)
	})
	return &http.Client{Transport: tr}
}

func TestServeAnyName(t *testing.T) {
	c := start(t, false)
	for _, host := range []string{"www.google.com", "WWW.Google.com", "127.0.0.1", "a.b.c.example"} {
		resp, err := c.Get("https://" + host + "/")
		require.NoError(t, err, host)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		assert.True(t, strings.HasPrefix(string(body), "<!doctype html>"))
	}
}

func TestFaults(t *testing.T) {
	c := start(t, false)
	for _, fault := range []string{"half", "chunked", "midreset"} {
		resp, err := c.Get("https://x.example/fault/" + fault)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		require.Error(t, err, fault)
	}
	_, err := c.Get("https://x.example/fault/reset") //nolint:bodyclose // there is none
	require.Error(t, err)
	resp, err := c.Get("https://x.example/fault/500")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 500, resp.StatusCode)
	for _, fault := range []string{"hang", "stall"} {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://x.example/fault/"+fault, nil)
		require.NoError(t, err)
		if fault == "hang" {
			cancel()
		}
		resp, err := c.Do(req)
		if fault == "stall" {
			require.NoError(t, err)
			_, err = io.CopyN(io.Discard, resp.Body, faultSize)
			require.NoError(t, err)
			cancel()
			_, err = resp.Body.Read(make([]byte, 1))
			resp.Body.Close()
		}
		require.ErrorIs(t, err, context.Canceled)
		cancel()
	}
}

func TestBadName(t *testing.T) {
	_, err := New(Config{Names: []string{"no name"}})
	require.Error(t, err)
}

func BenchmarkDownload(b *testing.B) {
	for _, scheme := range []string{"http", "https"} {
		b.Run("scheme="+scheme, func(b *testing.B) {
			c := start(b, scheme == "http")
			buf := make([]byte, 256<<10)
			b.SetBytes(ObjectSize)
			for b.Loop() {
				resp, err := c.Get(scheme + "://www.google.com" + ObjectPath)
				require.NoError(b, err)
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
				require.NoError(b, err)
				require.EqualValues(b, ObjectSize, n)
				resp.Body.Close()
			}
		})
	}
}

func BenchmarkContent(b *testing.B) {
	c, buf := newSource().object(1<<62), make([]byte, 128<<10)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		_, _ = c.Read(buf)
	}
}
