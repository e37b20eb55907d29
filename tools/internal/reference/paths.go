package reference

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// hiddenName is the host of the origin behind proxies: clients ask no proxy for
// an address on loopback.
const hiddenName = "origin.test"

// A Path is a way from the guest binary's load to one origin: straight, or
// through a program that ends its TLS.
type Path struct {
	Name     string
	protocol string
	env      []string
	stop     func() error
}

// Close ends the program on the path.
func (p *Path) Close() error { return p.stop() }

// Load makes requests over kept connections for some seconds. Each must succeed.
func (p *Path) Load(ctx context.Context, g Guest, connections, seconds int) (GuestRun, error) {
	return g.Run(ctx, append([]string{
		catalogue.EnvLoadConcurrency + "=" + strconv.Itoa(connections), catalogue.EnvLoadSeconds + "=" + strconv.Itoa(seconds),
	}, p.env...), "Load/^proto="+p.protocol+"$")
}

// Rate measures requests per second.
func (p *Path) Rate(g Guest, connections, seconds int) Measure {
	return func(ctx context.Context) (float64, error) {
		r, err := p.Load(ctx, g, connections, seconds)
		if err != nil {
			return 0, err
		}
		return r.Samples[0].Metrics["req/s"], nil
	}
}

// A Hidden is an origin that is asked by a name which only the programs on the
// paths to it can resolve: an nginx with a few bytes to give.
type Hidden struct {
	w      *Workshop
	origin *Origin
	addr   string
	port   string
}

// Hidden starts the origin.
func (w *Workshop) Hidden(ctx context.Context) (*Hidden, error) {
	o, err := w.stock(ctx, stock{name: "hidden", host: hiddenName, inside: `location / { default_type application/json; return 200 '{"ok":true}'; }`})
	if err != nil {
		return nil, err
	}
	addr := strings.TrimPrefix(o.URL, "https://")
	_, port, err := net.SplitHostPort(addr)
	return &Hidden{w, o, addr, port}, err
}

// Close ends the origin.
func (h *Hidden) Close() error { return h.origin.Close() }

func (h *Hidden) env(ca string, more ...string) []string {
	return append([]string{
		catalogue.EnvURL + "=https://" + net.JoinHostPort(hiddenName, h.port) + "/tiny", "SSL_CERT_FILE=" + ca, "SSL_CERT_DIR=",
		"NO_PROXY=", "no_proxy=", "https_proxy=",
	}, more...)
}

// through is a path through an HTTP proxy.
func (h *Hidden) through(name, proxy, ca string, stop func() error) *Path {
	return &Path{name, catalogue.LoadHTTPOrigin, h.env(ca, "HTTPS_PROXY=http://"+proxy), stop}
}

// Straight is the path without a proxy.
func (h *Hidden) Straight(context.Context) (*Path, error) {
	return &Path{"no proxy", catalogue.LoadHTTPDirect, h.env(h.origin.CA, catalogue.EnvDirect+"="+h.addr), func() error { return nil }}, nil
}

// Nginx is the path through an nginx that ends the client's TLS and asks the
// origin over its own kept connections. It mints nothing and records nothing.
func (h *Hidden) Nginx(ctx context.Context) (*Path, error) {
	o, err := h.w.stock(ctx, stock{
		name: "terminator", host: hiddenName,
		beside: fmt.Sprintf("upstream origin { server %s; keepalive 256; keepalive_requests 1000000000; }", h.addr),
		inside: fmt.Sprintf(`location / {
			proxy_pass https://origin;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_ssl_server_name on;
			proxy_ssl_name %s;
			proxy_ssl_verify on;
			proxy_ssl_trusted_certificate %s;
		}`, hiddenName, h.origin.CA),
	})
	if err != nil {
		return nil, err
	}
	return &Path{"nginx", catalogue.LoadHTTPDirect, h.env(o.CA, catalogue.EnvDirect+"="+strings.TrimPrefix(o.URL, "https://")), o.stop}, nil
}

