package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/userfile"
	"github.com/capsem/capsem-bench/host/proxy"
	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/names"
	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/spf13/cobra"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	workspace, store         string
	gateway, proxy, dns      string
	db, ca, allow            string
	upstream, upstreamCAFile string
	interval                 time.Duration
	asJSON                   bool
}

// serveCommand runs the host's stand-in services alone.
func (a *app) serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the stand-in gateway and proxy in the foreground",
		Long: `serve runs what a guest talks to on its host, without a guest: the MCP gateway
with its snapshots, the proxy, the origin behind it and, with --dns, a DNS
server. It prints where each of them is as key=value lines, or with --json as
one JSON object, and serves until SIGINT or SIGTERM. Then it ends with status 0
and leaves a whole database.

An address is host:port or tcp:host:port; the gateway may listen on unix:/path.
Port 0 takes a free one. Nobody is asked for a password: whoever reaches an
address may use it.`,
		Example: `  capsem-bench serve --workspace . --db session.db
  capsem-bench serve --gateway unix:/tmp/gateway.sock --allow example.com,*.example.org
  capsem-bench serve --proxy 127.0.0.1:8080 --ca ca.pem --upstream 127.0.0.1:8443 --upstream-ca origin.pem`,
		Args: atMostArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.workspace, "workspace", "", "directory `DIR` that snapshots are taken of (default a new one, removed at the end)")
	f.StringVar(&o.store, "store", "", "directory `DIR` that snapshots are kept in (default a new one, removed at the end)")
	f.StringVar(&o.gateway, "gateway", "127.0.0.1:0", "where the gateway listens, `ADDR`")
	f.StringVar(&o.proxy, "proxy", "127.0.0.1:0", "where the proxy listens, `ADDR`")
	f.StringVar(&o.dns, "dns", "", "where names are answered over UDP and TCP, `ADDR` (default nowhere)")
	f.StringVar(&o.db, "db", "", "session database `FILE`, which must not be there yet (default none)")
	f.StringVar(&o.ca, "ca", "", "`FILE` for the certificate that clients of the proxy must trust (default a temporary one)")
	f.StringVar(&o.allow, "allow", strings.Join(contract.AllowedHosts(), ","), "`NAMES` that the proxy allows, *.name for those below one")
	f.StringVar(&o.upstream, "upstream", "", "`HOST:PORT` that allowed requests are sent to (default the built-in origin)")
	f.StringVar(&o.upstreamCAFile, "upstream-ca", "", "`FILE` with the certificates that verify --upstream (default the system's)")
	f.DurationVar(&o.interval, "interval", 0, "time between automatic snapshots; 0 takes only the first")
	f.BoolVar(&o.asJSON, "json", false, "print the addresses as a JSON object")
	return cmd
}

// A served is one line of what serve prints.
type served struct{ key, value string }

// serve runs the services until ctx ends.
func (a *app) serve(ctx context.Context, o serveOptions) (err error) {
	s := &server{options: o}
	defer func() {
		if cerr := s.close(); cerr != nil {
			err = errors.Join(err, exit(exitFailed, cerr))
		}
	}()
	lines, err := s.start()
	if err != nil {
		return err
	}
	s.began = true
	text, err := servedText(lines, o.asJSON)
	if err != nil {
		return exit(exitUnfit, err)
	}
	if err := a.output(text); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// A server holds what serve opened.
type server struct {
	options  serveOptions
	own      *scratch.Dir // for what no flag names; nil until it is needed
	db       *session.Writer
	services *sandbox.Services
	began    bool // every address is served

	stop    context.CancelFunc // of names
	running sync.WaitGroup
	mu      sync.Mutex
	errs    []error
}

// start opens everything and returns where it is.
func (s *server) start() (lines []served, err error) {
	o := &s.options
	if o.interval != 0 && o.interval < time.Second {
		return nil, usage("--interval %v: want 0 or 1s and more", o.interval)
	}
	for _, d := range []struct {
		path *string
		name string
	}{{&o.workspace, "workspace"}, {&o.store, "auto_snapshots"}} {
		if *d.path == "" {
			if *d.path, err = s.temporary(d.name); err != nil {
				return nil, exit(exitUnfit, err)
			}
			if err := os.Mkdir(*d.path, 0o700); err != nil {
				return nil, exit(exitUnfit, err)
			}
		}
	}
	if o.workspace, err = filepath.Abs(o.workspace); err != nil {
		return nil, exit(exitUnfit, err)
	}
	if info, err := os.Stat(o.workspace); err != nil || !info.IsDir() {
		return nil, usage("--workspace %s: want a directory that is there", o.workspace)
	}
	cfg := sandbox.ServicesConfig{Workspace: o.workspace, Store: o.store, Upstream: o.upstream, Interval: o.interval, Allow: []string{}}
	for name := range strings.SplitSeq(o.allow, ",") {
		if name = strings.TrimSpace(name); name != "" {
			cfg.Allow = append(cfg.Allow, name)
		}
	}
	if cfg.UpstreamRoots, err = o.roots(); err != nil {
		return nil, err
	}
	if o.db != "" {
		s.db, err = session.Create(o.db)
		switch {
		case errors.Is(err, syscall.ENOSPC):
			return nil, exit(exitUnfit, err)
		case err != nil:
			return nil, exit(exitUsage, err)
		}
		cfg.Session = s.db
	}
	if s.services, err = sandbox.NewServices(cfg); err != nil {
		return nil, exit(exitUsage, err)
	}
	return s.listen()
}

// listen serves every address.
func (s *server) listen() (lines []served, err error) {
	o := s.options
	gateway, at, err := s.listener("gateway", o.gateway)
	if err != nil {
		return nil, err
	}
	s.services.ServeGateway(gateway)
	lines = append(lines, served{"gateway", at.String()})
	requests, at, err := s.listener("proxy", o.proxy)
	if err != nil {
		return nil, err
	}
	s.services.ServeProxy(requests)
	value := "http://" + at.Name
	if at.Network == contract.Unix {
		value = at.String()
	}
	lines = append(lines, served{"proxy", value})
	if o.dns != "" {
		at, err := s.names(o.dns)
		if err != nil {
			return nil, err
		}
		lines = append(lines, served{"dns", at})
	}
	ca := o.ca
	if ca == "" {
		if ca, err = s.temporary("ca.pem"); err != nil {
			return nil, exit(exitUnfit, err)
		}
	}
	if err := writeCertificate(ca, s.services.CAPEM()); err != nil {
		return nil, exit(exitUsage, fmt.Errorf("--ca: %w", err))
	}
	lines = append(lines, served{"ca", ca}, served{"workspace", o.workspace})
	if o.db != "" {
		lines = append(lines, served{"db", o.db})
	}
	return lines, nil
}

// writeCertificate replaces nothing but a certificate of an earlier serve: what
// else is in PEM may be the authorities of the whole system.
func writeCertificate(path string, text []byte) error {
	if info, err := os.Stat(path); err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return fmt.Errorf("%s is a pipe or a socket; want a file", path) // opening it would wait for a reader
	}
	if err := userfile.Replaceable(path, userfile.Kind{Name: "a certificate that serve wrote", Ours: proxy.IsCAPEM}); err != nil {
		return err
	}
	return atomicfile.Write(path, text)
}

