package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/host/internal/wire"
)

// ErrClosed is returned by Serve on a proxy that was closed before.
var ErrClosed = errors.New("proxy: closed")

// server is one Serve: a listener and what came from it.
type server struct {
	p    *Proxy
	ctx  context.Context // ends with Serve
	http *http.Server

	ready chan net.Conn // guests whose next bytes are HTTP
	done  chan struct{}
	addr  net.Addr
	slots chan struct{}
	all   sync.WaitGroup // of slots

	mu   sync.Mutex
	open map[*slot]struct{}
}

// Serve answers guests until ctx ends or the proxy is closed, then returns
// nil; an error means that the listener failed. Before it returns it closes
// the listener and the connections that came from it, and has every request
// recorded. Several listeners may be served at once.
func (p *Proxy) Serve(ctx context.Context, ln net.Listener) error {
	if p.ctx.Err() != nil {
		_ = ln.Close()
		return ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	s := &server{
		p: p, ctx: ctx, ready: make(chan net.Conn), done: make(chan struct{}), addr: ln.Addr(),
		slots: make(chan struct{}, p.limits.conns), open: make(map[*slot]struct{}),
	}
	s.http = &http.Server{
		Handler:           s,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, guestKey{}, c) },
		ConnState:         connState,
		ReadHeaderTimeout: p.limits.header, IdleTimeout: p.limits.idle, MaxHeaderBytes: p.limits.headerLen,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(p.cfg.Log.Handler(), slog.LevelDebug),
	}
	var inner sync.WaitGroup
	inner.Go(func() { _ = s.http.Serve((*readyListener)(s)) })
	stopped := context.AfterFunc(ctx, func() { _ = ln.Close() })
	err := s.accept(ctx, ln)
	stopped()
	cancel() // what is under way in handlers
	_ = ln.Close()
	close(s.done)
	inner.Wait()
	s.endAll()
	s.all.Wait()
	_ = s.http.Close()
	p.transport.CloseIdleConnections()
	return err
}

// accept takes as many guests at a time as there is room for; a guest that
// ends releases its slot.
func (s *server) accept(ctx context.Context, ln net.Listener) error {
	err := wire.Accept(ctx, ln, s.slots, s.p.cfg.Log, func(raw net.Conn) {
		c := wire.NewConn(raw)
		g := &guest{Conn: c, wire: c, slot: s.begin(c)}
		go s.prepare(ctx, g)
	})
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	return nil
}

// A slot is the place of an accepted connection, over all its forms.
type slot struct {
	s    *server
	conn net.Conn
	once sync.Once
}

func (s *server) begin(c net.Conn) *slot {
	l := &slot{s: s, conn: c}
	s.all.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[l] = struct{}{}
	return l
}

// release is called when nobody handles the connection any more.
func (l *slot) release() {
	l.once.Do(func() {
		_ = l.conn.Close()
		l.s.mu.Lock()
		delete(l.s.open, l)
		l.s.mu.Unlock()
		<-l.s.slots
		l.s.all.Done()
	})
}

// endAll closes the sockets; whoever handles them notices and releases the slots.
func (s *server) endAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.open {
		_ = l.conn.Close()
	}
}

// connState notes the beginning of the next request, and releases the slot of a
// connection whose last handler has returned.
func connState(c net.Conn, state http.ConnState) {
	g, ok := c.(*guest)
	switch {
	case !ok:
	case state == http.StateIdle:
		g.reading.next()
	case state == http.StateClosed:
		g.incomplete()
		g.slot.release()
	}
}

// hand gives a connection to net/http.
func (s *server) hand(g *guest) {
	_ = g.SetDeadline(time.Time{})
	select {
	case s.ready <- g:
	case <-s.done:
		g.slot.release()
	}
}

// readyListener is where net/http accepts connections.
type readyListener server

func (l *readyListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *readyListener) Close() error   { return nil }
func (l *readyListener) Addr() net.Addr { return l.addr }
