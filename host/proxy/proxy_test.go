package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

	"github.com/capsem/capsem-bench/host/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rows keeps the records.
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

// row waits for record n.
func (r *rows) row(t testing.TB, n int) Request {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.all()) > n }, time.Minute, time.Millisecond, "record %d", n)
	return r.all()[n]
}

// bench is a proxy in front of a hermetic origin. Names below example.com
// reach the origin's handler of the test, if it has one.
type bench struct {
	rows
	proxy      *Proxy
	addr       string
	direct     string // of the origin's TLS listener
	directPool *x509.CertPool
	dials      atomic.Int64
	stop       context.CancelFunc
	served     chan error
}

func start(t testing.TB, handler http.HandlerFunc, change ...func(*Proxy)) *bench {
	t.Helper()
	origin, err := upstream.New(upstream.Config{Faults: true})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	b := &bench{stop: cancel, served: make(chan error, 1), directPool: x509.NewCertPool()}
	require.True(t, b.directPool.AppendCertsFromPEM(origin.CAPEM()))
	secure, plain, own := listen(t), listen(t), ""
	if handler != nil {
		srv := httptest.NewTLSServer(handler)
		t.Cleanup(srv.Close)
		b.directPool.AddCert(srv.Certificate())
		own = srv.Listener.Addr().String()
	}
	b.direct = secure.Addr().String()
	b.proxy, err = New(Config{
		Allow: []string{"www.google.com", "*.example.com", "down.test", "127.0.0.1", "localhost"},
		Upstream: func(ctx context.Context, host string, port int) (net.Conn, error) {
			b.dials.Add(1)
			addr := b.direct
			switch {
			case host == "down.test":
				return nil, errors.New("connection refused")
			case own != "" && strings.HasSuffix(host, ".example.com"):
				addr = own
			case port == 80:
				addr = plain.Addr().String()
			}
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
		UpstreamRoots: b.directPool, Recorder: &b.rows,
	})
	require.NoError(t, err)
	for _, f := range change {
		f(b.proxy)
	}
	ln := listen(t)
	b.addr = ln.Addr().String()
	origins := make(chan error, 2)
	go func() { origins <- origin.Serve(ctx, secure) }()
	go func() { origins <- origin.Serve(ctx, plain) }()
	go func() { b.served <- b.proxy.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-b.served)
		assert.NoError(t, b.proxy.Close())
		assert.NoError(t, <-origins)
		assert.NoError(t, <-origins)
	})
	return b
}

// dialer connects to one address, whatever the name.
func dialer(addr string) func(context.Context, string, int) (net.Conn, error) {
	return func(ctx context.Context, _ string, _ int) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
}

func listen(t testing.TB) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return ln
}

func (b *bench) tlsConfig(name string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b.proxy.authority.CAPEM())
	return &tls.Config{RootCAs: roots, ServerName: name}
}

// client speaks through CONNECT, and plain HTTP in absolute form.
func (b *bench) client(t testing.TB) *http.Client {
	tr := &http.Transport{
		TLSClientConfig: b.tlsConfig(""), MaxIdleConnsPerHost: 64, DisableCompression: true, ReadBufferSize: 64 << 10,
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: b.addr}), ExpectContinueTimeout: 5 * time.Second,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// dial connects to the proxy and sends text.
func (b *bench) dial(t testing.TB, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", b.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(c, text)
	require.NoError(t, err)
	return c
}

// tls starts TLS for a name, after text.
func (b *bench) tls(t testing.TB, text, name string) *tls.Conn {
	t.Helper()
	c := tls.Client(b.dial(t, text), b.tlsConfig(name))
	require.NoError(t, c.Handshake())
	return c
}