// temporary names a file in a directory that goes with the command.
func (s *server) temporary(name string) (path string, err error) {
	if s.own == nil {
		if s.own, err = scratch.New(scratch.Temp(), "capsem-serve-"); err != nil {
			return "", err
		}
	}
	return filepath.Join(s.own.Path(), name), nil
}

// listener opens an address and returns it with the port that it got.
func (s *server) listener(flag, text string) (net.Listener, contract.Address, error) {
	at, err := contract.ParseAddress(text)
	if err != nil {
		at, err = contract.ParseAddress(contract.TCP + ":" + text)
	}
	if err != nil || at.Network == contract.Vsock || at.Network == contract.TCP && !hostPort(at.Name) {
		return nil, at, usage("--%s %q: want host:port or unix:/path", flag, text)
	}
	ln, err := listenAt(at)
	if err != nil {
		return nil, at, exit(exitUsage, fmt.Errorf("--%s: %w", flag, err))
	}
	if at.Network == contract.TCP {
		at.Name = ln.Addr().String()
	}
	return ln, at, nil
}

// hostPort reports whether there is such a port. Of an address of a network
// that is not known, net.Listen says no more than that its port is unknown.
func hostPort(at string) bool {
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		return false
	}
	_, err = net.LookupPort(contract.TCP, port)
	return err == nil
}

// names answers DNS at an address, UDP and TCP on one port.
func (s *server) names(text string) (string, error) {
	tcp, at, err := s.listener("dns", text)
	if err != nil {
		return "", err
	}
	udp, err := net.ListenPacket("udp", at.Name)
	if err != nil {
		_ = tcp.Close()
		return "", exit(exitUsage, fmt.Errorf("--dns: %w", err))
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.running.Go(func() {
		if err := names.Serve(ctx, udp, tcp, net.IPv4(127, 0, 0, 1)); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.errs = append(s.errs, err)
		}
	})
	return at.Name, nil
}

// close ends the services before the database that they write.
func (s *server) close() error {
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
	errs := s.errs
	if s.services != nil {
		errs = append(errs, s.services.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
		if !s.began { // it is new and empty, and would be in the way of the next try
			errs = append(errs, os.Remove(s.options.db))
		}
	}
	if s.own != nil {
		errs = append(errs, s.own.Close())
	}
	return errors.Join(errs...)
}

// roots reads the certificates of --upstream-ca.
func (o *serveOptions) roots() (*x509.CertPool, error) {
	if o.upstream != "" {
		host, port, err := net.SplitHostPort(o.upstream)
		if n, perr := net.LookupPort(contract.TCP, port); err != nil || perr != nil || n == 0 || host == "" {
			return nil, usage("--upstream %q: want host:port", o.upstream)
		}
	}
	if o.upstreamCAFile == "" {
		return nil, nil
	}
	f, err := os.Open(o.upstreamCAFile)
	if err != nil {
		return nil, exit(exitUsage, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 16<<20))
	if err != nil {
		return nil, exit(exitUsage, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, usage("--upstream-ca %s: no certificate in it", o.upstreamCAFile)
	}
	return pool, nil
}

// servedText is what serve prints.
func servedText(lines []served, asJSON bool) (string, error) {
	if asJSON {
		object := make(map[string]string)
		for _, l := range lines {
			object[l.key] = l.value
		}
		text, err := json.Marshal(object)
		return string(text) + "\n", err
	}
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%s=%s\n", l.key, l.value)
	}
	return b.String(), nil
}
