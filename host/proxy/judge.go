package proxy

import (
	"fmt"
	"net/http"

	"golang.org/x/net/http/httpguts"
)

// A verdict says where a request goes, or how it is refused.
type verdict struct {
	host string // in leafcert.Host's form; "" if the request names none
	port int
	rule string // of the allow list

	status int // of the refusal; 0 lets the request go
	reason string
}

func (v *verdict) refuse(status int, format string, args ...any) verdict {
	v.status, v.reason = status, fmt.Sprintf(format, args...)
	return *v
}

// judge decides about a request. The allow list comes first, so that a
// denied name is answered so, and nothing else.
func (p *Proxy) judge(g *guest, r *http.Request) verdict {
	v := verdict{host: g.name(), port: g.port}
	if v.host == "" {
		var err error
		if v.host, v.port, err = splitHostPort(r.Host, 80); err != nil {
			return v.refuse(http.StatusBadRequest, "%v", err)
		}
	}
	var allowed bool
	if v.rule, allowed = p.allow.match(v.host); !allowed {
		return v.refuse(http.StatusForbidden, "%s is not on the allow list", v.host)
	}
	if g.host != "" && g.sni != "" && g.sni != g.host {
		return v.refuse(http.StatusMisdirectedRequest, "the tunnel is to %s, its TLS is for %s", g.host, g.sni)
	}
	if g.name() != "" && r.Host != "" { // HTTP/1.0 may leave it out
		host, port, err := splitHostPort(r.Host, v.port)
		if err != nil {
			return v.refuse(http.StatusBadRequest, "%v", err)
		}
		if host != v.host || port != v.port {
			return v.refuse(http.StatusMisdirectedRequest, "the connection is to %s port %d, the request for %s port %d", v.host, v.port, host, port)
		}
	}
	return v.form(g, r)
}

// form refuses what is no plain request to the host.
func (v *verdict) form(g *guest, r *http.Request) verdict {
	switch {
	case r.Method == http.MethodConnect:
		return v.refuse(http.StatusBadRequest, "a tunnel inside a tunnel")
	case r.URL.Scheme != "" && r.URL.Scheme != g.scheme():
		return v.refuse(http.StatusBadRequest, "an %s URL in a connection that is %s; want CONNECT", printable(r.URL.Scheme), g.scheme())
	case isWebSocket(r.Header):
		return v.refuse(http.StatusBadRequest, "WebSocket is not supported")
	}
	return *v
}

func (g *guest) scheme() string {
	if g.secured {
		return "https"
	}
	return "http"
}

// isWebSocket looks for the handshake of RFC 6455 section 4.1. Offers of
// other protocols (h2c) may be ignored by a proxy, and are.
func isWebSocket(h http.Header) bool {
	return httpguts.HeaderValuesContainsToken(h["Upgrade"], "websocket") && httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade")
}
