package upstream

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
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
	h := sha256.New()
	n, err := io.Copy(h, newBlock().reader(ObjectSize))
	require.NoError(t, err)
	assert.EqualValues(t, ObjectSize, n)
	assert.Equal(t, ObjectSHA256, base64.StdEncoding.EncodeToString(h.Sum(nil)))
}

func TestPaths(t *testing.T) {
	u, err := New(Config{})
	require.NoError(t, err)
	tests := []struct {
		path   string
		status int
		size   int64
	}{
		{"/", 200, -1}, {"/tiny", 200, 11}, {ObjectPath, 200, ObjectSize}, {"/bytes/0", 200, 0}, {"/bytes/1048577", 200, 1048577},
		{"/bytes/-1", 400, -1}, {"/bytes/x", 400, -1}, {"/bytes/1073741825", 400, -1}, {"/status/503", 503, 0}, {"/status/99", 400, 0},
		{"/nothing", 404, -1}, {"/fault/half", 404, -1},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		u.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://any.example"+tt.path, nil))
		assert.Equal(t, tt.status, w.Code, tt.path)
		if tt.size >= 0 {
			assert.EqualValues(t, tt.size, w.Body.Len(), tt.path)
		}
	}
}

func TestRange(t *testing.T) {
	u, err := New(Config{})
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "https://any.example"+ObjectPath, nil)
	r.Header.Set("Range", "bytes=1048570-1048589") // across two repetitions of the block
	w := httptest.NewRecorder()
	u.Handler().ServeHTTP(w, r)
	require.Equal(t, http.StatusPartialContent, w.Code)
	whole, err := io.ReadAll(newBlock().reader(1048590))
	require.NoError(t, err)
	assert.Equal(t, whole[1048570:], w.Body.Bytes())
}

func TestServe(t *testing.T) {
	u, err := New(Config{Faults: true})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- u.Serve(ctx, ln) }()
	defer func() {
		cancel()
		require.NoError(t, <-served)
	}()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(u.CAPEM()))
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, ln.Addr().String())
		},
	}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	for _, host := range []string{"www.google.com", "127.0.0.1", "a.b.c.example"} {
		resp, err := client.Get("https://" + host + "/")
		require.NoError(t, err, host)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		assert.True(t, strings.HasPrefix(string(body), "<!doctype html>"))
		assert.Greater(t, len(body), pageSize)
	}
	resp, err := client.Get("https://x.example/fault/half")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = client.Get("https://x.example/fault/reset") //nolint:bodyclose // there is none
	require.Error(t, err)
}
