package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/capsem/capsem-bench/host/upstream"
	"github.com/capsem/capsem-bench/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type rows struct {
	mu   sync.Mutex
	list []Request
}

func (r *rows) RecordRequest(req Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, req)
}

func (r *rows) all() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Request(nil), r.list...)
}

// bench is a proxy in front of a hermetic origin.
type bench struct {
	addr   string
	ca     []byte
	rows   rows
	dials  atomic.Int64
	served chan error
}

func start(t testing.TB) *bench {
	t.Helper()
	b := &bench{served: make(chan error, 2)}
	ctx, cancel := context.WithCancel(context.Background())
	origin, err := upstream.New(upstream.Config{Faults: true})
	require.NoError(t, err)
	originLn := listen(t)
	go func() { b.served <- origin.Serve(ctx, originLn) }()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(origin.CAPEM()))
	p, err := New(Config{
		Allow: []string{"www.google.com", "*.example.com", "down.test"},
		Upstream: func(ctx context.Context, host string, _ int) (net.Conn, error) {
			b.dials.Add(1)
			if host == "down.test" {
				return nil, errors.New("connection refused")
			}
			return new(net.Dialer).DialContext(ctx, "tcp", originLn.Addr().String())
		},
		UpstreamRoots: roots, Recorder: &b.rows,
	})
	require.NoError(t, err)
	ln := listen(t)
	b.addr, b.ca = ln.Addr().String(), p.CAPEM()
	go func() { b.served <- p.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-b.served)
		assert.NoError(t, <-b.served)
		assert.NoError(t, p.Close())
	})
	return b
}

func listen(t testing.TB) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return ln
}

func (b *bench) tlsConfig(t testing.TB) *tls.Config {
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(b.ca))
	return &tls.Config{RootCAs: roots}
}

// client speaks through CONNECT.
func (b *bench) client(t testing.TB) *http.Client {
	tr := &http.Transport{
		TLSClientConfig: b.tlsConfig(t), MaxIdleConnsPerHost: 64,
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: b.addr}),
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func get(t testing.TB, c *http.Client, url string) (int, []byte) {
	t.Helper()
	resp, err := c.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, body
}

func (b *bench) row(t testing.TB, n int) Request {
	t.Helper()
	require.Eventually(t, func() bool { return len(b.rows.all()) > n }, 5*time.Second, time.Millisecond)
	return b.rows.all()[n]
}

func TestPolicy(t *testing.T) {
	tests := []struct {
		name, url string
		status    int
		decision  string
		rule      string
	}{
		{"exact name", "https://www.google.com/?q=1", 200, DecisionAllowed, "www.google.com"},
		{"below a suffix", "https://a.b.example.com/", 200, DecisionAllowed, "*.example.com"},
		{"the suffix itself", "https://example.com/", 403, DecisionDenied, "default"},
		{"another name", "https://evil.test/", 403, DecisionDenied, "default"},
		{"upstream is down", "https://down.test/", 502, DecisionError, "connection refused"},
		{"plain http", "http://www.google.com/", 400, DecisionAllowed, "www.google.com"}, // the origin speaks TLS only
		{"plain http denied", "http://evil.test/", 403, DecisionDenied, "default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t)
			status, body := get(t, b.client(t), tt.url)
			assert.Equal(t, tt.status, status)
			if tt.status == 403 {
				assert.True(t, strings.HasPrefix(string(body), "Capsem: request denied ("), "%s", body)
			}
			row := b.row(t, 0)
			assert.Equal(t, tt.decision, row.Decision)
			assert.Contains(t, row.MatchedRule, tt.rule)
			assert.Equal(t, tt.status, row.Status)
			assert.EqualValues(t, len(body), row.Received)
			assert.Equal(t, "GET", row.Method)
			if tt.decision == DecisionDenied {
				assert.Zero(t, b.dials.Load(), "a denied name is never dialed")
			}
		})
	}
}

func TestRecord(t *testing.T) {
	b := start(t)
	req, err := http.NewRequest(http.MethodPost, "https://www.google.com/tiny?a=b", strings.NewReader("hello"))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer sesame")
	resp, err := b.client(t).Do(req)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	row := b.row(t, 0)
	assert.Equal(t, "www.google.com", row.Domain)
	assert.Equal(t, 443, row.Port)
	assert.Equal(t, "/tiny", row.Path)
	assert.Equal(t, "a=b", row.Query)
	assert.EqualValues(t, 5, row.Sent)
	assert.EqualValues(t, 11, row.Received)
	assert.Equal(t, "hello", row.RequestPreview)
	assert.Equal(t, `{"ok":true}`, row.ResponsePreview)
	assert.Equal(t, "https-mitm", row.ConnType)
	assert.Contains(t, row.RequestHeaders, "Authorization: (redacted)")
	assert.NotContains(t, row.RequestHeaders, "sesame")
	assert.Positive(t, row.Duration)
}

