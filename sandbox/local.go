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
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/child"
	"github.com/capsem/capsem-bench/internal/contract"
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
	Wrap    Wrap // nil wraps nothing
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
	work, err := localDir(cfg.Env)
	if err != nil {
		return l, err
	}
	home, bin, run, err := l.directories()
	if err != nil {
		return l, err
	}
	l.services, err = NewServices(ServicesConfig{
		Workspace: home, Store: l.store, Session: cfg.Session, URLs: urls(cfg.Env), Wrap: cfg.Wrap,
	})
	if err != nil {
		return l, err
	}
	proxyURL, caFile, direct, err := l.network(run)
	if err != nil {
		return l, err
	}
	socket := filepath.Join(run, "gateway.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return l, err
	}
	l.services.ServeGateway(ln)
	for _, name := range []string{contract.Snapshots, contract.Relay} {
		if err := os.Symlink(cfg.GuestTools, filepath.Join(bin, name)); err != nil {
			return l, err
		}
	}
	l.env = append(cleanEnv(cfg.Env), Handed(cfg.Env, Decides()...)...)
	l.env = append(l.env,
		"HOME="+home, catalogue.EnvWorkspace+"="+home,
		"PATH="+bin+string(os.PathListSeparator)+Lookup(cfg.Env, "PATH"),
		"HTTPS_PROXY="+proxyURL, "HTTP_PROXY="+proxyURL, "SSL_CERT_FILE="+caFile,
		contract.EnvGateway+"="+contract.Unix+":"+socket, catalogue.EnvSandbox+"=local",
		catalogue.EnvDirect+"="+direct,
	)
	if work != "" {
		l.env = append(l.env, catalogue.EnvDir+"="+work)
	}
	return l, nil
}

// Run runs the guest binary once.
func (l *Local) Run(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	return Guest(l.cfg.Binary, args, l.env, stdout, stderr).Run(ctx)
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

// network makes the proxy reachable, and the origin past it, and writes down
// their authorities.
func (l *Local) network(run string) (proxyURL, caFile, direct string, err error) {
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", "", err
	}
	l.services.ServeProxy(proxy)
	past, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", "", err
	}
	authorities := l.services.CAPEM()
	if origin, ok := l.services.ServeOrigin(past); ok {
		authorities, direct = slices.Concat(authorities, origin), past.Addr().String()
	}
	caFile = filepath.Join(run, "ca.pem")
	return "http://" + proxy.Addr().String(), caFile, direct, os.WriteFile(caFile, authorities, 0o600)
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

// cleanEnv drops what would lead the guest past the sandbox, the user's own
// proxies, certificates and home; settings, which are handed on one by one; and
// what is no business of code that is measured.
func cleanEnv(env []string) []string {
	return slices.DeleteFunc(WithoutSecrets(env), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		switch strings.ToUpper(key) {
		case "HOME", "PATH", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR":
			return true
		}
		return strings.HasPrefix(key, "CAPSEM_")
	})
}

// Guest is the guest binary as a child of this process.
func Guest(binary string, args, env []string, stdout, stderr io.Writer) child.Command {
	return child.Command{Name: "the guest binary", Binary: binary, Args: args, Env: env, Stdout: stdout, Stderr: stderr}
}
