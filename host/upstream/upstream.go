// Package upstream is a hermetic origin: it answers for every host name on
// this machine, so that requests which would leave it have something to
// measure against when there is, or should be, no Internet.
//
// It serves a page of the size of a search engine's front page, an object of
// 100 MiB with its digest (RFC 9530), and objects of any size, over TLS with
// certificates of its own authority or in the clear. Content is generated
// from a fixed block and an index, so the origin holds one MiB of it and
// never limits a download. It is no web server: no files, no logs, no limits
// but those of net/http.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/minter"
)

// The objects with fixed contents.
const (
	ObjectPath = "/100MB.bin"
	ObjectSize = 100 << 20
	// ObjectSHA256 is the digest of the object, base64.
	ObjectSHA256 = "d/xXRAzXJAuiAR+AOOenD4BxA4KJnQTe05aq94Fl3Mo="
	maxBytes     = 1 << 30
)

// pageSize is near what www.google.com/ sends, uncompressed.
const pageSize = 20 << 10

// Config configures an origin.
type Config struct {
	// Faults adds paths under /fault/ that fail on purpose: half, reset, hang.
	Faults bool
}

// An Upstream is a hermetic origin.
type Upstream struct {
	authority *minter.Authority
	handler   http.Handler
}

// New makes an origin with an authority of its own.
func New(cfg Config) (*Upstream, error) {
	authority, err := minter.New("capsem-bench upstream")
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	return &Upstream{authority: authority, handler: handler(cfg)}, nil
}

// CAPEM returns the certificate of the authority that signs for all names.
func (u *Upstream) CAPEM() []byte { return u.authority.CAPEM() }

// Handler returns what answers the requests, whatever their host.
func (u *Upstream) Handler() http.Handler { return u.handler }

// Serve answers over TLS until ctx ends. It closes the listener.
func (u *Upstream) Serve(ctx context.Context, ln net.Listener) error {
	return u.serve(ctx, tls.NewListener(ln, &tls.Config{
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return u.authority.Certificate(name(h))
		},
		NextProtos: []string{"http/1.1"},
		MinVersion: tls.VersionTLS12,
	}))
}

// ServePlain answers plain HTTP until ctx ends. It closes the listener.
func (u *Upstream) ServePlain(ctx context.Context, ln net.Listener) error { return u.serve(ctx, ln) }

// name is what the certificate is for: the SNI, else the address connected to.
func name(h *tls.ClientHelloInfo) string {
	if h.ServerName != "" {
		return h.ServerName
	}
	host, _, err := net.SplitHostPort(h.Conn.LocalAddr().String())
	if err != nil {
		return "localhost"
	}
	return host
}

func (u *Upstream) serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{Handler: u.handler, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: quiet()}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("upstream: %w", err)
	}
	return nil
}

func handler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	page := page()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		_, _ = w.Write(page)
	})
	mux.HandleFunc("/tiny", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	data := newBlock()
	mux.HandleFunc(ObjectPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Repr-Digest", "sha-256=:"+ObjectSHA256+":")
		object(w, r, data, ObjectSize)
	})
	mux.HandleFunc("/bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if err != nil || n < 0 || n > maxBytes {
			http.Error(w, fmt.Sprintf("want a size from 0 to %d", maxBytes), http.StatusBadRequest)
			return
		}
		object(w, r, data, n)
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil || code < 200 || code > 599 {
			code = http.StatusBadRequest
		}
		w.WriteHeader(code)
	})
	if cfg.Faults {
		faults(mux, data)
	}
	return mux
}

// object serves n bytes of content, whole or by range.
func object(w http.ResponseWriter, r *http.Request, data *block, n int64) {
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, data.reader(n))
}

// page is deterministic HTML of our own.
func page() []byte {
	const head = "<!doctype html>\n<html lang=\"en\"><head><title>capsem-bench origin</title></head><body>\n"
	var b strings.Builder
	b.WriteString(head)
	for i := 0; b.Len() < pageSize; i++ {
		fmt.Fprintf(&b, "<p id=\"p%d\">This page stands in for the front page of a search engine, line %d.</p>\n", i, i)
	}
	b.WriteString("</body></html>\n")
	return []byte(b.String())
}

// faults are answers that go wrong in the way their path says.
func faults(mux *http.ServeMux, data *block) {
	mux.HandleFunc("/fault/half", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(2*blockSize))
		_, _ = io.CopyN(w, data.reader(blockSize), blockSize)
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/fault/reset", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		raw := conn
		if t, ok := conn.(*tls.Conn); ok {
			raw = t.NetConn()
		}
		if t, ok := raw.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // close sends a reset
		}
		_ = raw.Close()
	})
	mux.HandleFunc("/fault/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/fault/500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
}
