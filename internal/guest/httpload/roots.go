package httpload

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// systemBundles returns the files that hold all roots of common systems. Go
// reads the first that exists and then the directories with the same roots
// one by one, which takes three times as long, but neither when SSL_CERT_FILE
// and SSL_CERT_DIR are set.
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

// trustedRoots returns the system's roots, with those of SSL_CERT_FILE and
// SSL_CERT_DIR added: a sandbox hands its own authority over that way, and
// public sites must remain verifiable beside it. They are read and parsed now,
// as Go's default would be in the first handshake, inside a timer.
func trustedRoots() (*x509.CertPool, error) {
	r, err := systemRoots()
	if err != nil {
		return nil, err
	}
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		pem, err := readBundle(file)
		if err != nil {
			return nil, fmt.Errorf("reading SSL_CERT_FILE: %w", err)
		}
		if !r.add(pem) {
			return nil, fmt.Errorf("SSL_CERT_FILE: no certificate in %s", file)
		}
	}
	for _, dir := range filepath.SplitList(os.Getenv("SSL_CERT_DIR")) {
		r.addDirectory(dir)
	}
	return r.pool, nil
}

// roots is a pool that parses no certificate twice: on most systems all three
// places hold the same, and parsing takes most of the time.
type roots struct {
	pool *x509.CertPool
	seen map[string]bool
}

// systemRoots returns the roots of the first bundle, else those that Go finds.
func systemRoots() (*roots, error) {
	r := &roots{x509.NewCertPool(), make(map[string]bool)}
	for _, name := range systemBundles() {
		if pem, err := readBundle(name); err == nil && r.add(pem) {
			return r, nil
		}
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the system's certificates: %w", err)
	}
	r.pool = pool
	return r, nil
}

// add adds the certificates of a PEM file and reports whether it has any.
func (r *roots) add(pem []byte) (found bool) {
	const begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
	for rest := string(pem); ; {
		_, after, ok := strings.Cut(rest, begin)
		if !ok {
			return found
		}
		block, after, ok := strings.Cut(after, end)
		if !ok {
			return found
		}
		rest = after
		if !r.seen[block] {
			if !r.pool.AppendCertsFromPEM([]byte(begin + block + end + "\n")) {
				continue
			}
			r.seen[block] = true
		}
		found = true
	}
}

// addDirectory adds the certificates of a directory's files. As in Go a
// directory or a file that cannot be read has none, and a link to another
// file of the directory is left out: it is there for OpenSSL, by its hash.
func (r *roots) addDirectory(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if target, err := os.Readlink(path); err == nil && !strings.Contains(target, "/") {
			continue
		}
		if pem, err := readBundle(path); err == nil {
			r.add(pem)
		}
	}
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
