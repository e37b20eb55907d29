package sandbox

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/capsem/capsem-bench/host/gateway"
	"github.com/capsem/capsem-bench/host/proxy"
	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/host/upstream"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// LocalConfig configures a Local sandbox.
type LocalConfig struct {
	Dir        string // on the disk to measure; a directory in it is the workspace
	Binary     string // the guest binary
	GuestTools string // capsem-guest
	Env        []string
	// Session gets a row for every request; the caller closes it.
	Session *session.Writer
	// URLs whose hosts the proxy allows beside the default ones.
	URLs []string
}

// Local is the sandbox without a VM: the host services run in this process
// and the guest binary as a child that is pointed at them. It needs no root
// and reaches no network. Close it to stop the services and to remove the
// workspace and its snapshots.
type Local struct {
	cfg      LocalConfig
	scratch  []string // directories to remove
	store    string   // of the snapshots
	env      []string
	cancel   context.CancelFunc
	services sync.WaitGroup
	gateway  *gateway.Gateway
	errs     chan error
}

// NewLocal starts the services.
func NewLocal(cfg LocalConfig) (l *Local, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	l = &Local{cfg: cfg, cancel: cancel, errs: make(chan error, 3)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("local sandbox: %w", err), l.Close())
			l = nil
		}
	}()
	home, bin, run, err := l.directories()
	if err != nil {
		return l, err
	}
	proxyURL, caFile, err := l.network(ctx, run)
	if err != nil {
		return l, err
	}
	socket := filepath.Join(run, "gateway.sock")
	if err := l.snapshots(ctx, home, socket); err != nil {
		return l, err
	}
	for _, name := range []string{"snapshots", "capsem-mcp-server"} {
		if err := os.Symlink(cfg.GuestTools, filepath.Join(bin, name)); err != nil {
			return l, err
		}
	}
	l.env = append(cleanEnv(cfg.Env),
		"HOME="+home, "CAPSEM_BENCH_DIR="+home, "CAPSEM_BENCH_WORKSPACE="+home,
		"PATH="+bin+string(os.PathListSeparator)+lookup(cfg.Env, "PATH"),
		"HTTPS_PROXY="+proxyURL, "HTTP_PROXY="+proxyURL, "SSL_CERT_FILE="+caFile,
		"CAPSEM_GATEWAY=unix:"+socket, "CAPSEM_BENCH_SANDBOX=local",
	)
	return l, nil
}

// Run runs the guest binary once.
func (l *Local) Run(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	return Child{Binary: l.cfg.Binary, Args: args, Env: l.env, Stdout: stdout, Stderr: stderr}.Run(ctx)
}

// directories makes the workspace and its snapshots beside the results, so
// that the disk measured is the user's, and a short-lived directory for the
// rest: a socket's path has 104 bytes at most.
func (l *Local) directories() (home, bin, run string, err error) {
	run, err = os.MkdirTemp("", "capsem-")
	if err != nil {
		return "", "", "", err
	}
	l.scratch = append(l.scratch, run)
	dir, err := os.MkdirTemp(l.cfg.Dir, ".sandbox-")
	if err != nil {
		return "", "", "", err
	}
	l.scratch = append(l.scratch, dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return "", "", "", err
	}
	home, bin, l.store = filepath.Join(dir, "workspace"), filepath.Join(run, "bin"), filepath.Join(dir, "auto_snapshots")
	for _, d := range []string{home, bin, l.store} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return "", "", "", err
		}
	}
	return home, bin, run, nil
}

// network starts the origin and the proxy before it.
func (l *Local) network(ctx context.Context, run string) (proxyURL, caFile string, err error) {
	origin, err := upstream.New(upstream.Config{})
	if err != nil {
		return "", "", err
	}
	originLn, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	l.serve("upstream", func() error { return origin.Serve(ctx, originLn) })
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(origin.CAPEM()) {
		return "", "", errors.New("the origin has no certificate")
	}
	p, err := proxy.New(proxy.Config{
		Allow: l.allow(), UpstreamRoots: roots, Recorder: netEvents{l.cfg.Session},
		Upstream: func(ctx context.Context, _ string, _ int) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", originLn.Addr().String())
		},
	})
	if err != nil {
		return "", "", err
	}
	proxyLn, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	l.serve("proxy", func() error { return p.Serve(ctx, proxyLn) })
	caFile = filepath.Join(run, "ca.pem")
	return "http://" + proxyLn.Addr().String(), caFile, os.WriteFile(caFile, p.CAPEM(), 0o600)
}

// allow is Capsem's default allow list as far as the benchmarks need it.
func (l *Local) allow() []string {
	hosts := []string{"www.google.com", "google.com"}
	for _, raw := range append(slices.Clone(l.cfg.URLs), catalogue.DefaultThroughputURL) {
		if u, err := url.Parse(raw); err == nil && u.Hostname() != "" {
			hosts = append(hosts, strings.ToLower(u.Hostname()))
		}
	}
	return hosts
}

// snapshots starts the gateway over the workspace.
func (l *Local) snapshots(ctx context.Context, home, socket string) error {
	g, err := gateway.New(gateway.Config{
		Workspace: home, Store: l.store, Version: record.ToolVersion, Recorder: mcpCalls{l.cfg.Session},
	})
	if err != nil {
		return err
	}
	l.gateway = g
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	l.serve("gateway", func() error { return g.Serve(ctx, ln) })
	return nil
}

func (l *Local) serve(name string, f func() error) {
	l.services.Go(func() {
		if err := f(); err != nil {
			l.errs <- fmt.Errorf("%s: %w", name, err)
		}
	})
}

// Close stops the services and removes the workspace and its snapshots.
func (l *Local) Close() error {
	l.cancel()
	l.services.Wait()
	close(l.errs)
	var errs []error
	for err := range l.errs {
		errs = append(errs, err)
	}
	if l.gateway != nil {
		errs = append(errs, l.gateway.Close())
	}
	for _, dir := range l.scratch {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// cleanEnv drops what would lead the guest past the sandbox: the user's own
// proxies, certificates and home.
func cleanEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		switch strings.ToUpper(key) {
		case "HOME", "PATH", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
			"CAPSEM_BENCH_DIR", "CAPSEM_BENCH_WORKSPACE", "CAPSEM_GATEWAY", "CAPSEM_MCP_SERVER":
			return true
		}
		return false
	})
}

func lookup(env []string, key string) string {
	for _, kv := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v
		}
	}
	return ""
}

// netEvents writes the proxy's records into the session database.
type netEvents struct{ w *session.Writer }

func (n netEvents) RecordRequest(r proxy.Request) { n.w.NetEvent(session.NetEvent(r)) }

// mcpCalls writes the gateway's.
type mcpCalls struct{ w *session.Writer }

func (m mcpCalls) RecordCall(c gateway.Call) { m.w.MCPCall(session.MCPCall(c)) }
