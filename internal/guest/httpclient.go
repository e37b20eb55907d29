package guest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
)

const (
	userAgent = "capsem-bench/" + record.ToolVersion

	stageTLS   = "tls"
	stageProxy = "proxy"

	// DefaultRequestTimeout is the deadline of one request with everything
	// in it. Capsem's proxy answers within milliseconds, or with a 502.
	DefaultRequestTimeout = 30 * time.Second
)

// An HTTPClient sends GETs over HTTP/1.1 (RFC 9112), through TLS and through
// the proxy of the environment. It is made for measuring: the request is one
// ready block of bytes, a connection belongs to one worker, and a response
// costs no allocation, so that the client takes little of the time it reports
// and stays small where net/http would double the binary.
//
// It does not do HTTP/2 (Capsem's proxy speaks HTTP/1.1 only), cookies,
// compression or redirects.
type HTTPClient struct {
	target  *url.URL
	proxy   *url.URL // nil: direct
	roots   *x509.CertPool
	request []byte
	timeout time.Duration
	dialer  net.Dialer
}

// NewHTTPClient prepares GETs of one http or https URL. Roots and proxy are
// read from the environment now, outside of any timer. Extra header lines,
// each "Name: value", are for the origin. A timeout of 0 means the default.
func NewHTTPClient(rawURL string, timeout time.Duration, header ...string) (*HTTPClient, error) {
	target, err := parseTarget(rawURL)
	if err != nil {
		return nil, err
	}
	roots, err := trustedRoots()
	if err != nil {
		return nil, err
	}
	if timeout <= 0 {
		timeout = DefaultRequestTimeout
	}
	return newHTTPClient(target, roots, timeout, header)
}

func newHTTPClient(target *url.URL, roots *x509.CertPool, timeout time.Duration, header []string) (*HTTPClient, error) {
	proxy, err := proxyFor(target)
	if err != nil {
		return nil, err
	}
	c := &HTTPClient{target: target, proxy: proxy, roots: roots, timeout: timeout}
	c.request = c.format(header)
	return c, nil
}

func parseTarget(rawURL string) (*url.URL, error) {
	target, err := url.Parse(rawURL)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Hostname() == "" {
		return nil, fmt.Errorf("%q is no http or https URL", Printable(PublicURL(rawURL), 200))
	}
	for _, r := range target.Host {
		if r > '~' {
			return nil, fmt.Errorf("the name in %q is not ASCII; write it in its xn-- form", Printable(PublicURL(rawURL), 200))
		}
	}
	return target, nil
}

// PublicURL returns a URL without a password, fit for a report.
func PublicURL(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Redacted()
}

// plainProxy says that requests go to the proxy in absolute form, untunnelled.
func (c *HTTPClient) plainProxy() bool { return c.proxy != nil && c.target.Scheme == "http" }

// format builds the request that is sent again and again.
func (c *HTTPClient) format(header []string) []byte {
	var b strings.Builder
	b.WriteString("GET ")
	if c.plainProxy() {
		b.WriteString("http://" + c.target.Host)
	}
	b.WriteString(c.target.RequestURI())
	b.WriteString(" HTTP/1.1\r\nHost: " + c.target.Host + "\r\nUser-Agent: " + userAgent + "\r\nAccept: */*\r\n")
	if auth := basicAuth(c.target.User); auth != "" {
		b.WriteString("Authorization: " + auth + "\r\n")
	}
	if c.plainProxy() {
		if auth := basicAuth(c.proxy.User); auth != "" {
			b.WriteString("Proxy-Authorization: " + auth + "\r\n")
		}
	}
	for _, line := range header {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// httpConn is one connection with its reader. It is for one goroutine.
type httpConn struct {
	net.Conn
	socket net.Conn // below the TLS
	reader *responseReader
	served bool // a response came over it already
	stop   func() bool
}

// connect dials, asks the proxy for a tunnel and shakes hands, all before the
// deadline. The caller closes the connection; when ctx ends it is closed too.
func (c *HTTPClient) connect(ctx context.Context, deadline time.Time, reader *responseReader) (*httpConn, error) {
	first := c.target
	if c.proxy != nil {
		first = c.proxy
	}
	dctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	raw, err := c.dialer.DialContext(dctx, "tcp", hostPort(first))
	if err != nil {
		if c.proxy != nil {
			err = &stageError{stageProxy, err}
		}
		return nil, causeOf(ctx, err)
	}
	// Closing is the one thing that ends a read or write under way.
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	conn, err := c.secure(raw, deadline)
	if err != nil {
		stop()
		_ = raw.Close()
		return nil, causeOf(ctx, err)
	}
	if reader == nil {
		reader = newResponseReader(nil)
	}
	reader.reset(conn)
	return &httpConn{Conn: conn, socket: raw, reader: reader, stop: stop}, nil
}

// secure turns a TCP connection into one to the origin.
func (c *HTTPClient) secure(conn net.Conn, deadline time.Time) (net.Conn, error) {
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if c.proxy != nil && c.proxy.Scheme == "https" {
		toProxy := tls.Client(conn, tlsConfig(c.proxy.Hostname(), c.roots))
		if err := toProxy.Handshake(); err != nil {
			return nil, &stageError{stageProxy, &stageError{stageTLS, err}}
		}
		conn = toProxy
	}
	if c.target.Scheme == "http" {
		return conn, nil
	}
	if c.proxy != nil {
		if err := tunnel(conn, c.target, c.proxy); err != nil {
			return nil, &stageError{stageProxy, err}
		}
	}
	secured := tls.Client(conn, tlsConfig(c.target.Hostname(), c.roots))
	if err := secured.Handshake(); err != nil {
		return nil, &stageError{stageTLS, err}
	}
	return secured, nil
}

// causeOf prefers the reason why a context ended to what that broke.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Canceled
	}
	return err
}

// Close ends the connection at once; whatever the origin still sends is lost.
func (c *httpConn) Close() {
	c.stop()
	_ = c.Conn.Close()
}

// send writes the request and reads the head of its response.
func (c *httpConn) send(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	return c.reader.readHead("GET")
}

// isStale says that a kept connection was closed by the origin before any
// byte of an answer: the request may be sent again on a new one.
func (c *httpConn) isStale(err error) bool {
	return c.served && c.reader.buffered() == 0 && !c.reader.answered &&
		(errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
}
