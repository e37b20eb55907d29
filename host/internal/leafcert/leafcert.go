// Package leafcert is a certificate authority in memory: it signs a certificate
// for any name. Its private keys are never written anywhere and are lost when
// the process ends.
//
// All leaves share one key, so that minting costs one signature; whoever
// holds one leaf's key here holds the authority's too. Certificates are cached
// in order of use, because the names come from outside and have no end.
package leafcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	leafValidity = 24 * time.Hour       // as Capsem's
	caValidity   = 365 * 24 * time.Hour // longer than any session
	slack        = time.Hour            // a guest's clock may be off
	maxCached    = 1024
)

// An Authority signs certificates. It is safe for concurrent use.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	leaf *ecdsa.PrivateKey // of all leaves

	flights singleflight.Group
	cache   *cache
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
	tmpl, err := template(caValidity)
	if err != nil {
		return nil, err
	}
	tmpl.Subject = pkix.Name{CommonName: name}
	tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.MaxPathLenZero = true, true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{cert: cert, key: key, leaf: leaf, cache: newCache(maxCached)}, nil
}

// CAPEM returns the authority's certificate in PEM.
func (a *Authority) CAPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Certificate returns a certificate for a host name or address. Concurrent
// requests for one name mint it once. An error means that host is neither.
func (a *Authority) Certificate(host string) (*tls.Certificate, error) {
	host, err := Host(host)
	if err != nil {
		return nil, err
	}
	if c := a.cached(host); c != nil {
		return c, nil
	}
	c, err, _ := a.flights.Do(host, func() (any, error) {
		if c := a.cached(host); c != nil { // a flight landed just before
			return c, nil
		}
		c, err := a.mint(host)
		if err == nil {
			a.cache.put(host, c)
		}
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("minting a certificate for %q: %w", host, err)
	}
	return c.(*tls.Certificate), nil
}

// cached returns a certificate that will be valid for a while yet.
func (a *Authority) cached(host string) *tls.Certificate {
	c := a.cache.get(host)
	if c == nil || time.Until(c.Leaf.NotAfter) < slack {
		return nil
	}
	return c
}

func (a *Authority) mint(host string) (*tls.Certificate, error) {
	tmpl, err := template(leafValidity)
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
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.leaf, Leaf: leaf}, nil
}

// template is valid from slack ago; the validity counts from there.
func template(validity time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	from := time.Now().Add(-slack)
	return &x509.Certificate{SerialNumber: serial, NotBefore: from, NotAfter: from.Add(validity)}, nil
}
