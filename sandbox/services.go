package sandbox

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/host/caches"
	"github.com/capsem/capsem-bench/host/gateway"
	"github.com/capsem/capsem-bench/host/proxy"
	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/host/upstream"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/delay"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/scratch"
)

// A ServicesConfig configures Services.
type ServicesConfig struct {
	Workspace string // directory that the guest calls its home
	Store     string // directory for its snapshots
	// Session gets a row for every request; the caller closes it. nil keeps none.
	Session *session.Writer
	// URLs whose hosts the proxy allows beside the default ones.
	URLs []string
	// Allow are the names that the proxy allows, "*.suffix" for those below one;
	// nil is those of Capsem that benchmarks use, and those of URLs.
	Allow []string
	// Upstream is the host:port that all requests are sent to, in place of the
	// built-in origin; UpstreamRoots verify it, nil being the system's.
	Upstream      string
	UpstreamRoots *x509.CertPool
	Interval      time.Duration // between automatic snapshots; 0 takes the first alone
	Log           *slog.Logger  // nil drops what is of use in debugging
	Wrap          Wrap          // nil wraps nothing
	KeepCaches    bool          // ServeCaches refuses: the machine is others' too
}

// A Wrap puts something between the guest and a service, delay.Proxy or
// delay.Gateway: what it returns is served in the place of ln.
type Wrap func(service string, ln net.Listener) net.Listener

// Services are what a guest talks to on its host: the gateway, the proxy, and
// behind the proxy an origin, so that nothing leaves this machine.
type Services struct {
	cfg     ServicesConfig
	proxy   *proxy.Proxy
	gateway *gateway.Gateway
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup
	dir     *scratch.Dir // of the origin's socket
	origin  *upstream.Upstream

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
	dial, roots, err := s.upstream()
	if err != nil {
		return s, err
	}
	var requests proxy.Recorder
	var calls gateway.Recorder
	if cfg.Session != nil {
		requests, calls = netEvents{cfg.Session}, mcpCalls{cfg.Session}
	}
	s.proxy, err = proxy.New(proxy.Config{
		Allow: s.allow(), UpstreamRoots: roots, Recorder: requests, Upstream: dial, Log: cfg.Log,
	})
	if err != nil {
		return s, err
	}
	s.gateway, err = gateway.New(gateway.Config{
		Workspace: cfg.Workspace, Store: cfg.Store, Version: record.ToolVersion, Recorder: calls,
		Interval: cfg.Interval, Log: cfg.Log,
	})
	return s, err
}

// upstream returns how the proxy connects to any host, and what verifies it.
// The built-in origin listens on a socket that other users of this machine
// cannot reach.
func (s *Services) upstream() (func(context.Context, string, int) (net.Conn, error), *x509.CertPool, error) {
	network, address, roots := "tcp", s.cfg.Upstream, s.cfg.UpstreamRoots
	if address == "" {
		origin, err := upstream.New(upstream.Config{})
		if err != nil {
			return nil, nil, err
		}
		if s.dir, err = scratch.New(scratch.Temp(), tempPrefix); err != nil {
			return nil, nil, err
		}
		network, address = "unix", filepath.Join(s.dir.Path(), "origin.sock")
		ln, err := net.Listen(network, address)
		if err != nil {
			return nil, nil, err
		}
		s.serve("upstream", func() error { return origin.Serve(s.ctx, ln) })
		s.origin = origin
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(origin.CAPEM()) {
			return nil, nil, errors.New("the origin has no certificate")
		}
	}
	return func(ctx context.Context, host string, _ int) (net.Conn, error) {
		if s.cfg.Upstream == "" && host == deadHost() {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}, roots, nil
}

// deadHost is the name behind which nothing answers: the proxy does all of its
// work for it, and that is what load measures by default.
func deadHost() string {
	u, _ := url.Parse(catalogue.DefaultLoadTarget) // a constant
	return u.Hostname()
}

// allow is Capsem's default allow list as far as the benchmarks need it.
func (s *Services) allow() []string {
	if s.cfg.Allow != nil {
		return s.cfg.Allow
	}
	hosts := contract.AllowedHosts()
	for _, raw := range s.cfg.URLs {
		if u, err := url.Parse(raw); err == nil && u.Hostname() != "" {
			hosts = append(hosts, strings.ToLower(u.Hostname()))
		}
	}
	return hosts
}

// ServeOrigin serves the built-in origin on a listener, past the proxy, until
// Close, which closes it. It reports the certificate of the origin's authority;
// without a built-in origin it closes the listener and there is none.
func (s *Services) ServeOrigin(ln net.Listener) (caPEM []byte, ok bool) {
	if s.origin == nil {
		_ = ln.Close()
		return nil, false
	}
	s.serve("upstream", func() error { return s.origin.Serve(s.ctx, ln) })
	return s.origin.CAPEM(), true
}

// Fork copies the workspace as it is into dir, an empty directory.
func (s *Services) Fork(ctx context.Context, dir string) (gateway.Forked, error) {
	return s.gateway.Fork(ctx, dir)
}

// CAPEM is the certificate of the proxy's authority.
func (s *Services) CAPEM() []byte { return s.proxy.CAPEM() }

// ServeProxy and ServeGateway serve a listener until Close, which closes it.
func (s *Services) ServeProxy(ln net.Listener) {
	ln = s.wrap(delay.Proxy, ln)
	s.serve("proxy", func() error { return s.proxy.Serve(s.ctx, ln) })
}

func (s *Services) ServeGateway(ln net.Listener) {
	ln = s.wrap(delay.Gateway, ln)
	s.serve("gateway", func() error { return s.gateway.Serve(s.ctx, ln) })
}

func (s *Services) wrap(service string, ln net.Listener) net.Listener {
	if s.cfg.Wrap == nil {
		return ln
	}
	return s.cfg.Wrap(service, ln)
}

// ServeCaches drops this machine's caches for a guest that asks, until Close,
// which closes the listener. A guest that shares them has no use for it.
func (s *Services) ServeCaches(ln net.Listener) {
	cfg := caches.Config{Log: s.cfg.Log}
	if s.cfg.KeepCaches {
		cfg.Drop = func() error { return fmt.Errorf("%s is %s", catalogue.EnvDropped, catalogue.DroppedFiles) }
	}
	s.serve("caches", func() error { return caches.New(cfg).Serve(s.ctx, ln) })
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
	if s.dir != nil {
		s.errs = append(s.errs, s.dir.Close())
	}
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
