// Package proxy stands in for the egress proxy of a Capsem host: it ends the
// TLS of whatever name a guest asks for, applies an allow list, forwards over
// TLS of its own and reports every request.
//
// A connection is one of three things, told apart by its first bytes after an
// optional metadata line (NUL, "CAPSEM_META:", the process name, newline): an
// HTTP CONNECT, as HTTPS_PROXY makes clients send; a TLS hello whose SNI names
// the host, as a transparent redirect delivers; or plain HTTP.
//
// What is between two sockets is this package's: the sniffing, the minted
// certificates, the policy and the records. HTTP itself is net/http's server,
// transport and reverse proxy, because request smuggling lives in parsers
// written twice. HTTP/1.1 only, as in Capsem; no WebSocket; bodies of any
// size are streamed.
package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/internal/minter"
)

// Limits on what a guest may do to us.
const (
	maxConns         = 1024
	handshakeTimeout = 30 * time.Second
	headerTimeout    = 30 * time.Second
	idleTimeout      = 2 * time.Minute
	maxHeader        = 64 << 10
)

// Config configures a proxy.
type Config struct {
	// Allow are host names, or "*.suffix" for all names below one.
	Allow []string
	// Upstream connects to a host; nil dials it. Only allowed hosts are asked.
	Upstream func(ctx context.Context, host string, port int) (net.Conn, error)
	// UpstreamRoots verify upstream certificates; nil means the system's.
	UpstreamRoots *x509.CertPool
	// Recorder is told of every request; nil drops them.
	Recorder Recorder
	Log      *slog.Logger
}

// A Proxy serves guests. Close it to drop its upstream connections.
type Proxy struct {
	cfg       Config
	authority *minter.Authority
	transport *http.Transport
	tls       *tls.Config
	slots     chan struct{}
	buffers   pool
}

// New makes a proxy with an authority that lives and dies with it.
func New(cfg Config) (*Proxy, error) {
	authority, err := minter.New("capsem-bench proxy")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
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
	p := &Proxy{cfg: cfg, authority: authority, slots: make(chan struct{}, maxConns), buffers: newPool()}
	p.transport = &http.Transport{
		DialContext:         p.dialUpstream,
		TLSClientConfig:     &tls.Config{RootCAs: cfg.UpstreamRoots, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: handshakeTimeout,
		DisableCompression:  true, // bodies pass as they are
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     idleTimeout,
		WriteBufferSize:     bufferSize, ReadBufferSize: bufferSize,
	}
	p.tls = &tls.Config{GetCertificate: p.certificate, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	return p, nil
}

// CAPEM returns the certificate that guests must trust.
func (p *Proxy) CAPEM() []byte { return p.authority.CAPEM() }

// Close drops idle upstream connections. Guests are dropped when the context
// of their Serve ends.
func (p *Proxy) Close() error {
	p.transport.CloseIdleConnections()
	return nil
}

func dial(ctx context.Context, host string, port int) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
}

func (p *Proxy) dialUpstream(ctx context.Context, _, addr string) (net.Conn, error) {
	host, port, err := splitHostPort(addr, 443)
	if err != nil {
		return nil, err
	}
	return p.cfg.Upstream(ctx, host, port)
}

func (p *Proxy) certificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, ok := h.Conn.(*conn)
	if !ok {
		return nil, errors.New("no tunnel")
	}
	if h.ServerName != "" {
		c.tunnel.sni = h.ServerName
	}
	return p.authority.Certificate(c.tunnel.name())
}

// Serve answers guests until ctx ends. It closes the listener and every
// connection that came from it before it returns.
func (p *Proxy) Serve(ctx context.Context, ln net.Listener) error {
	inbox := &inbox{conns: make(chan net.Conn), done: make(chan struct{}), addr: ln.Addr()}
	srv := &http.Server{
		Handler:           http.HandlerFunc(p.serveHTTP),
		ConnContext:       withTunnel,
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(inbox) })
	open := newTracker()
	stop := context.AfterFunc(ctx, func() {
		_ = ln.Close()
		_ = srv.Close()
		inbox.Close()
		open.closeAll()
	})
	defer stop()
	err := p.accept(ctx, ln, func(c net.Conn) {
		wg.Go(func() {
			defer open.remove(c)
			p.handle(ctx, c, inbox)
		})
	}, open)
	cancel()
	wg.Wait()
	p.transport.CloseIdleConnections()
	return err
}

// accept hands on connections until the listener is closed.
func (p *Proxy) accept(ctx context.Context, ln net.Listener, handle func(net.Conn), open *tracker) error {
	for {
		c, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("proxy: %w", err)
		}
		select {
		case p.slots <- struct{}{}:
		default:
			p.cfg.Log.Warn("connection refused", "limit", maxConns)
			_ = c.Close()
			continue
		}
		open.add(c)
		handle(c)
	}
}

// handle brings a connection to the point where HTTP starts, then waits for
// it to end.
func (p *Proxy) handle(ctx context.Context, raw net.Conn, inbox *inbox) {
	defer func() { <-p.slots }()
	defer raw.Close()
	c := newConn(raw)
	_ = raw.SetDeadline(time.Now().Add(handshakeTimeout))
	secure, err := c.sniff()
	if err != nil {
		p.refuse(c, err)
		return
	}
	var http net.Conn = c
	if secure {
		t := tls.Server(c, p.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			p.refuse(c, fmt.Errorf("TLS: %w", err))
			return
		}
		c.tunnel.scheme, http = "https", t
	}
	_ = raw.SetDeadline(time.Time{})
	if inbox.put(http) {
		<-c.closed
	}
}

// refuse records a connection that never became HTTP.
func (p *Proxy) refuse(c *conn, err error) {
	if errors.Is(err, io.EOF) {
		return // it came and went
	}
	p.cfg.Recorder.RecordRequest(Request{
		Time: time.Now(), Domain: printable(c.tunnel.name()), Port: c.tunnel.port, Decision: DecisionError,
		Process: c.tunnel.process, MatchedRule: printable(err.Error()), ConnType: connTLS,
	})
}
