package guest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// systemBundles returns the files that hold the roots of common systems.
// Go reads the first that exists, but none of them when SSL_CERT_FILE is set.
func systemBundles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine
		"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS
		"/etc/ssl/cert.pem",                                 // Alpine, macOS
	}
}

// maxBundle bounds a certificate file; the largest in use are under 1 MiB.
const maxBundle = 16 << 20

// trustedRoots returns the system's roots, with those of SSL_CERT_FILE added:
// a sandbox hands its own authority over that way, and public sites must
// remain verifiable beside it. nil means Go's default.
func trustedRoots() (*x509.CertPool, error) {
	extra := os.Getenv("SSL_CERT_FILE")
	if extra == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pem, err := readBundle(extra)
	if err != nil {
		return nil, fmt.Errorf("reading SSL_CERT_FILE: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("SSL_CERT_FILE: no certificate in %s", extra)
	}
	for _, name := range systemBundles() {
		if pem, err := readBundle(name); err == nil {
			pool.AppendCertsFromPEM(pem)
			break
		}
	}
	return pool, nil
}

func readBundle(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxBundle {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", name, maxBundle)
	}
	return os.ReadFile(name)
}

// tlsConfig is for one host. Sessions are not resumed: every connection of
// every round then pays the same full handshake, and rounds are alike.
func tlsConfig(host string, roots *x509.CertPool) *tls.Config {
	return &tls.Config{ServerName: host, RootCAs: roots, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
}
