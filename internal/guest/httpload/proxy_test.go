package httpload

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tunnelProxy is a proxy for one user that sends every tunnel to one address.
func tunnelProxy(t *testing.T, to string) (proxy *url.URL, seen func() []string) {
	t.Helper()
	requests := make(chan string, 1000)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Method + " " + r.RequestURI
		user, password, ok := parseProxyAuth(r)
		switch {
		case !ok || user != "us%er" || password != "p:w":
			w.WriteHeader(http.StatusProxyAuthRequired)
		case r.Method == http.MethodConnect:
			splice(w, to)
		default:
			fmt.Fprint(w, "by proxy")
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return &url.URL{Scheme: "http", Host: ln.Addr().String(), User: url.UserPassword("us%er", "p:w")}, func() (all []string) {
		for len(requests) > 0 {
			all = append(all, <-requests)
		}
		return all
	}
}

func parseProxyAuth(r *http.Request) (user, password string, ok bool) {
	r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
	return r.BasicAuth()
}

func splice(w http.ResponseWriter, to string) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	up, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer up.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
	go func() {
		_, _ = io.Copy(up, buf)
		_ = up.Close()
	}()
	_, _ = io.Copy(conn, up)
}

func TestProxy(t *testing.T) {
	clearProxies(t)
	o := newOrigin(t, "www.google.com", func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header.Get("Proxy-Authorization"))
		fmt.Fprint(w, "by tunnel")
	})
	proxy, seen := tunnelProxy(t, o.Listener.Addr().String())
	trust(t, o.pem)

	t.Setenv("https_proxy", proxy.String())
	r := load(t, "https://www.google.com/", 0, 10, 2)
	require.NoError(t, r.Err())
	assert.EqualValues(t, 10*len("by tunnel"), r.Bytes)
	for _, line := range seen() {
		assert.Equal(t, "CONNECT www.google.com:443", line)
	}

	t.Setenv("HTTP_PROXY", proxy.Redacted())
	r = load(t, "http://www.google.com/x", 0, 2, 1)
	assert.Equal(t, map[string]int64{"status 407": 2}, r.Errors)
	t.Setenv("HTTP_PROXY", proxy.String())
	r = load(t, "http://www.google.com/x", 0, 2, 1)
	require.NoError(t, r.Err())
	assert.EqualValues(t, 2*len("by proxy"), r.Bytes)
	assert.Contains(t, seen(), "GET http://www.google.com/x")

	proxy.User = nil
	t.Setenv("HTTPS_PROXY", proxy.String())
	r = load(t, "https://www.google.com/", 0, 2, 1)
	assert.Equal(t, map[string]int64{"proxy: status 407": 2}, r.Errors)

	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	r = load(t, "https://www.google.com/", 0, 2, 1)
	assert.Equal(t, map[string]int64{"proxy: connection refused": 2}, r.Errors)
}

func TestProxyChoice(t *testing.T) {
	for _, tt := range []struct {
		target, noProxy string
		direct          bool
	}{
		{"https://www.google.com/", "", false},
		{"https://www.google.com/", "*", true},
		{"https://www.google.com/", "example.com, google.com", true},
		{"https://www.google.com/", ".google.com", true},
		{"https://google.com/", ".google.com", false},
		{"https://notgoogle.com/", "google.com", false},
		{"https://www.google.com/", "*.google.com", true},
		{"https://www.google.com/", "google.com:443", true},
		{"https://www.google.com:8443/", "google.com:443", false},
		{"https://10.1.2.3/", "10.0.0.0/8", true},
		{"https://10.1.2.3/", "10.1.2.3", true},
		{"https://11.1.2.3/", "10.0.0.0/8", false},
		{"https://[2001:db8::1]/", "2001:db8::/32", true},
		{"https://[2001:db8::1]:8443/", "[2001:db8::1]:8443", true},
		{"https://localhost:8443/", "", true},
		{"https://127.9.9.9/", "", true},
		{"https://[::1]/", "", true},
		{"http://www.google.com/", "", false},
	} {
		t.Run(tt.target+" "+tt.noProxy, func(t *testing.T) {
			clearProxies(t)
			t.Setenv("HTTPS_PROXY", "proxy.test:3128")
			t.Setenv("http_proxy", "http://proxy.test:3128")
			t.Setenv("NO_PROXY", tt.noProxy)
			target, err := url.Parse(tt.target)
			require.NoError(t, err)
			proxy, err := proxyRules()(target)
			require.NoError(t, err)
			assert.Equal(t, tt.direct, proxy == nil)
		})
	}
	t.Run("unfit", func(t *testing.T) {
		clearProxies(t)
		for _, value := range []string{"socks5://u:secret@proxy.test:1080", "http://u:secret@", "http://u:secret@[::1"} {
			t.Setenv("HTTPS_PROXY", value)
			_, err := New("https://www.google.com/", 0)
			require.ErrorContains(t, err, "HTTPS_PROXY")
			assert.NotContains(t, err.Error(), "secret")
		}
	})
}
