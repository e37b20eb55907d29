package guest

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// clearProxies keeps the tester's environment out of a test.
func clearProxies(t testing.TB) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUEST_METHOD", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		t.Setenv(name, "")
		t.Setenv(strings.ToLower(name), "")
	}
}

// leakFree checks, after all other clean-up, that no goroutine is left.
func leakFree(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// origin is a TLS server with a certificate of its own, and how many
// connections it has seen.
type origin struct {
	*httptest.Server
	pem   []byte
	conns atomic.Int64
}

func newOrigin(t testing.TB, name string, handler http.HandlerFunc) *origin {
	t.Helper()
	o := &origin{Server: httptest.NewUnstartedServer(handler)}
	var cert tls.Certificate
	cert, o.pem = certificate(t, name)
	o.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	o.Config.ErrorLog = log.New(io.Discard, "", 0)
	o.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			o.conns.Add(1)
		}
	}
	o.StartTLS()
	t.Cleanup(o.Close)
	return o
}

// certificate makes a self-signed one for a name and for 127.0.0.1.
func certificate(t testing.TB, name string) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
	}
	if name == "localhost" {
		tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// trust makes SSL_CERT_FILE name a file with the given certificates.
func trust(t testing.TB, certs ...[]byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	var all []byte
	for _, c := range certs {
		all = append(all, c...)
	}
	require.NoError(t, os.WriteFile(name, all, 0o600))
	t.Setenv("SSL_CERT_FILE", name)
}

func load(t testing.TB, url string, timeout time.Duration, n, c int) *LoadResult {
	t.Helper()
	client, err := NewHTTPClient(url, timeout)
	require.NoError(t, err)
	return client.Load(t.Context(), n, c)
}

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
		case "/redirect":
			w.Header().Set("Location", "/nowhere")
			w.WriteHeader(http.StatusFound)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		default:
			fmt.Fprint(w, body)
		}
	})
	trust(t, o.pem)
	for path, want := range map[string]struct{ bytes, conns int64 }{
		"/length": {2_000_000, 2}, "/chunked": {2_000_000, 2}, "/close": {2_000_000, 20}, "/empty": {0, 2}, "/redirect": {0, 2},
	} {
		r := load(t, o.URL+path, 0, 20, 2)
		require.NoError(t, r.Err(), path)
		assert.Equal(t, want.bytes, r.Bytes, path)
		assert.LessOrEqual(t, r.Connections, want.conns, path)
	}
}

// Failures are counted by reason and never make a figure better.
func TestLoadCountsFailures(t *testing.T) {
	clearProxies(t)
	var served atomic.Int64
	o := newOrigin(t, "localhost", func(w http.ResponseWriter, r *http.Request) {
		switch served.Add(1) % 10 {
		case 3, 7:
			http.Error(w, "broken", http.StatusInternalServerError)
		case 5:
			http.NotFound(w, r)
		default:
			time.Sleep(time.Millisecond) // slower than a failure
			fmt.Fprint(w, "fine")
		}
	})
	trust(t, o.pem)
	r := load(t, o.URL, 0, 50, 5)
	require.EqualError(t, r.Err(), "15 of 50 requests failed: 10 status 500, 5 status 404")
	assert.EqualValues(t, 35, r.OK)
	assert.EqualValues(t, 35*len("fine"), r.Bytes)
	s := r.Samples()
	assert.Len(t, s.Values, 35)
	assert.GreaterOrEqual(t, s.Metrics["min-ns"], 1e6)
	assert.InDelta(t, 35/r.Elapsed.Seconds(), s.Metrics["req/s"], 1e-6)
	assert.EqualValues(t, 15, s.Metrics["errors"])
	assert.Equal(t, map[string]int64{"status 500": 10, "status 404": 5}, s.Errors)
	assert.LessOrEqual(t, r.Connections, int64(5), "an error response keeps its connection")
}

func TestNoFigureWithoutSuccess(t *testing.T) {
	clearProxies(t)
	o := newOrigin(t, "localhost", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	trust(t, o.pem)
	r := load(t, o.URL, 0, 50, 5)
	require.EqualError(t, r.Err(), "50 of 50 requests failed: 50 status 403")
	s := r.Samples()
	assert.Nil(t, s.Latency)
	assert.Equal(t, map[string]float64{"errors": 50}, s.Metrics)
}

// raw is a server of plain TCP that does what it likes; act gets the number
// of the connection, from 0.
func raw(t *testing.T, act func(conn *net.TCPConn, r *bufio.Reader, i int)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				act(conn.(*net.TCPConn), bufio.NewReader(conn), i)
			}()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return "http://" + ln.Addr().String() + "/"
}

// request reads one request.
func request(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	return err == nil && req.Body.Close() == nil
}

func TestLoadFaults(t *testing.T) {
	clearProxies(t)
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	for _, tt := range []struct {
		name, reason string
		answer       string
		after        func(*net.TCPConn)
	}{
		{"half a body", "short body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", nil},
		{"half a chunk", "short body", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", nil},
		{"closed", "connection closed", "", nil},
		{"reset", "connection reset", "", func(c *net.TCPConn) { _ = c.SetLinger(0) }},
		{"reset in the body", "connection reset", ok[:len(ok)-1], func(c *net.TCPConn) { _ = c.SetLinger(0) }},
		{"garbage", "malformed response", "\x15\x03\x01 no http", nil},
		{"huge header", "header too large", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 100) + "\r\n", nil},
		{"hanging", "timeout", "", func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)) }},
		{"hanging in the body", "timeout", ok[:len(ok)-1], func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leakFree(t)
			url := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
				if !request(r) {
					return
				}
				_, _ = io.WriteString(conn, tt.answer)
				if tt.after != nil {
					tt.after(conn)
				}
			})
			r := load(t, url, 200*time.Millisecond, 4, 2)
			assert.Equal(t, map[string]int64{tt.reason: 4}, r.Errors)
			assert.Zero(t, r.Reconnects, "a new connection that fails is not tried again")
		})
	}
}

