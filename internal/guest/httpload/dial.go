package httpload

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"syscall"
	"time"
)

// A dialer makes the connections of one worker to one origin.
type dialer struct {
	ctx     context.Context
	target  *url.URL
	proxy   *url.URL // nil: direct
	address string   // to connect to without a proxy; "" is the target's
	roots   *x509.CertPool
	timeout time.Duration // of one dial, where the request has none

	conn   *conn  // the latest; nil when dialling it failed
	phases Phases // of the latest dial
}

// dial connects, asks the proxy for a tunnel and shakes hands. fasthttp closes
// the connection; when the context ends it is closed too.
func (d *dialer) dial(_ string, timeout time.Duration) (net.Conn, error) {
	d.conn = nil
	if timeout <= 0 {
		timeout = d.timeout
	}
	deadline := time.Now().Add(timeout)
	address := cmp.Or(d.address, hostPort(d.target))
	if d.proxy != nil {
		address = hostPort(d.proxy)
	}
	d.phases = Phases{}
	ctx, begin := d.phases.trace(d.ctx), time.Now()
	raw, err := (&net.Dialer{Deadline: deadline}).DialContext(ctx, "tcp", address)
	d.phases.Connect = time.Since(begin) - d.phases.DNS
	if err != nil {
		if d.proxy != nil {
			err = &stageError{stageProxy, err}
		}
		return nil, err
	}
	// Closing is the one thing that ends a read or write under way.
	stop := context.AfterFunc(d.ctx, func() { _ = raw.Close() })
	secured, err := d.secure(raw, deadline)
	if err != nil {
		stop()
		_ = raw.Close()
		return nil, err
	}
	d.conn = &conn{Conn: secured, socket: raw, stop: stop}
	return d.conn, nil
}

// secure turns a TCP connection into one to the origin.
func (d *dialer) secure(c net.Conn, deadline time.Time) (net.Conn, error) {
	if err := c.SetDeadline(deadline); err != nil {
		return nil, err
	}
	begin := time.Now()
	if d.proxy != nil && d.proxy.Scheme == "https" {
		toProxy := tls.Client(c, tlsConfig(d.proxy.Hostname(), d.roots))
		if err := toProxy.Handshake(); err != nil {
			return nil, &stageError{stageProxy, &stageError{stageTLS, err}}
		}
		c = toProxy
	}
	if d.target.Scheme == "http" {
		return c, nil
	}
	if d.proxy != nil {
		if err := tunnel(c, d.target, d.proxy); err != nil {
			return nil, &stageError{stageProxy, err}
		}
		d.phases.Proxy = time.Since(begin)
	}
	begin = time.Now()
	secured := tls.Client(c, tlsConfig(d.target.Hostname(), d.roots))
	if err := secured.Handshake(); err != nil {
		return nil, &stageError{stageTLS, err}
	}
	d.phases.TLS = time.Since(begin)
	return secured, nil
}

// A conn remembers what fasthttp's errors do not tell: how a connection
// failed, and whether an answer had begun by then. It is for one goroutine.
type conn struct {
	net.Conn
	socket net.Conn // below the TLS
	stop   func() bool

	err      error     // of the last Read or Write
	answered bool      // a byte came since the last Write
	served   bool      // a byte came before the last Write
	first    time.Time // when the first byte of answered came
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.answered {
		c.answered, c.first = true, time.Now()
	}
	c.err = err
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	c.served = c.served || c.answered
	c.answered = false
	n, err := c.Conn.Write(b)
	c.err = err
	return n, err
}

// Handshake tells fasthttp that this connection has TLS where the origin does.
func (c *conn) Handshake() error { return nil }

func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// stale reports whether the origin closed a kept connection before any byte
// of an answer: the request may be sent again on a new one.
func (c *conn) stale() bool {
	return c.served && !c.answered &&
		(errors.Is(c.err, io.EOF) || errors.Is(c.err, syscall.ECONNRESET) || errors.Is(c.err, syscall.EPIPE))
}
