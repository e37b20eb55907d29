package reference

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"github.com/capsem/capsem-bench/host/upstream"
)

const nginxConfig = `user root;
worker_processes 1;
daemon off;
pid %[1]s.pid;
error_log %[1]s.log;
events { worker_connections 1024; }
http {
	access_log off;
	keepalive_requests 1000000000;
	client_body_temp_path %[1]s-body;
	proxy_temp_path %[1]s-proxy;
	fastcgi_temp_path %[1]s-fastcgi;
	uwsgi_temp_path %[1]s-uwsgi;
	scgi_temp_path %[1]s-scgi;
	%[3]s
	server {
		listen %[2]s ssl;
		ssl_certificate %[1]s-cert.pem;
		ssl_certificate_key %[1]s-key.pem;
		ssl_protocols TLSv1.2 TLSv1.3;
		%[4]s
	}
}
`

// A stock is an nginx with one server: its name, the host of its certificate,
// and what its configuration says beside that server and in it.
type stock struct{ name, host, beside, inside string }

// Nginx starts a stock server with the objects of another origin: it shows
// that a figure is the client's and not that of our own origin.
func (w *Workshop) Nginx(ctx context.Context, from *Origin) (*Origin, error) {
	object := filepath.Base(upstream.ObjectPath)
	if _, err := run(ctx, nil, "curl", "-sSf", "--cacert", from.CA, "-o", w.Path(object), from.URL+upstream.ObjectPath); err != nil {
		return nil, err
	}
	return w.stock(ctx, stock{name: "nginx", host: "127.0.0.1", inside: fmt.Sprintf(`
		location = /tiny { default_type application/json; return 200 '{"ok":true}'; }
		location / { root %s; add_header Repr-Digest "%s"; }`, w.Dir, upstream.ObjectDigest)})
}

// stock starts an nginx.
func (w *Workshop) stock(ctx context.Context, s stock) (*Origin, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	path := w.Path(s.name)
	o := &Origin{Name: "nginx", URL: "https://" + addr, CA: path + "-ca.pem"}
	authority, err := upstream.New(upstream.Config{})
	if err != nil {
		return nil, err
	}
	leaf, err := authority.Certificate(s.host)
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{
		o.CA:               authority.CAPEM(),
		path + "-cert.pem": certPEM(leaf),
		path + "-key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		path + ".conf":     fmt.Appendf(nil, nginxConfig, path, addr, s.beside, s.inside),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return nil, err
		}
	}
	d, err := startDaemon(ctx, addr, path+".log", "nginx", "-c", path+".conf", "-e", path+".log")
	if err != nil {
		return nil, err
	}
	o.stop = d.stop
	return o, nil
}

func certPEM(c *tls.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
}