// A kept connection may end between two requests, and only then is a request
// sent again.
func TestLoadStaleConnections(t *testing.T) {
	clearProxies(t)
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	t.Run("closed between requests", func(t *testing.T) {
		url := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
			for range 3 {
				if request(r) {
					_, _ = io.WriteString(conn, ok)
				}
			}
		})
		r := load(t, url, 0, 12, 1)
		require.NoError(t, r.Err())
		assert.EqualValues(t, 3, r.Reconnects)
		assert.EqualValues(t, 4, r.Connections)
		assert.Equal(t, []string{"the origin closed 3 kept connections between requests"}, r.Doubts())
	})
	t.Run("half an answer is an answer", func(t *testing.T) {
		url := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
			if request(r) {
				_, _ = io.WriteString(conn, ok)
			}
			if request(r) {
				_, _ = io.WriteString(conn, ok[:9])
			}
		})
		r := load(t, url, 0, 4, 1)
		assert.Equal(t, map[string]int64{"malformed response": 2}, r.Errors)
		assert.Zero(t, r.Reconnects)
	})
	t.Run("bytes nobody asked for", func(t *testing.T) {
		url := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
			for request(r) {
				_, _ = io.WriteString(conn, ok+"HTTP/1.1 500 Oh\r\n\r\n")
			}
		})
		r := load(t, url, 0, 4, 1)
		require.NoError(t, r.Err())
		assert.EqualValues(t, 4, r.Connections)
	})
}

func TestLoadConnectFailures(t *testing.T) {
	clearProxies(t)
	o := newOrigin(t, "elsewhere.test", func(http.ResponseWriter, *http.Request) {})
	stranger := newOrigin(t, "localhost", func(http.ResponseWriter, *http.Request) {})
	plain := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
		_, _ = io.WriteString(conn, "220 mail.test ESMTP\r\n")
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := ln.Addr().String()
	require.NoError(t, ln.Close())

	for name, tt := range map[string]struct {
		url    string
		trust  []byte
		reason string
	}{
		"refused":         {"http://" + nobody, nil, "connection refused"},
		"unknown":         {stranger.URL, nil, "tls: certificate of an unknown authority"},
		"another name":    {o.URL, o.pem, "tls: certificate for another name"},
		"no TLS":          {strings.Replace(plain, "http:", "https:", 1), nil, "tls: no TLS at the other end"},
		"TLS and not led": {strings.Replace(o.URL, "https:", "http:", 1), nil, "status 400"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.trust != nil {
				trust(t, tt.trust)
			}
			r := load(t, tt.url, 0, 2, 1)
			assert.Equal(t, map[string]int64{tt.reason: 2}, r.Errors)
		})
	}
}

func TestLoadInterrupted(t *testing.T) {
	leakFree(t)
	clearProxies(t)
	ctx, cancel := context.WithCancel(t.Context())
	url := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
		if request(r) {
			cancel()
			_, _ = conn.Read(make([]byte, 1))
		}
	})
	client, err := NewHTTPClient(url, time.Minute)
	require.NoError(t, err)
	r := client.Load(ctx, 1000, 2)
	assert.Less(t, r.Elapsed, 30*time.Second)
	assert.Zero(t, r.OK)
	require.Error(t, r.Err())
	for reason := range r.Errors {
		assert.Equal(t, "interrupted", reason)
	}
	assert.LessOrEqual(t, r.Failed, int64(2), "what was not sent did not fail")
}

func TestReasonsAreBounded(t *testing.T) {
	counts := make(map[string]int64)
	for i := range 100 {
		countReason(counts, fmt.Sprint("status ", 400+i), 1)
	}
	assert.Len(t, counts, maxReasons+1)
	assert.EqualValues(t, 80, counts["other"])
	assert.Equal(t, "other", requestReason(errors.New("something new")))
}

// tunnelProxy is a proxy for one user that sends every tunnel to one address.
func TestUnfitURLs(t *testing.T) {
	clearProxies(t)
	for _, u := range []string{"", "www.google.com", "ftp://x/", "https://", "https://exämple.com/", "http://a b/", "https://x\r\ny/"} {
		_, err := NewHTTPClient(u, 0)
		assert.Error(t, err, u)
	}
	_, err := NewHTTPClient("ftp://me:secret@x/", 0)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
	assert.Equal(t, "https://me:xxxxx@x/", PublicURL("https://me:secret@x/"))
}

func BenchmarkLoad(b *testing.B) {
	clearProxies(b)
	o := newOrigin(b, "localhost", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello, world") })
	trust(b, o.pem)
	client, err := NewHTTPClient(o.URL, 0)
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	r := client.Load(b.Context(), b.N, 64)
	require.NoError(b, r.Err())
	b.ReportMetric(float64(r.OK)/r.Elapsed.Seconds(), "req/s")
}
