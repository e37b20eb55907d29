package upstream

import (
	"crypto/tls"
	"net"

	"github.com/capsem/capsem-bench/host/internal/wire"
)

// An eitherListener accepts connections with TLS and without.
type eitherListener struct {
	net.Listener
	config *tls.Config
}

func (l eitherListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	w := wire.NewConn(c)
	return &either{Conn: w, wire: w, listener: l}, nil
}

// An either finds out with its first read what it is: accepting must not wait
// for a client. net/http reads before it writes, and from one goroutine.
type either struct {
	net.Conn // the wire, then TLS on it if that is what it is
	wire     *wire.Conn
	listener eitherListener
	known    bool
}

func (e *either) Read(p []byte) (int, error) {
	if !e.known {
		first, err := e.wire.Peek()
		if err != nil {
			return 0, err
		}
		e.known = true
		if first == wire.TLSHandshake {
			e.Conn = tls.Server(e.wire, e.listener.config)
		}
	}
	return e.Conn.Read(p)
}

// Close closes what was accepted: TLS would first say so, to a client that may
// not read.
func (e *either) Close() error { return e.wire.Close() }

// CloseWrite ends the sending side.
func (e *either) CloseWrite() error {
	if c, ok := e.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