func get(t testing.TB, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

func TestPolicy(t *testing.T) {
	b := start(t, nil)
	c := b.client(t)
	tests := []struct {
		name, url string
		status    int
		decision  string
		rule      string
		connType  string
	}{
		{"exact name", "https://www.google.com/?q=1", 200, DecisionAllowed, "www.google.com", ConnTLS},
		{"below a suffix", "https://a.b.example.com/", 200, DecisionAllowed, "*.example.com", ConnTLS},
		{"another port", "https://www.google.com:8443/", 200, DecisionAllowed, "www.google.com", ConnTLS},
		{"an address", "https://127.0.0.1/", 200, DecisionAllowed, "127.0.0.1", ConnTLS},
		{"the suffix itself", "https://example.com/", 403, DecisionDenied, "default", ConnTLS},
		{"an ending that is no label", "https://badexample.com/", 403, DecisionDenied, "default", ConnTLS},
		{"another name", "https://evil.test/", 403, DecisionDenied, "default", ConnTLS},
		{"another address", "https://127.0.0.2/", 403, DecisionDenied, "default", ConnTLS},
		{"upstream is down", "https://down.test/", 502, DecisionError, "connection refused", ConnTLS},
		{"plain http", "http://www.google.com/", 200, DecisionAllowed, "www.google.com", ConnPlain},
		{"plain http denied", "http://evil.test/", 403, DecisionDenied, "default", ConnPlain},
		{"origin's own error", "https://www.google.com/fault/500", 500, DecisionAllowed, "www.google.com", ConnTLS},
		{"a reset", "https://www.google.com/fault/reset", 502, DecisionError, "", ConnTLS},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dials := b.dials.Load()
			resp, body := get(t, c, tt.url)
			assert.Equal(t, tt.status, resp.StatusCode)
			switch tt.status {
			case 403:
				assert.Regexp(t, `^Capsem: request denied \(.+\)\n$`, body)
				assert.Equal(t, dials, b.dials.Load(), "a denied name is never dialed")
			case 502:
				assert.Regexp(t, `^Capsem: upstream error \(.+\)\n$`, body)
			}
			row := b.row(t, i)
			assert.Equal(t, tt.decision, row.Decision)
			assert.Contains(t, row.MatchedRule, tt.rule)
			assert.Equal(t, tt.status, row.Status)
			assert.EqualValues(t, len(body), row.Received)
			assert.Equal(t, tt.connType, row.ConnType)
		})
	}
}

func TestMalformedAllowList(t *testing.T) {
	for _, pattern := range []string{"", "*", "*.", "**.example.com", "a.*.example.com", "https://example.com", "example.com:443", "*.127.0.0.1", "ex ample"} {
		_, err := New(Config{Allow: []string{pattern}})
		require.Error(t, err, pattern)
	}
	p, err := New(Config{Allow: []string{"www.google.com", "*.wikipedia.org", "Upper.Example"}})
	require.NoError(t, err)
	_, allowed := p.allow.match("upper.example")
	assert.True(t, allowed)
	require.NoError(t, p.Close())
}

func TestRecord(t *testing.T) {
	b := start(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Set-Cookie", "id=sesame")
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, strings.Repeat("é", 3000))
	})
	before := time.Now()
	conn := b.tls(t, "\x00CAPSEM_META:node \x1b[31mred\n", "x.example.com")
	_, err := io.WriteString(conn, "POST /a%2Fb/../c?d=e&f HTTP/1.1\r\nHost: x.example.com\r\nContent-Length: 7\r\n"+
		"Authorization: Bearer sesame\r\nCookie: sesame\r\nX-Api-Key: sesame\r\nX-Other: yes\r\n\r\nhel\x00\xfflo")
	require.NoError(t, err)
	row := b.row(t, 0)
	assert.WithinDuration(t, before, row.Time, time.Minute)
	assert.Positive(t, row.Duration)
	row.Time, row.Duration = time.Time{}, 0
	assert.NotContains(t, row.RequestHeaders+row.ResponseHeaders, "sesame")
	assert.Contains(t, row.ResponseHeaders, "Content-Type: text/plain\n")
	assert.Contains(t, row.ResponseHeaders, "Set-Cookie: (redacted)\n")
	row.ResponseHeaders = ""
	assert.Equal(t, strings.Repeat("é", 2048), row.ResponsePreview)
	row.ResponsePreview = ""
	assert.Equal(t, Request{
		Domain: "x.example.com", Port: 443, Decision: DecisionAllowed, Process: `node \x1b[31mred`, Method: "POST",
		Path: "/a%2Fb/../c", Query: "d=e&f", Status: 200, Sent: 7, Received: 6000, MatchedRule: "*.example.com",
		RequestHeaders: "Host: x.example.com\nAuthorization: (redacted)\nContent-Length: 7\nCookie: (redacted)\nX-Api-Key: (redacted)\nX-Other: yes\n",
		RequestPreview: "hel\uFFFD\uFFFDlo", ConnType: ConnTLS,
	}, row)
}

