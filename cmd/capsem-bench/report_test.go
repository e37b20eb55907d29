package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A page of elsewhere whose name leads here reads nothing, and nothing but the
// page is served.
func TestServedPage(t *testing.T) {
	t.Parallel()
	store := filepath.Join(t.TempDir(), "history.db")
	var out bytes.Buffer
	a := newApp(strings.NewReader(""), &out, &out)
	require.Equal(t, exitOK, a.run(t.Context(), []string{"history", "--store", store, "add", "testdata/results/5-local_x86_64.json"}), out.String())
	opt := &reportOptions{where: store, serve: "bench.example:8080"}
	for _, tt := range []struct {
		method, host, path string
		want               int
	}{
		{http.MethodGet, "127.0.0.1:8080", "/", http.StatusOK},
		{http.MethodGet, "[::1]:8080", "/", http.StatusOK},
		{http.MethodGet, "localhost:8080", "/", http.StatusOK},
		{http.MethodGet, "bench.example:8080", "/", http.StatusOK},
		{http.MethodHead, "localhost", "/", http.StatusOK},
		{http.MethodGet, "evil.example:8080", "/", http.StatusForbidden},
		{http.MethodGet, "127.0.0.1.evil.example", "/", http.StatusForbidden},
		{http.MethodGet, "localhost", "/../../etc/passwd", http.StatusNotFound},
		{http.MethodPost, "localhost", "/", http.StatusMethodNotAllowed},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(tt.method, "http://localhost"+tt.path, nil)
		r.Host = tt.host
		a.servePage(w, r, opt)
		assert.Equal(t, tt.want, w.Code, "%s %s%s", tt.method, tt.host, tt.path)
	}
}
