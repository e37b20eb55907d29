package proxy

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bufferSize moves bodies: large enough that a 100 MiB download is not bound
// by system calls, small enough for a thousand connections.
const bufferSize = 64 << 10

// serveHTTP judges one request and forwards it.
func (p *Proxy) serveHTTP(w http.ResponseWriter, r *http.Request) {
	t, ok := r.Context().Value(tunnelKey{}).(*tunnel)
	if !ok {
		http.Error(w, "no tunnel", http.StatusInternalServerError)
		return
	}
	rec := newRecorder(t, w, r)
	defer rec.finish(p.cfg.Recorder)
	host, port, err := target(t, r)
	if err != nil {
		rec.deny(http.StatusMisdirectedRequest, err.Error())
		return
	}
	rec.req.Domain, rec.req.Port = host, port
	rule, allowed := p.match(host)
	rec.req.MatchedRule = rule
	switch {
	case !allowed:
		rec.deny(http.StatusForbidden, fmt.Sprintf("%s is not in the allow list", host))
	case r.Header.Get("Upgrade") != "":
		rec.deny(http.StatusBadRequest, "protocol upgrades are not supported")
	default:
		rec.req.Decision = DecisionAllowed
		p.forward(rec, r, t.scheme, host, port)
	}
}

// target tells which host a request is for: the tunnel's. A Host header that
// names another would pass the allow list by the one and reach the other.
func target(t *tunnel, r *http.Request) (host string, port int, err error) {
	host, port, err = splitHostPort(r.Host, t.port)
	if err != nil {
		return "", 0, err
	}
	name := t.name()
	if name == "" { // plain HTTP without CONNECT
		if t.scheme == "http" {
			if _, port, err = splitHostPort(r.Host, 80); err != nil {
				return "", 0, err
			}
		}
		return host, port, nil
	}
	if !strings.EqualFold(host, strings.TrimSuffix(name, ".")) {
		return "", 0, fmt.Errorf("request for %s in a connection to %s", host, printable(name))
	}
	return host, t.port, nil
}

// match returns the rule that speaks for a host: a pattern of the allow list,
// or "default".
func (p *Proxy) match(host string) (rule string, allowed bool) {
	for _, pattern := range p.cfg.Allow {
		if pattern == host {
			return pattern, true
		}
		if suffix, ok := strings.CutPrefix(pattern, "*"); ok && strings.HasPrefix(suffix, ".") && strings.HasSuffix(host, suffix) {
			return pattern, true
		}
	}
	return "default", false
}

// forward sends the request on and the answer back.
func (p *Proxy) forward(rec *recorder, r *http.Request, scheme, host string, port int) {
	rp := httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host = scheme, authority(scheme, host, port)
			pr.Out.Host = r.Host
		},
		Transport:    p.transport,
		BufferPool:   p.buffers,
		ErrorLog:     log.New(io.Discard, "", 0),
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { rec.fail(err) },
	}
	rp.ServeHTTP(rec, r)
}

// authority leaves out the port that the scheme implies: an origin may compare.
func authority(scheme, host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if scheme == "https" && port == 443 || scheme == "http" && port == 80 {
		return host
	}
	return host + ":" + strconv.Itoa(port)
}

// recorder is the response writer of one request and what is known of it.
type recorder struct {
	http.ResponseWriter
	req     Request
	start   time.Time
	in      *counter
	out     preview
	status  int
	written int64
}

func newRecorder(t *tunnel, w http.ResponseWriter, r *http.Request) *recorder {
	rec := &recorder{ResponseWriter: w, start: time.Now()}
	rec.req = Request{
		Time: rec.start, Domain: printable(t.name()), Port: t.port, Decision: DecisionError, Process: t.process,
		Method: printable(r.Method), Path: printable(r.URL.Path), Query: printable(r.URL.RawQuery),
		RequestHeaders: headers(r.Header), ConnType: connTLS,
	}
	if t.scheme == "http" {
		rec.req.ConnType = connPlain
	}
	rec.in = &counter{ReadCloser: r.Body}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = rec.in
	}
	return rec
}

func (rec *recorder) WriteHeader(status int) {
	if status >= 200 {
		rec.status = status
		rec.req.ResponseHeaders = headers(rec.Header())
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *recorder) Write(b []byte) (int, error) {
	if rec.status == 0 {
		rec.WriteHeader(http.StatusOK)
	}
	n, err := rec.ResponseWriter.Write(b)
	rec.written += int64(n)
	rec.out.add(b[:n])
	return n, err
}

// Unwrap lets net/http find the flusher.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// deny answers a request that policy does not let out.
func (rec *recorder) deny(status int, reason string) {
	rec.req.Decision = DecisionDenied
	if rec.req.MatchedRule == "" {
		rec.req.MatchedRule = printable(reason)
	}
	rec.answer(status, "Capsem: request denied ("+reason+")\n")
}

// fail answers for an upstream that did not.
func (rec *recorder) fail(err error) {
	rec.req.Decision, rec.req.MatchedRule = DecisionError, printable(err.Error())
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		rec.answer(http.StatusGatewayTimeout, "Capsem: upstream timed out\n")
		return
	}
	rec.answer(http.StatusBadGateway, "Capsem: upstream failed\n")
}

func (rec *recorder) answer(status int, body string) {
	rec.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rec.Header().Set("Content-Length", strconv.Itoa(len(body)))
	rec.WriteHeader(status)
	_, _ = io.WriteString(rec, body)
}

// finish reports the request. It runs as a deferred call, so that an answer
// that broke off (the reverse proxy panics to close the connection) is
// reported as an error, and the panic goes on.
func (rec *recorder) finish(to Recorder) {
	broken := recover()
	if broken != nil {
		rec.req.Decision, rec.req.MatchedRule = DecisionError, "answer broke off"
	}
	rec.req.Status, rec.req.Duration = rec.status, time.Since(rec.start)
	rec.req.Sent, rec.req.RequestPreview = rec.in.sofar()
	rec.req.Received, rec.req.ResponsePreview = rec.written, rec.out.text()
	to.RecordRequest(rec.req)
	if broken != nil {
		panic(broken)
	}
}

// counter counts a request's body as the upstream takes it, which may go on
// after the answer has ended.
type counter struct {
	io.ReadCloser
	mu      sync.Mutex
	n       int64
	preview preview
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += int64(n)
	c.preview.add(b[:n])
	return n, err
}

// sofar returns how many bytes were taken, and their beginning.
func (c *counter) sofar() (n int64, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n, c.preview.text()
}

// pool is a BufferPool of httputil.
type pool struct{ p *sync.Pool }

func newPool() pool {
	return pool{&sync.Pool{New: func() any {
		b := make([]byte, bufferSize)
		return &b
	}}}
}

func (b pool) Get() []byte  { return *b.p.Get().(*[]byte) }
func (b pool) Put(s []byte) { b.p.Put(&s) }
