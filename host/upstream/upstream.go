// Package upstream is a hermetic origin: it answers for every host name on
// this machine, so that requests which would leave it have something to
// measure against when there is, or should be, no Internet.
//
// It serves a page of the size of a search engine's front page, an object of
// 100 MiB with its digest (RFC 9530), and objects of any size, over TLS with
// certificates of its own authority or in the clear; HTTP/1.1 only. Content
// is computed from two small tables, so that a download costs no memory and
// the origin does not limit it. It is no web server: no files, no logs, no
// limits but those of net/http.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/host/internal/leafcert"
)

// Config configures an origin.
type Config struct {
	// Names get their certificates at once, so that the first request for one
	// of them does not pay for it.
	Names []string
	// Faults adds the paths under /fault/, which fail on purpose.
	Faults bool
}

// An Upstream is a hermetic origin.
type Upstream struct {
	authority *leafcert.Authority
	handler   http.Handler
}

// New makes an origin with an authority of its own. It fails on a name that
// no host can have.
func New(cfg Config) (*Upstream, error) {
	authority, err := leafcert.New("capsem-bench origin, made for one session")
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	for _, name := range cfg.Names {
		if _, err := authority.Certificate(name); err != nil {
			return nil, fmt.Errorf("upstream: %w", err)
		}
	}
	return &Upstream{authority: authority, handler: newHandler(cfg)}, nil
}

// CAPEM returns the certificate of the authority that signs for all names.
func (u *Upstream) CAPEM() []byte { return u.authority.CAPEM() }

// Certificate returns the leaf certificate of a host name, with its key: a
// stock server that stands beside this origin is trusted by the same clients.
func (u *Upstream) Certificate(name string) (*tls.Certificate, error) {
	return u.authority.Certificate(name)
}

// Handler returns the handler of all requests, whatever their host.
func (u *Upstream) Handler() http.Handler { return u.handler }

// Serve answers until ctx ends, then returns nil; an error means that the
// listener failed. It closes the listener and all connections. A client that
// begins with a TLS hello is answered over TLS, any other in the clear, so that
// one listener stands for ports 443 and 80.
func (u *Upstream) Serve(ctx context.Context, ln net.Listener) error {
	return u.serve(ctx, eitherListener{ln, &tls.Config{
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return u.authority.Certificate(nameOf(h))
		},
		NextProtos: []string{"http/1.1", "http/1.0"}, MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true,
	}})
}

// nameOf is the SNI, else the address connected to: clients that want an
// address send no name.
func nameOf(h *tls.ClientHelloInfo) string {
	if h.ServerName != "" {
		return h.ServerName
	}
	host, _, err := net.SplitHostPort(h.Conn.LocalAddr().String())
	if err != nil {
		return "localhost" // not a TCP socket
	}
	return host
}

func (u *Upstream) serve(ctx context.Context, ln net.Listener) error {
	var open sync.WaitGroup
	srv := &http.Server{
		Handler: u.handler, BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: log.New(io.Discard, "", 0), // clients that hang up are part of the work
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed, http.StateHijacked:
				open.Done()
			}
		},
	}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	err := srv.Serve(ln)
	_ = srv.Close()
	open.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("upstream: %w", err)
	}
	return nil
}
