package httpload

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/valyala/fasthttp"
)

const (
	userAgent = "capsem-bench/" + record.ToolVersion

	// DefaultTimeout is the deadline of one request with everything in it.
	// Capsem's proxy answers within milliseconds, or with a 502.
	DefaultTimeout = 30 * time.Second

	// maxRedirects is that of net/http and of Python's urllib.
	maxRedirects = 10

	// maxHeader bounds the header of a response, and its trailers.
	maxHeader = 64 << 10
)

// A Client sends GETs of one URL.
type Client struct {
	target  *url.URL
	proxy   func(*url.URL) (*url.URL, error)
	roots   *x509.CertPool
	timeout time.Duration
	header  []field
	address string // host:port to connect to in place of the URL's; "" is that
}

// A field is one header field of a request.
type field struct{ name, value string }

// New prepares GETs of one http or https URL. Roots and proxy are read from
// the environment now, outside of any timer. A timeout of 0 means the default.
func New(rawURL string, timeout time.Duration) (*Client, error) {
	target, err := parseTarget(rawURL)
	if err != nil {
		return nil, err
	}
	c := &Client{target: target, timeout: timeout}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.roots, err = trustedRoots(); err != nil {
		return nil, err
	}
	c.proxy = proxyRules()
	if _, err := c.proxy(target); err != nil {
		return nil, err
	}
	return c, nil
}

// NewDirect is New of a client that has no proxy and connects to a host:port,
// whatever the URL's host resolves to.
func NewDirect(rawURL, address string, timeout time.Duration) (*Client, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("%q is no HOST:PORT: %w", record.Printable(address, 200), err)
	}
	c, err := New(rawURL, timeout)
	if err != nil {
		return nil, err
	}
	c.proxy = func(*url.URL) (*url.URL, error) { return nil, nil }
	c.address = address
	return c, nil
}

func parseTarget(rawURL string) (*url.URL, error) {
	target, err := url.Parse(rawURL)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Hostname() == "" {
		return nil, fmt.Errorf("%q is no http or https URL", record.Printable(PublicURL(rawURL), 200))
	}
	for _, r := range target.Host {
		if r > '~' {
			return nil, fmt.Errorf("the name in %q is not ASCII; write it in its xn-- form", record.Printable(PublicURL(rawURL), 200))
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

// redirectError is a redirect that is not followed.
type redirectError struct {
	reason string // fit to be counted
	err    error  // may be nil
}

func (e *redirectError) Error() string {
	if e.err != nil {
		return e.reason + ": " + e.err.Error()
	}
	return e.reason
}

// redirectTarget resolves a Location field (RFC 9110, section 10.2.2).
func redirectTarget(from *url.URL, location string) (*url.URL, error) {
	ref, err := url.Parse(location)
	if err != nil {
		return nil, &redirectError{reason: "redirect to something that is no URL"}
	}
	to := from.ResolveReference(ref)
	if from.Scheme == "https" && to.Scheme == "http" {
		return nil, &redirectError{reason: "redirect from https to http, which is not followed"}
	}
	if to, err = parseTarget(to.String()); err != nil {
		return nil, &redirectError{"unfit redirect", err}
	}
	return to, nil
}

// newRequest builds the GET of one URL.
func (c *Client) newRequest(target, proxy *url.URL) *fasthttp.Request {
	r := new(fasthttp.Request)
	r.SetRequestURI(target.Scheme + "://" + target.Host + target.RequestURI())
	r.Header.SetUserAgent(userAgent)
	r.Header.Set("Accept", "*/*")
	if auth := basicAuth(target.User); auth != "" {
		r.Header.Set("Authorization", auth)
	}
	if proxy != nil && target.Scheme == "http" {
		// An http URL is asked of the proxy in absolute form (RFC 9112,
		// section 3.2.2). fasthttp sends the path as it is.
		r.URI().SetPath("http://" + target.Host + target.EscapedPath())
		if auth := basicAuth(proxy.User); auth != "" {
			r.Header.Set("Proxy-Authorization", auth)
		}
	}
	for _, f := range c.header {
		r.Header.Set(f.name, f.value)
	}
	return r
}
