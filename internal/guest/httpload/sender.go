package httpload

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// A Sender sends the request of a client again and again. It is for one
// goroutine.
type Sender struct {
	w      *worker
	status int  // of a success
	fresh  bool // a connection for each request
}

// Probe sends one request and returns the status that counts as a success of a
// load: that of a page, or the 502 of a proxy whose upstream cannot be reached,
// which has done all its own work by then. builtIn says that the stand-in's origin answered.
func (c *Client) Probe(ctx context.Context) (status int, builtIn bool, err error) {
	w, err := c.newWorker(ctx)
	if err != nil {
		return 0, false, err
	}
	defer w.close()
	err = w.get()
	if err == nil {
		_, err = w.discard()
	}
	if err != nil {
		return 0, false, named(w.url, err)
	}
	status = w.response.StatusCode()
	if (status < 200 || status > 299) && status != fasthttp.StatusBadGateway {
		return 0, false, fmt.Errorf("%s: %w", w.url.Host, statusError(status))
	}
	return status, w.builtIn(), nil
}

// Sender returns a sender over one kept connection, for which another status
// than the given one is a failure. Warm opens the connection, else the first
// request does.
func (c *Client) Sender(ctx context.Context, status int) (*Sender, error) {
	w, err := c.newWorker(ctx)
	return &Sender{w: w, status: status}, err
}

// FreshSender is Sender with a new connection for each request.
func (c *Client) FreshSender(ctx context.Context, status int) (*Sender, error) {
	s, err := c.Sender(ctx, status)
	s.fresh = true
	return s, err
}

// Warm opens the connection that is kept, with a request that does not count.
// What fails in it fails in those that do.
func (s *Sender) Warm() {
	if !s.fresh {
		_, _ = s.Do()
	}
}

// Do sends one request and reads the answer. The error is fit to be counted.
func (s *Sender) Do() (answer string, err error) {
	if err = s.w.get(); err == nil {
		_, err = s.w.discard()
	}
	if err != nil {
		return "", errors.New(requestReason(err))
	}
	if s.fresh {
		s.w.disconnect()
	}
	if got := s.w.response.StatusCode(); got != s.status {
		return "", statusError(got)
	}
	return statusError(s.status).Error(), nil
}

// Close closes the connection.
func (s *Sender) Close() { s.w.close() }

// A Handshaker opens connections to the origin of a client, proxy and TLS
// included, and sends no request over them. It is for one goroutine.
type Handshaker struct {
	d    dialer
	next func() string // name of the next connection; nil is the client's
}

// Handshaker returns one whose connections are all for the client's host or, if
// mint is set, each for a name below it that no other connection of this
// process or of an earlier one had: a proxy has to mint its certificate.
func (c *Client) Handshaker(ctx context.Context, mint bool) (*Handshaker, error) {
	if c.target.Scheme != "https" {
		return nil, fmt.Errorf("%s: only https has a handshake", c.target.Host)
	}
	proxy, err := c.proxy(c.target)
	if err != nil {
		return nil, err
	}
	h := &Handshaker{d: dialer{ctx: ctx, target: c.target, proxy: proxy, roots: c.roots, timeout: c.timeout, address: cmp.Or(c.address, hostPort(c.target))}}
	if mint {
		if _, err := netip.ParseAddr(c.target.Hostname()); err == nil {
			return nil, fmt.Errorf("%s is an address, below which there are no names", c.target.Host)
		}
		base, n := "x"+strings.ToLower(rand.Text()[:12])+"-", 0
		h.next = func() string {
			n++
			return base + strconv.Itoa(n) + "." + c.target.Host
		}
	}
	return h, nil
}

// Do opens one connection and closes it.
func (h *Handshaker) Do() (string, error) {
	if h.next != nil {
		named := *h.d.target
		named.Host = h.next()
		d := h.d
		d.target = &named
		return shake(&d)
	}
	return shake(&h.d)
}

func shake(d *dialer) (string, error) {
	c, err := d.dial("", 0)
	if err != nil {
		return "", errors.New(requestReason(err))
	}
	_ = c.Close()
	return "", nil
}

// Close has nothing open.
func (h *Handshaker) Close() {}
