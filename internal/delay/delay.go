// Package delay makes the stand-in host services slower on purpose. It is a
// test facility: a comparison has to find a slowdown that was put there on
// purpose, name it, and name nothing else.
//
// A specification lists what is slowed and by how much:
//
//	proxy=5ms                 whatever the proxy reads from a guest
//	proxy_mib=3ms             every MiB that the proxy sends to a guest
//	gateway=5ms               every call of the gateway
//	snapshots_create=20ms     calls of one of the gateway's tools
//	gateway=busy:5ms          the same, with a processor at work all the while
//
// A service that waits leaves the machine idle, and what comes next finds it
// with cold caches and a low clock: it is slower too. One that is busy is like
// code that became slower.
//
// What passes between guest and service is delayed: the service does not
// change, only its listener is wrapped.
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
	Sent    = "proxy_mib" // the proxy, by the MiB that it sends
)

// maxDelay keeps a slip of the finger from looking like a hang.
const maxDelay = 10 * time.Second

// A Delay is a time, spent waiting or at work.
type Delay struct {
	Took time.Duration
	Busy bool
}

// Delays are the delays of a specification by name.
type Delays map[string]Delay

// Parse reads a specification, entries with commas between them. An empty
// one delays nothing.
func Parse(spec string) (Delays, error) {
	d := make(Delays)
	for _, entry := range strings.FieldsFunc(spec, func(r rune) bool { return r == ',' || r == ' ' }) {
		name, value, _ := strings.Cut(entry, "=")
		value, busy := strings.CutPrefix(value, "busy:")
		took, err := time.ParseDuration(value)
		if err != nil || took < 0 || took > maxDelay {
			return nil, fmt.Errorf("delay %q: want NAME=DURATION up to %v, such as snapshots_create=20ms or snapshots_create=busy:20ms", entry, maxDelay)
		}
		if name != Proxy && name != Gateway && name != Sent && !strings.HasPrefix(name, "snapshots_") {
			return nil, fmt.Errorf("delay %q: want %s, %s, %s, or a tool of the gateway such as snapshots_create", entry, Proxy, Sent, Gateway)
		}
		d[name] = Delay{took, busy}
	}
	return d, nil
}

// Listener returns a service's listener with the delays that concern it; ln
// itself when there are none.
func (d Delays) Listener(service string, ln net.Listener) net.Listener {
	out := &listener{Listener: ln, every: d[service]}
	if service == Proxy {
		out.sent = d[Sent]
	}
	if service == Gateway {
		for _, name := range slices.Sorted(maps.Keys(d)) {
			if strings.HasPrefix(name, "snapshots_") {
				out.words = append(out.words, word{[]byte(`"` + name + `"`), d[name]})
			}
		}
	}
	if out.every.Took == 0 && out.sent.Took == 0 && len(out.words) == 0 {
		return ln
	}
	return out
}

// word is what delays when it comes by.
type word struct {
	text []byte
	Delay
}

type listener struct {
	net.Listener
	every Delay
	sent  Delay // of every MiB
	words []word
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, l: l, closed: make(chan struct{})}, nil
}

// conn delays what it reads and writes. Reads do not overlap, nor do writes, as
// in all of net/http, crypto/tls and line readers.
type conn struct {
	net.Conn
	l      *listener
	before []byte        // the end of what was read, for words that come in two parts
	owed   time.Duration // for what was sent
	once   sync.Once
	closed chan struct{}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	c.spend(c.l.every)
	longest := 0
	text := slices.Concat(c.before, b[:n])
	for _, w := range c.l.words {
		longest = max(longest, len(w.text))
		for range bytes.Count(text, w.text) {
			c.spend(w.Delay)
		}
	}
	// One byte less than a word cannot hold one, so nothing counts twice.
	c.before = slices.Clone(text[max(0, len(text)-max(0, longest-1)):])
	return n, err
}

// worthwhile is the shortest delay for what was sent: shorter ones add up.
const worthwhile = time.Millisecond

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.owed += time.Duration(float64(c.l.sent.Took) * float64(n) / (1 << 20))
	if c.owed >= worthwhile {
		c.spend(Delay{c.owed, c.l.sent.Busy})
		c.owed = 0
	}
	return n, err
}

// spend lets a delay pass; a connection that is closed ends it.
func (c *conn) spend(d Delay) {
	if d.Took <= 0 {
		return
	}
	timer := time.NewTimer(d.Took)
	defer timer.Stop()
	for d.Busy {
		select {
		case <-timer.C:
			return
		case <-c.closed:
			return
		default:
		}
	}
	select {
	case <-timer.C:
	case <-c.closed:
	}
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
