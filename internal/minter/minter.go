// Package minter is a certificate authority that lives in memory: it signs a
// certificate for any name it is asked for and forgets everything when the
// process ends. Its private key is never written anywhere.
package minter

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// validity of leaves, as Capsem's; clocks of a guest may be an hour off.
const (
	validity = 24 * time.Hour
	slack    = time.Hour
)

// maxCached bounds the certificates kept; names come from the guest.
const maxCached = 1024

// An Authority signs certificates. It is safe for concurrent use.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	leaf *ecdsa.PrivateKey // of all leaves: minting is then one signature

	group singleflight.Group
	mu    sync.Mutex
	cache map[string]*tls.Certificate
}

// New makes an authority with fresh ECDSA P-256 keys.
func New(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl, err := template(name)
	if err != nil {
		return nil, err
	}
	tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{cert: cert, key: key, leaf: leaf, cache: make(map[string]*tls.Certificate)}, nil
}

// CAPEM returns the authority's certificate.
func (a *Authority) CAPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Pool returns a pool that holds the authority's certificate only.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Certificate returns a certificate for a host name or address, minting it at
// the first request.
func (a *Authority) Certificate(host string) (*tls.Certificate, error) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || len(host) > 253 {
		return nil, errors.New("no usable host name")
	}
	if c := a.cached(host); c != nil {
		return c, nil
	}
	c, err, _ := a.group.Do(host, func() (any, error) { return a.mint(host) })
	if err != nil {
		return nil, fmt.Errorf("minting a certificate for %q: %w", host, err)
	}
	return c.(*tls.Certificate), nil
}

func (a *Authority) cached(host string) *tls.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.cache[host]
	if c != nil && time.Now().After(c.Leaf.NotAfter.Add(-slack)) {
		return nil
	}
	return c
}

func (a *Authority) mint(host string) (*tls.Certificate, error) {
	if c := a.cached(host); c != nil { // another flight landed just before
		return c, nil
	}
	tmpl, err := template(host)
	if err != nil {
		return nil, err
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if ip := net.ParseIP(host); ip != nil {
		tmpl.IPAddresses = []net.IP{ip}
	} else {
		tmpl.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &a.leaf.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.leaf, Leaf: leaf}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cache) >= maxCached {
		clear(a.cache) // names beyond the bound are rare; starting over is enough
	}
	a.cache[host] = c
	return c, nil
}

func template(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: truncate(name)},
		NotBefore: now.Add(-slack), NotAfter: now.Add(validity + slack),
	}, nil
}

// truncate keeps a common name within its 64 bytes.
func truncate(name string) string { return name[:min(len(name), 64)] }