func TestPreviewIsBoundedText(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"plain", "plain"},
		{strings.Repeat("a", maxPreview+1), strings.Repeat("a", maxPreview)},
		{strings.Repeat("a", maxPreview-1) + "€", strings.Repeat("a", maxPreview-1)},
		{strings.Repeat("a", maxPreview-3) + "€", strings.Repeat("a", maxPreview-3) + "€"},
		{"\x00", "\uFFFD"},
		{"a\xff\xfeb", "a\uFFFDb"},
	}
	for _, tt := range tests {
		var p preview
		for _, c := range []byte(tt.in) {
			p.add([]byte{c})
		}
		assert.Equal(t, tt.want, p.text())
	}
	var noise preview
	noise.add([]byte(strings.Repeat("\xffa", maxPreview)))
	assert.LessOrEqual(t, len(noise.text()), maxPreview)
}

func TestHeaderTextIsBounded(t *testing.T) {
	h := http.Header{"A": {"1"}, "B": {strings.Repeat("x", maxHeaders)}, "C": {"\xff"}}
	assert.Equal(t, "Host: h\nA: 1\n", headerText("h", h))
	delete(h, "B")
	assert.Equal(t, "A: 1\nC: \uFFFD\n", headerText("", h))
}

// TestNothingIsWritten has the whole of the package's tests in mind: the
// sources must not be able to write the key.
func TestNothingIsWritten(t *testing.T) {
	for _, dir := range []string{".", "../internal/leafcert", "../internal/wire"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			assert.NotContains(t, string(text), "\"os\"", name)
			assert.NotContains(t, string(text), "x509.MarshalPKCS8PrivateKey", name)
			assert.NotContains(t, string(text), "x509.MarshalECPrivateKey", name)
		}
	}
	p, err := New(Config{})
	require.NoError(t, err)
	assert.NotContains(t, string(p.CAPEM()), "PRIVATE")
	require.NoError(t, p.Close())
}

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl in PATH; install curl")
	}
	b := start(t, nil)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, b.proxy.CAPEM(), 0o600))
	tests := []struct {
		want string
		args []string
	}{
		{"200 104857600", []string{"--proxy", "http://" + b.addr, "https://www.google.com" + upstream.ObjectPath}},
		{"200 11", []string{"--connect-to", "www.google.com:443:" + b.addr, "https://www.google.com/tiny"}}, // transparent
		{"200 11", []string{"--proxy", "http://" + b.addr, "http://www.google.com/tiny"}},
		{"200 11", []string{"--proxy", "http://" + b.addr, "--proxytunnel", "http://www.google.com/tiny"}},
		{"403 60", []string{"--proxy", "http://" + b.addr, "https://evil.test/"}},
		{"200 0", []string{"--proxy", "http://" + b.addr, "-I", "https://www.google.com/tiny"}},
	}
	for _, tt := range tests {
		args := append([]string{"-sS", "--max-time", "60", "--cacert", ca, "-o", os.DevNull, "-w", "%{http_code} %{size_download}"}, tt.args...)
		cmd := exec.Command(curl, args...)
		cmd.Env = []string{"HOME=" + t.TempDir()} // no proxy settings of the user's
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Equal(t, tt.want, string(out), "%q", tt.args)
	}
}
