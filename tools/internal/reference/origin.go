package reference

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/host/upstream"
)

// An Origin answers over TLS on loopback. Its objects are those of package
// upstream: /tiny, / and /100MB.bin.
type Origin struct {
	Name string
	URL  string // without a path: "https://127.0.0.1:1234"
	CA   string // file with the certificate of its authority
	stop func() error
}

// Close ends the origin.
func (o *Origin) Close() error { return o.stop() }

// Env is the environment in which the guest binary trusts the origin beside the
// system's authorities, and asks it without a proxy.
func (o *Origin) Env(more ...string) []string {
	return append([]string{"SSL_CERT_FILE=" + o.CA, "SSL_CERT_DIR=", "HTTPS_PROXY=", "https_proxy="}, more...)
}

// Upstream starts this repository's own origin.
func (w *Workshop) Upstream(ctx context.Context) (*Origin, error) {
	u, err := upstream.New(upstream.Config{Names: []string{"127.0.0.1", "localhost"}})
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &Origin{Name: "upstream", URL: "https://" + ln.Addr().String(), CA: w.Path("upstream-ca.pem")}
	if err := os.WriteFile(o.CA, u.CAPEM(), 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- u.Serve(ctx, ln) }()
	o.stop = func() error {
		cancel()
		return <-ended
	}
	return o, nil
}

const nginxConfig = `user root;
worker_processes 1;
daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.log;
events { worker_connections 1024; }
http {
	access_log off;
	keepalive_requests 1000000000;
	client_body_temp_path %[1]s/nginx-body;
	proxy_temp_path %[1]s/nginx-proxy;
	fastcgi_temp_path %[1]s/nginx-fastcgi;
	uwsgi_temp_path %[1]s/nginx-uwsgi;
	scgi_temp_path %[1]s/nginx-scgi;
	server {
		listen %[2]s ssl;
		ssl_certificate %[1]s/nginx-cert.pem;
		ssl_certificate_key %[1]s/nginx-key.pem;
		ssl_protocols TLSv1.2 TLSv1.3;
		location = /tiny { default_type application/json; return 200 '{"ok":true}'; }
		location / { root %[1]s; add_header Repr-Digest "%[3]s"; }
	}
}
`

// Nginx starts a stock server with the objects of another origin: it shows
// that a figure is the client's and not that of our own origin.
func (w *Workshop) Nginx(ctx context.Context, from *Origin) (*Origin, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		return nil, err
	}
	o := &Origin{Name: "nginx", URL: "https://" + addr, CA: w.Path("nginx-ca.pem")}
	if err := w.nginxFiles(addr, o.CA); err != nil {
		return nil, err
	}
	object := filepath.Base(upstream.ObjectPath)
	if _, err := run(ctx, nil, "curl", "-sSf", "--cacert", from.CA, "-o", w.Path(object), from.URL+upstream.ObjectPath); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "nginx", "-c", w.Path("nginx.conf"), "-e", w.Path("nginx.log"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	o.stop = func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		return cmd.Wait()
	}
	return o, w.awaitNginx(ctx, o, addr)
}

// awaitNginx waits until it listens.
func (w *Workshop) awaitNginx(ctx context.Context, o *Origin, addr string) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			said, _ := os.ReadFile(w.Path("nginx.log"))
			return errors.Join(fmt.Errorf("nginx does not answer: %w: %s", err, said), o.stop())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// nginxFiles writes the configuration, a certificate and its authority's.
func (w *Workshop) nginxFiles(addr, caFile string) error {
	authority, err := upstream.New(upstream.Config{})
	if err != nil {
		return err
	}
	leaf, err := authority.Certificate("127.0.0.1")
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		caFile:                   authority.CAPEM(),
		w.Path("nginx-cert.pem"): certPEM(leaf),
		w.Path("nginx-key.pem"):  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		w.Path("nginx.conf"):     fmt.Appendf(nil, nginxConfig, w.Dir, addr, upstream.ObjectDigest),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func certPEM(c *tls.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
}

// LoadEnv is the environment of a load of n requests by c workers.
func LoadEnv(url string, n, c int) []string {
	return []string{
		"CAPSEM_BENCH_HTTP_URL=" + url, "CAPSEM_BENCH_HTTP_N=" + strconv.Itoa(n), "CAPSEM_BENCH_HTTP_C=" + strconv.Itoa(c),
	}
}
