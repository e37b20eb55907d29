package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// forward sends the request on and the answer back. Nothing waits for more: what
// has been read is on its way before the next read.
func (x *exchange) forward() {
	if x.body != nil {
		// An answer may come, and end, before the request has.
		_ = http.NewResponseController(x.ResponseWriter).EnableFullDuplex()
	}
	(&httputil.ReverseProxy{
		Rewrite: x.outgoing, Transport: x.s.p.transport, ModifyResponse: x.incoming, ErrorHandler: x.upstreamFailed,
		FlushInterval: -1, BufferPool: &x.s.p.buffers, ErrorLog: x.s.http.ErrorLog,
	}).ServeHTTP(x, x.r)
}

// outgoing makes the request that goes upstream. httputil.ReverseProxy takes the
// fields that are about one connection out of it, and some that are not.
func (x *exchange) outgoing(r *httputil.ProxyRequest) {
	r.Out.URL = outgoingURL(x.g.scheme(), x.v.host, x.v.port, r.In)
	r.Out.Host = r.Out.URL.Host
	r.Out.Trailer = r.In.Trailer // filled in when the body ends
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok && !httpguts.HeaderValuesContainsToken(r.In.Header["Connection"], name) {
			r.Out.Header[name] = values
		}
	}
	r.Out.Header.Del("Connection") // offers of other protocols
	r.Out.Header.Del("Upgrade")
}

// incoming looks at an answer before it is passed on.
func (x *exchange) incoming(res *http.Response) error {
	if res.StatusCode == http.StatusSwitchingProtocols {
		return errors.New("a switch of protocols that nobody asked for")
	}
	x.length = res.ContentLength
	res.Body = &answerBody{res.Body, x}
	return nil
}

// answerBody keeps the error with which an answer broke off.
type answerBody struct {
	io.ReadCloser
	x *exchange
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.x.upstreamErr = err
	}
	return n, err
}

// upstreamFailed answers 502, unless it was the guest who went away.
func (x *exchange) upstreamFailed(_ http.ResponseWriter, _ *http.Request, err error) {
	if gone := x.gone(); gone != "" {
		x.fail(gone)
		panic(http.ErrAbortHandler)
	}
	x.fail(err.Error())
	x.answer(http.StatusBadGateway, "Capsem: upstream error ("+printable(err.Error())+")\n")
}

// outgoingURL leaves path and query as the guest wrote them, where net/http
// has a way to say so.
func outgoingURL(scheme, host string, port int, r *http.Request) *url.URL {
	u := &url.URL{Scheme: scheme, Host: hostPort(scheme, host, port)}
	if strings.HasPrefix(r.RequestURI, "/") && !strings.HasPrefix(r.RequestURI, "//") {
		u.Opaque = r.RequestURI
		return u
	}
	u.Path, u.RawPath = r.URL.Path, r.URL.RawPath
	u.RawQuery, u.ForceQuery = r.URL.RawQuery, r.URL.ForceQuery
	return u
}

// hostPort leaves out the port that the scheme implies: origins compare.
func hostPort(scheme, host string, port int) string {
	if scheme == "https" && port == 443 || scheme == "http" && port == 80 {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// buffers implements httputil.BufferPool, which copies through them. The zero
// value is ready.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10 // what httputil.ReverseProxy would allocate

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return buf[:]
	}
	return make([]byte, bufferSize)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(buf []byte) { b.pool.Put((*[bufferSize]byte)(buf)) }
