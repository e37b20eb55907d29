package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/delay"
	"github.com/capsem/capsem-bench/internal/scratch"
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
	// Delays slow services on purpose, to test comparisons with.
	Delays delay.Delays
}

// Local is the sandbox without a VM: the host services run in this process
// and the guest binary as a child that is pointed at them. It needs no root
// and reaches no network. Close it to stop the services and to remove the
// workspace and its snapshots.
type Local struct {
	cfg      LocalConfig
	scratch  []*scratch.Dir // to remove
	store    string         // of the snapshots
	env      []string
	services *Services
}

// NewLocal starts the services.
func NewLocal(cfg LocalConfig) (l *Local, err error) {
	l = &Local{cfg: cfg}
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
	l.services, err = NewServices(ServicesConfig{Workspace: home, Store: l.store, Session: cfg.Session, URLs: cfg.URLs})
	if err != nil {
		return l, err
	}
	proxyURL, caFile, err := l.network(run)
	if err != nil {
		return l, err
	}
	socket := filepath.Join(run, "gateway.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return l, err
	}
	l.services.ServeGateway(l.cfg.Delays.Listener(delay.Gateway, ln))
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
// rest, sockets among it.
func (l *Local) directories() (home, bin, run string, err error) {
	sweep(l.cfg.Dir)
	if run, err = l.directory(scratch.Temp(), tempPrefix); err != nil {
		return "", "", "", err
	}
	dir, err := l.directory(l.cfg.Dir, workPrefix)
	if err != nil {
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

func (l *Local) directory(parent, prefix string) (string, error) {
	d, err := scratch.New(parent, prefix)
	if err != nil {
		return "", err
	}
	l.scratch = append(l.scratch, d)
	return d.Path(), nil
}

// network makes the proxy reachable and writes down its authority.
func (l *Local) network(run string) (proxyURL, caFile string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	l.services.ServeProxy(l.cfg.Delays.Listener(delay.Proxy, ln))
	caFile = filepath.Join(run, "ca.pem")
	return "http://" + ln.Addr().String(), caFile, os.WriteFile(caFile, l.services.CAPEM(), 0o600)
}

// Close stops the services and removes the workspace and its snapshots.
func (l *Local) Close() error {
	var errs []error
	if l.services != nil {
		errs = append(errs, l.services.Close())
	}
	for _, d := range l.scratch {
		errs = append(errs, d.Close())
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
