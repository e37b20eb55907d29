package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/minter"
	"github.com/capsem/capsem-bench/internal/wire"
)

// metaPrefix starts the metadata line.
const metaPrefix = "\x00CAPSEM_META:"

// The first byte of a TLS handshake record.
const tlsHandshake = 0x16

// A guest is a connection from a guest in one of its forms: as accepted, after
// CONNECT, inside TLS. All forms share the life.
type guest struct {
	net.Conn            // what requests are read from: the wire, or TLS on it
	wire     *wire.Conn // what was accepted
	life     *life

	process string
	host    string // of CONNECT, in minter.Host's form; "" outside a tunnel
	sni     string // likewise; "" if there was none
	port    int    // of CONNECT or TLS; 0 if each request says it
	secured bool   // inside TLS
}

// CloseWrite lets net/http send an answer to its end before it closes.
func (g *guest) CloseWrite() error {
	if cw, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return nil
}

// greet reads the metadata line, if there is one, and looks at what follows.
func greet(c *wire.Conn) (process string, secure bool, err error) {
	first, err := c.Peek()
	if err != nil {
		return "", false, err
	}
	if first == metaPrefix[0] {
		if process, err = metadata(c); err != nil {
			return "", false, err
		}
		if first, err = c.Peek(); err != nil {
			return process, false, err
		}
	}
	return process, first == tlsHandshake, nil
}

func metadata(c *wire.Conn) (process string, err error) {
	line, err := c.ReadLine()
	if err != nil {
		return "", fmt.Errorf("reading the metadata line: %w", err)
	}
	process, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\r"), metaPrefix)
	if !ok {
		return "", errors.New("a line that starts with NUL but has no metadata")
	}
	return printable(process), nil
}

// welcome brings an accepted connection to where HTTP starts.
func (s *server) welcome(ctx context.Context, g *guest) {
	_ = g.SetReadDeadline(time.Now().Add(s.p.limits.first))
	process, secure, err := greet(g.wire)
	g.process = process
	switch {
	case err != nil:
		s.p.cfg.Log.Debug("a connection without a request", "error", err)
		g.life.end()
	case secure:
		g.port = 443
		s.secure(ctx, g)
	default:
		s.hand(g)
	}
}

// enter goes on with what is inside a tunnel.
func (s *server) enter(ctx context.Context, g *guest) {
	_ = g.SetReadDeadline(time.Now().Add(s.p.limits.first))
	first, err := g.wire.Peek()
	switch {
	case err != nil:
		g.life.end()
	case first == tlsHandshake:
		s.secure(ctx, g)
	default:
		s.hand(g)
	}
}

type guestKey struct{}

// secure ends the guest's TLS. A failure is recorded: it is how a guest that
// does not trust the authority shows.
func (s *server) secure(ctx context.Context, g *guest) {
	start := time.Now()
	_ = g.SetDeadline(start.Add(s.p.limits.handshake))
	t := wire.Server(g.wire, s.p.tls, &s.p.buffers)
	if err := t.HandshakeContext(context.WithValue(ctx, guestKey{}, g)); err != nil {
		s.p.cfg.Recorder.RecordRequest(Request{
			Time: start, Domain: g.name(), Port: g.port, Decision: DecisionError, Process: g.process,
			Duration: time.Since(start), MatchedRule: printable("TLS: " + err.Error()), ConnType: ConnTLS,
		})
		g.life.end()
		return
	}
	g.Conn, g.secured = t, true
	_ = g.SetDeadline(time.Time{})
	s.hand(g)
}

// named takes down the name in a hello.
func (g *guest) named(sni string) (err error) {
	if sni == "" {
		if g.host == "" {
			return errors.New("the hello names no server")
		}
		return nil
	}
	g.sni, err = minter.Host(sni)
	return err
}

// name is the host that the connection is for, "" if each request says it.
func (g *guest) name() string {
	if g.host != "" {
		return g.host
	}
	return g.sni
}
