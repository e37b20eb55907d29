// Package proxy stands in for the egress proxy of a Capsem host. It terminates
// TLS for any name that a guest asks for, applies an allow list, forwards over
// a TLS connection of its own and reports every request.
//
// A connection may start with a metadata line (NUL, "CAPSEM_META:", the name
// of the process, newline). What follows is one of three things, distinguished
// by its first byte: a TLS hello whose SNI names the host, as a transparent
// redirect delivers it; a CONNECT, as HTTPS_PROXY makes clients send it; or
// plain HTTP, to a proxy or redirected. HTTP/1.1 only, as in Capsem.
//
// One connection has one name. What CONNECT, the SNI and the Host field say
// must agree, else the answer is 421: whoever passes the allow list by one
// name must not reach another. Every name gets its TLS and its tunnel, so
// that a denial is an answer (403) and not a broken connection.
//
// This package tells connections apart, signs certificates, decides by the allow
// list and keeps the records. HTTP itself is net/http's server and transport with
// httputil.ReverseProxy between them, because two parsers that disagree about
// where a request ends allow request smuggling. Bodies pass unchanged, coded or
// not, and of any length.
//
// The private key of the authority stays in memory. The allow list holds
// names, so a host that is allowed is dialed wherever its name resolves to,
// on any port.
package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/capsem/capsem-bench/host/internal/leafcert"
	"github.com/capsem/capsem-bench/host/internal/wire"
)

// Config configures a proxy.
type Config struct {
	// Allow are host names, or "*.suffix" for all names below one. No entry
	// allows nothing.
	Allow []string
	// Upstream connects to a host, which is in Allow; nil dials it.
	Upstream func(ctx context.Context, host string, port int) (net.Conn, error)
	// UpstreamRoots verify upstream certificates; nil means the system's.
	UpstreamRoots *x509.CertPool
	// Recorder gets every request; nil records nothing.
	Recorder Recorder
	// Log gets messages for debugging; nil discards them.
	Log *slog.Logger
}

// limits are what a guest may take of us.
type limits struct {
	conns     int           // connections served at once; more wait in the listener's queue
	first     time.Duration // until the first bytes, CONNECT included
	handshake time.Duration
	header    time.Duration
	headerLen int
	idle      time.Duration // between requests; upstream connections too
	leftover  time.Duration // for a body that nobody wants any more
}

func defaultLimits() limits {
	return limits{
		conns: 1024, first: 30 * time.Second, handshake: 10 * time.Second,
		header: 30 * time.Second, headerLen: 64 << 10, idle: 2 * time.Minute, leftover: 500 * time.Millisecond,
	}
}

// A Proxy serves guests. Close it when it is no longer needed.
type Proxy struct {
	cfg       Config
	limits    limits
	allow     allowList
	authority *leafcert.Authority
	transport *http.Transport
	tls       *tls.Config
	buffers   buffers

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
}

// authorityName is the common name of every proxy's authority.
const authorityName = "capsem-bench proxy, made for one session"

// IsCAPEM reports whether a file's content is what CAPEM of some proxy returned,
// and nothing else.
func IsCAPEM(content []byte) bool {
	block, rest := pem.Decode(content)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return false
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	return err == nil && cert.Subject.CommonName == authorityName
}

// New makes a proxy with a certificate authority of its own, whose key stays in
// memory. It fails on a malformed entry of the allow list.
func New(cfg Config) (*Proxy, error) {
	allow, err := newAllowList(cfg.Allow)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	authority, err := leafcert.New(authorityName)
	if err != nil {
		return nil, fmt.Errorf("proxy: making the authority: %w", err)
	}
	if cfg.Upstream == nil {
		cfg.Upstream = dial
	}
	if cfg.Recorder == nil {
		cfg.Recorder = discard{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Proxy{cfg: cfg, limits: defaultLimits(), allow: allow, authority: authority}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.transport = p.newTransport()
	p.tls = &tls.Config{
		GetConfigForClient: p.hello, GetCertificate: p.certificate, NextProtos: []string{"http/1.1", "http/1.0"},
		MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true,
	}
	return p, nil
}

// CAPEM returns the certificate that guests must trust, in PEM.
func (p *Proxy) CAPEM() []byte { return p.authority.CAPEM() }

// Close ends every Serve and closes the upstream connections.
func (p *Proxy) Close() error {
	p.cancel()
	p.transport.CloseIdleConnections()
	return nil
}

func (p *Proxy) newTransport() *http.Transport {
	return &http.Transport{
		DialContext:           p.dialPlain,
		DialTLSContext:        p.dialTLS,
		DisableCompression:    true, // nobody decodes here
		MaxIdleConns:          p.limits.conns,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       p.limits.idle,
		ExpectContinueTimeout: time.Second,
		WriteBufferSize:       16 << 10, // header and small body in one record
		ReadBufferSize:        16 << 10,
		// Headers may take as long as the guest waits for them.
	}
}

func dial(ctx context.Context, host string, port int) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
}

// dialUpstream also ends when the proxy is closed: the transport lets a dial
// go on when the request that caused it has gone.
func (p *Proxy) dialUpstream(ctx context.Context, addr string) (c *wire.Conn, host string, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.limits.first)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	host, port, err := splitHostPort(addr, 0)
	if err != nil {
		return nil, "", err
	}
	raw, err := p.cfg.Upstream(ctx, host, port)
	if err != nil {
		return nil, "", fmt.Errorf("connecting to %s: %w", addr, err)
	}
	return wire.NewConn(raw), host, nil
}

func (p *Proxy) dialPlain(ctx context.Context, _, addr string) (net.Conn, error) {
	c, _, err := p.dialUpstream(ctx, addr)
	return c, err
}

func (p *Proxy) dialTLS(ctx context.Context, _, addr string) (net.Conn, error) {
	c, host, err := p.dialUpstream(ctx, addr)
	if err != nil {
		return nil, err
	}
	t := tls.Client(c, &tls.Config{
		ServerName: host, RootCAs: p.cfg.UpstreamRoots, NextProtos: []string{"http/1.1", "http/1.0"},
		MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true,
	})
	ctx, cancel := context.WithTimeout(ctx, p.limits.handshake)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("TLS with %s: %w", addr, err)
	}
	return t, nil
}

// hello records the name before anything else can fail.
func (p *Proxy) hello(h *tls.ClientHelloInfo) (*tls.Config, error) {
	g, ok := h.Context().Value(guestKey{}).(*guest)
	if !ok {
		return nil, errors.New("a hello without a connection")
	}
	return nil, g.named(h.ServerName) // nil: the config that is in use
}

// certificate is for the SNI, else for what CONNECT named.
func (p *Proxy) certificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	g, ok := h.Context().Value(guestKey{}).(*guest)
	if !ok {
		return nil, errors.New("a hello without a connection")
	}
	if g.sni != "" {
		return p.authority.Certificate(g.sni)
	}
	return p.authority.Certificate(g.host)
}
