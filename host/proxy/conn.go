package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// maxMeta bounds the metadata line, as Capsem's proxy does.
const maxMeta = 4 << 10

// metaPrefix starts the metadata line.
const metaPrefix = "\x00CAPSEM_META:"

// tunnel is what is known of a connection before its first request.
type tunnel struct {
	process string
	host    string // of CONNECT
	port    int
	sni     string
	scheme  string // "http" or "https"
}

// name is the host that the guest means by this connection; "" when it has
// not said so yet.
func (t *tunnel) name() string {
	if t.sni != "" {
		return t.sni
	}
	return t.host
}

// conn is a guest's connection with what was read ahead of it.
type conn struct {
	net.Conn
	r      *bufio.Reader
	tunnel tunnel
	once   sync.Once
	closed chan struct{}
}

func newConn(raw net.Conn) *conn {
	return &conn{Conn: raw, r: bufio.NewReaderSize(raw, 16<<10), tunnel: tunnel{process: "unknown", port: 443, scheme: "http"}, closed: make(chan struct{})}
}

func (c *conn) Read(p []byte) (int, error) { return c.r.Read(p) }

func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// sniff reads the metadata line and a CONNECT request where there are any,
// and reports whether TLS follows.
func (c *conn) sniff() (secure bool, err error) {
	first, err := c.r.Peek(1)
	if err != nil {
		return false, err
	}
	if first[0] == 0 {
		if err := c.metadata(); err != nil {
			return false, err
		}
		if first, err = c.r.Peek(1); err != nil {
			return false, err
		}
	}
	if first[0] != 'C' {
		return isTLS(first), nil
	}
	if method, err := c.r.Peek(len("CONNECT ")); err != nil || string(method) != "CONNECT " {
		return false, nil
	}
	if err := c.connect(); err != nil {
		return false, err
	}
	first, err = c.r.Peek(1)
	if err != nil {
		return false, err
	}
	return isTLS(first), nil
}

// isTLS reports whether a connection starts with a TLS handshake record.
func isTLS(first []byte) bool { return first[0] == 0x16 }

func (c *conn) metadata() error {
	line, err := c.r.ReadSlice('\n')
	if err != nil || len(line) > maxMeta {
		return errors.New("metadata line too long or cut")
	}
	name, ok := strings.CutPrefix(strings.TrimRight(string(line), "\r\n"), metaPrefix)
	if name = printable(name); ok && name != "" {
		c.tunnel.process = name
	}
	return nil
}

// connect answers a CONNECT request. Every host gets a tunnel: the policy
// speaks per request, inside it.
func (c *conn) connect() error {
	// The header limit is the reader's: ReadRequest itself has none.
	req, err := http.ReadRequest(bufio.NewReader(io.LimitReader(readByte{c.r}, maxHeader)))
	if err != nil {
		return fmt.Errorf("CONNECT: %w", err)
	}
	host, port, err := splitHostPort(req.Host, 443)
	if err != nil {
		_, _ = io.WriteString(c.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return fmt.Errorf("CONNECT: %w", err)
	}
	c.tunnel.host, c.tunnel.port = host, port
	_, err = io.WriteString(c.Conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	return err
}

// readByte reads single bytes, so that a buffered reader on top never takes
// more than the header from what is behind it.
type readByte struct{ r *bufio.Reader }

func (b readByte) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return b.r.Read(p[:1])
}

// splitHostPort parses "host", "host:port" and "[v6]:port".
func splitHostPort(s string, port int) (string, int, error) {
	if host, text, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("port %q is not a number from 1 to 65535", printable(text))
		}
		s, port = host, int(n)
	}
	s = strings.ToLower(strings.TrimSuffix(strings.Trim(s, "[]"), "."))
	if s == "" || len(s) > 253 || !validHost(s) {
		return "", 0, fmt.Errorf("host %q is not a host name", printable(s))
	}
	return s, port, nil
}

// validHost reports whether s has only what names and addresses are made of.
func validHost(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '-', c == '_', c == ':':
		default:
			return false
		}
	}
	return true
}

type tunnelKey struct{}

// withTunnel lets a request find its connection's tunnel.
func withTunnel(ctx context.Context, nc net.Conn) context.Context {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
	}
	c, ok := nc.(*conn)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, tunnelKey{}, &c.tunnel)
}

// inbox is the listener of the HTTP server: connections that are ready.
type inbox struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	addr  net.Addr
}

func (l *inbox) put(c net.Conn) bool {
	select {
	case l.conns <- c:
		return true
	case <-l.done:
		return false
	}
}

func (l *inbox) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *inbox) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *inbox) Addr() net.Addr { return l.addr }

// tracker knows the open connections, to close them at the end.
type tracker struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func newTracker() *tracker { return &tracker{conns: make(map[net.Conn]struct{})} }

func (t *tracker) add(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		_ = c.Close()
	}
	t.conns[c] = struct{}{}
}

func (t *tracker) remove(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

func (t *tracker) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for c := range t.conns {
		_ = c.Close()
	}
}
