package sandbox

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/capsem/capsem-bench/host/caches"
	"github.com/capsem/capsem-bench/host/gateway"
	"github.com/capsem/capsem-bench/host/proxy"
	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/host/upstream"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// A ServicesConfig configures Services.
type ServicesConfig struct {
	Workspace string // directory that the guest calls its home
	Store     string // directory for its snapshots
	// Session gets a row for every request; the caller closes it. nil keeps none.
	Session *session.Writer
	// URLs whose hosts the proxy allows beside the default ones.
	URLs []string
}

// Services are what a guest talks to on its host: the gateway, the proxy, and
// behind the proxy an origin, so that nothing leaves this machine.
type Services struct {
	cfg     ServicesConfig
	proxy   *proxy.Proxy
	gateway *gateway.Gateway
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	errs []error
}

// NewServices makes the services and starts the origin. The caller closes
// them, after whoever uses them.
func NewServices(cfg ServicesConfig) (s *Services, err error) {
	s = &Services{cfg: cfg}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("host services: %w", err), s.Close())
			s = nil
		}
	}()
	origin, err := upstream.New(upstream.Config{})
	if err != nil {
		return s, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return s, err
	}
	s.serve("upstream", func() error { return origin.Serve(s.ctx, ln) })
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(origin.CAPEM()) {
		return s, errors.New("the origin has no certificate")
	}
	var requests proxy.Recorder
	var calls gateway.Recorder
	if cfg.Session != nil {
		requests, calls = netEvents{cfg.Session}, mcpCalls{cfg.Session}
	}
	s.proxy, err = proxy.New(proxy.Config{
		Allow: s.allow(), UpstreamRoots: roots, Recorder: requests,
		Upstream: func(ctx context.Context, _ string, _ int) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
		},
	})
	if err != nil {
		return s, err
	}
	s.gateway, err = gateway.New(gateway.Config{
		Workspace: cfg.Workspace, Store: cfg.Store, Version: record.ToolVersion, Recorder: calls,
	})
	return s, err
}

// allow is Capsem's default allow list as far as the benchmarks need it.
func (s *Services) allow() []string {
	hosts := []string{"www.google.com", "google.com"}
	for _, raw := range append(slices.Clone(s.cfg.URLs), catalogue.DefaultThroughputURL) {
		if u, err := url.Parse(raw); err == nil && u.Hostname() != "" {
			hosts = append(hosts, strings.ToLower(u.Hostname()))
		}
	}
	return hosts
}

// CAPEM is the certificate of the proxy's authority.
func (s *Services) CAPEM() []byte { return s.proxy.CAPEM() }

// ServeProxy and ServeGateway serve a listener until Close, which closes it.
func (s *Services) ServeProxy(ln net.Listener) {
	s.serve("proxy", func() error { return s.proxy.Serve(s.ctx, ln) })
}

func (s *Services) ServeGateway(ln net.Listener) {
	s.serve("gateway", func() error { return s.gateway.Serve(s.ctx, ln) })
}

// ServeCaches drops this machine's caches for a guest that asks, until Close,
// which closes the listener. A guest that shares them has no use for it.
func (s *Services) ServeCaches(ln net.Listener) {
	s.serve("caches", func() error { return caches.New(caches.Config{}).Serve(s.ctx, ln) })
}

func (s *Services) serve(name string, f func() error) {
	s.running.Go(func() {
		if err := f(); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.errs = append(s.errs, fmt.Errorf("%s: %w", name, err))
		}
	})
}

// Close stops the services. The error is of those that stopped before.
func (s *Services) Close() error {
	s.cancel()
	s.running.Wait()
	if s.gateway != nil {
		s.errs = append(s.errs, s.gateway.Close())
	}
	if s.proxy != nil {
		s.errs = append(s.errs, s.proxy.Close())
	}
	return errors.Join(s.errs...)
}

// netEvents writes the proxy's records into the session database.
type netEvents struct{ w *session.Writer }

func (n netEvents) RecordRequest(r proxy.Request) { n.w.NetEvent(session.NetEvent(r)) }

// mcpCalls writes the gateway's.
type mcpCalls struct{ w *session.Writer }

func (m mcpCalls) RecordCall(c gateway.Call) { m.w.MCPCall(session.MCPCall(c)) }