// TestTransparent speaks TLS at once, after a metadata line.
func TestTransparent(t *testing.T) {
	b := start(t)
	raw, err := net.Dial("tcp", b.addr)
	require.NoError(t, err)
	defer raw.Close()
	_, err = io.WriteString(raw, "\x00CAPSEM_META:curl\n")
	require.NoError(t, err)
	cfg := b.tlsConfig(t)
	cfg.ServerName = "www.google.com"
	c := tls.Client(raw, cfg)
	for _, host := range []string{"www.google.com", "a.example.com"} {
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		require.NoError(t, err)
		buf := make([]byte, 64<<10)
		n, err := c.Read(buf)
		require.NoError(t, err)
		want := "HTTP/1.1 200 "
		if host != "www.google.com" {
			want = "HTTP/1.1 421 " // the tunnel is for another name
		}
		assert.True(t, strings.HasPrefix(string(buf[:n]), want), "%.60s", buf[:n])
		if host == "www.google.com" {
			drainPage(t, c, buf[:n])
		}
	}
	assert.Equal(t, "curl", b.row(t, 0).Process)
	assert.Equal(t, DecisionDenied, b.row(t, 1).Decision)
}

// drainPage reads the rest of the front page, which ends with its last tag.
func drainPage(t *testing.T, r io.Reader, got []byte) {
	buf := make([]byte, 4096)
	for !bytes.Contains(got, []byte("</html>")) {
		n, err := r.Read(buf)
		require.NoError(t, err)
		got = append(got, buf[:n]...)
	}
}

func TestKeepAliveBothWays(t *testing.T) {
	b := start(t)
	c := b.client(t)
	var reused int
	for range 20 {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			if i.Reused {
				reused++
			}
		}})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://www.google.com/", nil)
		require.NoError(t, err)
		resp, err := c.Do(req)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	assert.Equal(t, 19, reused)
	assert.EqualValues(t, 1, b.dials.Load())
}

func TestDownloadAndUpload(t *testing.T) {
	b := start(t)
	c := b.client(t)
	resp, err := c.Get("https://www.google.com" + upstream.ObjectPath)
	require.NoError(t, err)
	defer resp.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, resp.Body)
	require.NoError(t, err)
	assert.EqualValues(t, upstream.ObjectSize, n)
	assert.Equal(t, upstream.ObjectSHA256, base64.StdEncoding.EncodeToString(h.Sum(nil)))
	assert.Equal(t, "sha-256=:"+upstream.ObjectSHA256+":", resp.Header.Get("Repr-Digest"))

	const size = 64 << 20
	up, err := c.Post("https://www.google.com/", "application/octet-stream", io.LimitReader(zeros{}, size)) // chunked
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, up.Body)
	up.Body.Close()
	assert.EqualValues(t, upstream.ObjectSize, b.row(t, 0).Received)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBrokenBody(t *testing.T) {
	b := start(t)
	resp, err := b.client(t).Get("https://www.google.com/fault/half")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	require.Error(t, err, "half a body is never a whole one")
	row := b.row(t, 0)
	assert.Equal(t, DecisionError, row.Decision)
}

func TestConcurrent(t *testing.T) {
	b := start(t)
	c := b.client(t)
	var g errgroup.Group
	for range 64 {
		g.Go(func() error {
			for range 5 {
				resp, err := c.Get("https://www.google.com/tiny")
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	b.row(t, 319)
}

func TestGarbage(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":        "",
		"noise":          "\x01\x02\x03\xff\r\n\r\n",
		"cut TLS":        "\x16\x03\x01\x00\x05hello",
		"no SNI":         "\x16\x03\x01\x02\x00\x01",
		"long metadata":  "\x00CAPSEM_META:" + strings.Repeat("x", 64<<10),
		"CONNECT noise":  "CONNECT \xff\xfe HTTP/1.1\r\n\r\n",
		"CONNECT port":   "CONNECT www.google.com:99999 HTTP/1.1\r\n\r\n",
		"CONNECT header": "CONNECT a:1 HTTP/1.1\r\nX: " + strings.Repeat("y", 128<<10) + "\r\n\r\n",
		"two hosts":      "GET / HTTP/1.1\r\nHost: www.google.com\r\nHost: evil.test\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			c, err := net.Dial("tcp", b.addr)
			require.NoError(t, err)
			defer c.Close()
			_, _ = io.WriteString(c, text)
			_ = c.(*net.TCPConn).CloseWrite() // the proxy may have hung up already
			require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
			answer, err := io.ReadAll(c)
			if err == nil {
				assert.NotContains(t, string(answer), "200 OK")
			}
			status, _ := get(t, b.client(t), "https://www.google.com/tiny")
			assert.Equal(t, 200, status, "the proxy goes on")
		})
	}
}

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl in PATH; install curl")
	}
	b := start(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, b.ca, 0o600))
	out, err := exec.Command(curl, "-sS", "--proxy", "http://"+b.addr, "--cacert", ca, "-o", os.DevNull,
		"-w", "%{http_code} %{size_download}", "https://www.google.com"+upstream.ObjectPath).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "200 104857600", string(out))
}

func FuzzGreet(f *testing.F) {
	f.Add([]byte("CONNECT a.example.com:443 HTTP/1.1\r\n\r\n\x16"))
	f.Add([]byte("\x00CAPSEM_META:node\n\x16\x03"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := wire.NewConn(fakeConn{r: bytes.NewReader(data)})
		process, secure, err := greet(c)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(process), 4096)
		rest, err := io.ReadAll(c)
		require.NoError(t, err)
		require.True(t, bytes.HasSuffix(data, rest))
		require.Equal(t, secure, rest[0] == 0x16)
	})
}

// fakeConn is a connection that has already sent everything.
type fakeConn struct {
	net.Conn
	r io.Reader
}

func (c fakeConn) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c fakeConn) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkGet(b *testing.B) {
	p := start(b)
	c := p.client(b)
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := c.Get("https://www.google.com/tiny")
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
}
