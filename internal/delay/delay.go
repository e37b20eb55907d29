// Package delay makes the stand-in host services slower on purpose. It is a
// test facility: a comparison that is to be trusted has to find a slowdown
// that somebody put there, name it, and name nothing else.
//
// A specification lists what is slowed and by how much:
//
//	proxy=5ms                 whatever the proxy reads from a guest
//	gateway=5ms               every call of the gateway
//	snapshots_create=20ms     calls of one of the gateway's tools
//
// Delays are of what arrives from the guest, before the service sees it: the
// service itself stays as it is, and a listener is all that is wrapped.
package delay

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// The services that can be slowed as a whole.
const (
	Proxy   = "proxy"
	Gateway = "gateway"
)

// maxDelay keeps a slip of the finger from looking like a hang.
const maxDelay = 10 * time.Second

// Delays are the delays of a specification by name.
type Delays map[string]time.Duration

// Parse reads a specification, entries with commas between them. An empty
// one delays nothing.
func Parse(spec string) (Delays, error) {
	d := make(Delays)
	for _, entry := range strings.FieldsFunc(spec, func(r rune) bool { return r == ',' || r == ' ' }) {
		name, value, _ := strings.Cut(entry, "=")
		took, err := time.ParseDuration(value)
		if err != nil || took < 0 || took > maxDelay {
			return nil, fmt.Errorf("delay %q: want NAME=DURATION up to %v, such as snapshots_create=20ms", entry, maxDelay)
		}
		if name != Proxy && name != Gateway && !strings.HasPrefix(name, "snapshots_") {
			return nil, fmt.Errorf("delay %q: want %s, %s, or a tool of the gateway such as snapshots_create", entry, Proxy, Gateway)
		}
		d[name] = took
	}
	return d, nil
}

// Listener returns a service's listener with the delays that concern it; ln
// itself when there are none.
func (d Delays) Listener(service string, ln net.Listener) net.Listener {
	out := &listener{Listener: ln, every: d[service]}
	if service == Gateway {
		for _, name := range slices.Sorted(maps.Keys(d)) {
			if strings.HasPrefix(name, "snapshots_") {
				out.words = append(out.words, word{[]byte(`"` + name + `"`), d[name]})
			}
		}
	}
	if out.every == 0 && len(out.words) == 0 {
		return ln
	}
	return out
}

// word is what delays when it comes by.
type word struct {
	text []byte
	took time.Duration
}

type listener struct {
	net.Listener
	every time.Duration
	words []word
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, l: l, closed: make(chan struct{})}, nil
}

// conn delays what it reads. Reads do not overlap, as in all net/http and
// line readers.
type conn struct {
	net.Conn
	l      *listener
	before []byte // the end of what was read, for words that come in two parts
	once   sync.Once
	closed chan struct{}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	took := c.l.every
	longest := 0
	text := slices.Concat(c.before, b[:n])
	for _, w := range c.l.words {
		longest = max(longest, len(w.text))
		took += time.Duration(bytes.Count(text, w.text)) * w.took
	}
	// One byte less than a word cannot hold one, so nothing counts twice.
	c.before = slices.Clone(text[max(0, len(text)-max(0, longest-1)):])
	if took > 0 {
		timer := time.NewTimer(took)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.closed:
		}
	}
	return n, err
}

// NetConn returns the connection below, as tls.Conn does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// CloseWrite passes a half-close on where the connection has one.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