// mitmproxyResolve has mitmproxy find the origin; it is called for each
// connection to it, and not for each request.
const mitmproxyResolve = `def server_connect(data):
    data.server.address = ("127.0.0.1", %s)
`

// Mitmproxy is the path through mitmdump, which is told to print nothing and to
// keep no requests.
func (h *Hidden) Mitmproxy(ctx context.Context) (*Path, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	dir, script := h.w.Path("mitmproxy"), h.w.Path("resolve.py")
	if err := os.WriteFile(script, fmt.Appendf(nil, mitmproxyResolve, h.port), 0o600); err != nil {
		return nil, err
	}
	d, err := startDaemon(ctx, addr, os.DevNull, "mitmdump", "-q", "--mode", "regular", "--listen-host", host, "--listen-port", port,
		"--set", "confdir="+dir, "--set", "ssl_verify_upstream_trusted_ca="+h.origin.CA, "-s", script)
	if err != nil {
		return nil, err
	}
	return h.through("mitmproxy", addr, filepath.Join(dir, "mitmproxy-ca-cert.pem"), d.stop), nil
}

const (
	squidConfig = `http_port %[2]s ssl-bump cert=%[1]s/ca.pem generate-host-certificates=on dynamic_cert_mem_cache_size=4MB
sslcrtd_program %[3]s -s %[1]s/certificates -M 4MB
tls_outgoing_options cafile=%[1]s/origin.pem
acl hello at_step SslBump1
ssl_bump peek hello
ssl_bump bump all
http_access allow all
cache deny all
access_log stdio:%[1]s/access.log
buffered_logs on
cache_log %[1]s/cache.log
pid_filename none
hosts_file %[1]s/hosts
visible_hostname capsem-bench
coredump_dir %[1]s
shutdown_lifetime 0 seconds
max_filedescriptors 4096
pinger_enable off
`
	squidMinter = "/usr/lib/squid/security_file_certgen" // of Debian's squid-openssl
	squidUser   = "proxy"                                // which squid becomes
)

// Squid is the path through squid with ssl-bump. It writes its access log, as
// every other interceptor in use does.
func (h *Hidden) Squid(ctx context.Context) (_ *Path, err error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "capsem-squid-") // where its user can get to
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := h.squidFiles(ctx, dir, addr); err != nil {
		return nil, err
	}
	d, err := startDaemon(ctx, addr, filepath.Join(dir, "cache.log"), "squid", "-N", "-f", filepath.Join(dir, "squid.conf"))
	if err != nil {
		return nil, err
	}
	return h.through("squid", addr, filepath.Join(dir, "ca.pem"), func() error { return errors.Join(d.stop(), os.RemoveAll(dir)) }), nil
}

// squidFiles writes what squid needs, for its user.
func (h *Hidden) squidFiles(ctx context.Context, dir, addr string) error {
	u, err := user.Lookup(squidUser)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	origin, err := os.ReadFile(h.origin.CA)
	if err != nil {
		return err
	}
	names := []string{dir}
	for name, text := range map[string][]byte{
		"ca.pem": ca, "origin.pem": origin, "hosts": []byte("127.0.0.1 " + hiddenName + "\n"),
		"squid.conf": fmt.Appendf(nil, squidConfig, dir, addr, squidMinter),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return err
		}
		names = append(names, path)
	}
	certificates := filepath.Join(dir, "certificates")
	if _, err := run(ctx, nil, squidMinter, "-c", "-s", certificates, "-M", "4MB"); err != nil {
		return err
	}
	inside, err := filepath.Glob(filepath.Join(certificates, "*"))
	if err != nil {
		return err
	}
	for _, path := range append(append(names, certificates), inside...) {
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// newAuthority makes the certificate of an authority and its key, in one PEM.
func newAuthority() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "capsem-bench reference"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}
