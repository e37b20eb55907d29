package httpload

import (
	"context"
	"errors"
	"io"
	"net/url"
	"time"

	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/valyala/fasthttp"
)

// bodyBuffer is read at a time from the body of a response that is thrown away.
const bodyBuffer = 16 << 10

// A worker sends one request after another. It keeps one connection to each
// origin that it was sent to, which is one in all without redirects.
type worker struct {
	ctx     context.Context
	client  *Client
	origins map[string]*origin
	home    *origin // of the client's URL
	request *fasthttp.Request

	// response is the last one. Its body is still to be read.
	response fasthttp.Response
	from     *origin  // where it came from
	url      *url.URL // the URL that it answers

	buf                                []byte
	connections, reconnects, redirects int64
	phases                             Phases // sums over the connections
}

// An origin is the HostClient of one scheme, host and port.
type origin struct {
	fasthttp.HostClient
	dialer
}

func (c *Client) newWorker(ctx context.Context) (*worker, error) {
	w := &worker{ctx: ctx, client: c, origins: make(map[string]*origin), buf: make([]byte, bodyBuffer)}
	var err error
	if w.home, err = w.origin(c.target); err != nil {
		return nil, err
	}
	w.request = c.newRequest(c.target, w.home.proxy)
	w.request.SetTimeout(c.timeout)
	return w, nil
}

// origin returns the HostClient for a URL.
func (w *worker) origin(target *url.URL) (*origin, error) {
	key := target.Scheme + "://" + target.Host
	if o := w.origins[key]; o != nil {
		return o, nil
	}
	proxy, err := w.client.proxy(target)
	if err != nil {
		return nil, err
	}
	o := &origin{dialer: dialer{ctx: w.ctx, target: target, proxy: proxy, roots: w.client.roots, timeout: w.client.timeout}}
	if target.Host == w.client.target.Host {
		o.address = w.client.address
	}
	o.Addr = hostPort(target)
	o.IsTLS = target.Scheme == "https"
	o.DialTimeout = o.dial
	o.MaxConns = 1
	o.ReadBufferSize = maxHeader
	o.DisablePathNormalizing = true
	o.SecureErrorLogMessage = true
	o.StreamResponseBody = true
	o.MaxIdemponentCallAttempts = 2
	o.RetryIfErr = func(*fasthttp.Request, int, error) (resetTimeout, retry bool) {
		retry = o.conn != nil && o.conn.stale() && w.ctx.Err() == nil
		if retry {
			w.reconnects++
		}
		return false, retry
	}
	w.origins[key] = o
	return o, nil
}

// builtIn reports whether the last response is the stand-in origin's.
func (w *worker) builtIn() bool { return string(w.response.Header.Server()) == contract.BuiltInOrigin }

// close closes the kept connections.
func (w *worker) close() {
	_ = w.response.CloseBodyStream()
	w.disconnect()
}

// disconnect closes the kept connections; the next request opens another.
func (w *worker) disconnect() {
	for _, o := range w.origins {
		o.CloseIdleConnections()
	}
}

// get sends the request and goes where it is sent, until a response is no
// redirect. The body of that response is still to be read.
func (w *worker) get() error {
	w.from, w.url = w.home, w.client.target
	deadline := time.Now().Add(w.client.timeout)
	request := w.request
	for range maxRedirects + 1 {
		if err := w.do(request); err != nil {
			return err
		}
		location := w.location()
		if location == "" {
			return nil
		}
		w.redirects++
		if _, err := w.discard(); err != nil {
			return err
		}
		to, err := redirectTarget(w.url, location)
		if err != nil {
			return err
		}
		if w.from, err = w.origin(to); err != nil {
			return err
		}
		w.url = to
		request = w.client.newRequest(to, w.from.proxy)
		request.SetTimeout(time.Until(deadline))
	}
	return errTooManyRedirects
}

// do sends one request and reads the head of its response.
func (w *worker) do(r *fasthttp.Request) error {
	before := w.from.conn
	err := w.from.Do(r, &w.response)
	if w.from.conn != nil && w.from.conn != before {
		w.connections++
		w.phases.add(w.from.phases)
	}
	return w.from.cause(err, false)
}

// firstByte is when the first byte of the last response came.
func (w *worker) firstByte() time.Time {
	if w.from.conn == nil {
		return time.Time{}
	}
	return w.from.conn.first
}

// location returns where a response redirects to, or "".
func (w *worker) location() string {
	switch w.response.StatusCode() {
	case fasthttp.StatusMovedPermanently, fasthttp.StatusFound, fasthttp.StatusSeeOther,
		fasthttp.StatusTemporaryRedirect, fasthttp.StatusPermanentRedirect:
		return string(w.response.Header.Peek("Location"))
	}
	return ""
}

// read reads from the body; io.EOF says that it is complete.
func (w *worker) read(b []byte) (int, error) {
	body := w.response.BodyStream()
	if body == nil { // a status without a body, such as 204
		return 0, io.EOF
	}
	n, err := body.Read(b)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, w.from.cause(err, true)
}

// discard reads the body to its end, returns its length, and gives the
// connection back.
func (w *worker) discard() (total int64, err error) {
	for err == nil {
		var n int
		n, err = w.read(w.buf)
		total += int64(n)
	}
	_ = w.response.CloseBodyStream()
	if err == io.EOF {
		err = nil
	}
	return total, err
}

// cause returns the failure behind an error of fasthttp, which speaks of its
// own work and may quote what the origin sent.
func (d *dialer) cause(err error, inBody bool) error {
	switch {
	case err == nil:
		return nil
	case d.ctx.Err() != nil:
		return context.Canceled
	case d.conn == nil: // the error is the dialer's
		return err
	}
	return d.conn.cause(err, inBody)
}

func (c *conn) cause(err error, inBody bool) error {
	var small *fasthttp.ErrSmallBuffer
	switch ended := errors.Is(c.err, io.EOF) || errors.Is(c.err, io.ErrUnexpectedEOF); {
	case ended && inBody:
		return errShortBody
	case ended && c.answered:
		return malformed("it ends inside the header")
	case c.err != nil:
		return c.err
	case errors.Is(err, fasthttp.ErrTimeout):
		return context.DeadlineExceeded
	case errors.As(err, &small):
		return errHeaderTooLarge
	}
	return malformed("it is no HTTP/1")
}
