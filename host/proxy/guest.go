package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/capsem/capsem-bench/host/internal/leafcert"
	"github.com/capsem/capsem-bench/host/internal/wire"
	"github.com/capsem/capsem-bench/internal/contract"
)

// A guest is a connection from a guest in one of its forms: as accepted, after
// CONNECT, inside TLS. All forms share the slot.
type guest struct {
	net.Conn            // what requests are read from: the wire, or TLS on it
	wire     *wire.Conn // what was accepted
	slot     *slot

	process string
	host    string // of CONNECT, in leafcert.Host's form; "" outside a tunnel
	sni     string // likewise; "" if there was none
	port    int    // of CONNECT or TLS; 0 if each request says it
	secured bool   // inside TLS

	reading reading
}

// CloseWrite lets net/http send an answer to its end before it closes.
func (g *guest) CloseWrite() error {
	if cw, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return nil
}

// firstLine reads the metadata line, if there is one, and looks at what follows.
func firstLine(c *wire.Conn) (process string, secure bool, err error) {
	first, err := c.Peek()
	if err != nil {
		return "", false, err
	}
	if first == contract.MetaPrefix[0] {
		if process, err = metadata(c); err != nil {
			return "", false, err
		}
		if first, err = c.Peek(); err != nil {
			return process, false, err
		}
	}
	return process, first == wire.TLSHandshake, nil
}

func metadata(c *wire.Conn) (process string, err error) {
	line, err := c.ReadLine()
	if err != nil {
		return "", fmt.Errorf("reading the metadata line: %w", err)
	}
	process, ok := contract.ParseMetaLine(string(line))
	if !ok {
		return "", errors.New("a line that starts with NUL but has no metadata")
	}
	return printable(process), nil
}

// prepare brings an accepted connection to where HTTP starts.
func (s *server) prepare(ctx context.Context, g *guest) {
	_ = g.SetReadDeadline(time.Now().Add(s.p.limits.first))
	process, secure, err := firstLine(g.wire)
	g.process = process
	switch {
	case err != nil:
		if err != io.EOF {
			g.refused("", "", 0, "before the first request: "+err.Error())
		}
		s.p.cfg.Log.Debug("a connection without a request", "error", err)
		g.slot.release()
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
		g.refused(http.MethodConnect, net.JoinHostPort(g.host, strconv.Itoa(g.port)), http.StatusOK, "a tunnel that nothing was sent through")
		g.slot.release()
	case first == wire.TLSHandshake:
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
	t := tls.Server(g.wire, s.p.tls)
	if err := t.HandshakeContext(context.WithValue(ctx, guestKey{}, g)); err != nil {
		s.p.cfg.Recorder.RecordRequest(Request{
			Time: start, Domain: g.name(), Port: g.port, Decision: DecisionError, Process: g.process,
			Duration: time.Since(start), MatchedRule: printable("TLS: " + err.Error()), ConnType: ConnTLS,
		})
		g.slot.release()
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
	g.sni, err = leafcert.Host(sni)
	return err
}

// name is the host that the connection is for, "" if each request says it.
func (g *guest) name() string {
	if g.host != "" {
		return g.host
	}
	return g.sni
}
