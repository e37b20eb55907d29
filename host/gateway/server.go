package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/capsem/capsem-bench/host/internal/wire"
)

// ErrClosed is returned by Serve on a gateway that was closed before.
var ErrClosed = errors.New("gateway: closed")

// Serve answers guests until ctx ends or the gateway is closed, then returns
// nil; an error means that the listener failed. Before it returns it closes
// the listener and the connections that came from it. Several listeners may
// be served at once.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener) error {
	if g.ctx.Err() != nil {
		_ = ln.Close()
		return ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.ctx, cancel)()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	var guests sync.WaitGroup
	err := g.accept(ctx, ln, &guests)
	stop()
	cancel()
	_ = ln.Close()
	guests.Wait()
	return err
}

// accept serves as many guests at a time as there is room for.
func (g *Gateway) accept(ctx context.Context, ln net.Listener, guests *sync.WaitGroup) error {
	slots := make(chan struct{}, g.limits.conns)
	err := wire.Accept(ctx, ln, slots, g.cfg.Log, func(c net.Conn) {
		guests.Go(func() {
			defer func() { <-slots }()
			g.guest(ctx, c)
		})
	})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

// guest serves one connection until either side ends it.
func (g *Gateway) guest(ctx context.Context, raw net.Conn) {
	c := newConn(g, raw)
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if err := c.readMetadata(); err != nil {
		g.cfg.Log.Debug("waiting for the metadata line", "error", err)
		return
	}
	session, err := g.server.Connect(context.WithValue(ctx, connKey{}, c), transport{c}, sessionOptions())
	if err != nil {
		g.cfg.Log.Error("starting an MCP session", "error", err)
		return
	}
	if err := session.Wait(); err != nil && ctx.Err() == nil {
		g.cfg.Log.Debug("end of an MCP session", "error", err)
	}
}
