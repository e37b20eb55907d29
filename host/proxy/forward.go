package proxy

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// outgoing is the request that goes upstream for r. The header map is new;
// the values are shared.
func (x *exchange) outgoing(ctx context.Context) *http.Request {
	r := x.r
	out := &http.Request{
		Method: r.Method, URL: outgoingURL(x.g.scheme(), x.v.host, x.v.port, r), Header: endToEnd(r.Header),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: r.ContentLength, Trailer: r.Trailer, // filled in when the body ends
	}
	out.Host = out.URL.Host
	if x.body != nil {
		out.Body = x.body
	}
	if hasToken(r.Header["Te"], "trailers") {
		out.Header["Te"] = []string{"trailers"}
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = []string{""} // else net/http adds its own
	}
	return out.WithContext(ctx)
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

// hopByHop reports the fields that are about one connection: RFC 9110 section
// 7.6.1, and those that were so before it.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// endToEnd returns the fields of h that are passed on.
func endToEnd(h http.Header) http.Header {
	out := make(http.Header, len(h)+1)
	copyEndToEnd(out, h)
	return out
}

func copyEndToEnd(to, from http.Header) {
	for name, values := range from {
		if !hopByHop(name) {
			to[name] = values
		}
	}
	for _, field := range from["Connection"] {
		for name := range strings.SplitSeq(field, ",") {
			delete(to, textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)))
		}
	}
}

// interim passes on answers before the final one, such as 103. They arrive on
// a goroutine of the transport, which may outlive the round trip.
type interim struct {
	mu   sync.Mutex
	w    http.ResponseWriter
	over bool
}

func (i *interim) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: i.got})
}

func (i *interim) got(code int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over || code == http.StatusContinue { // our server says that itself
		return nil
	}
	h := i.w.Header()
	copyEndToEnd(h, http.Header(header))
	i.w.WriteHeader(code)
	clear(h)
	return nil
}

func (i *interim) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
}
