package httpload

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// clearProxies keeps the tester's environment out of a test.
func clearProxies(t testing.TB) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUEST_METHOD", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		t.Setenv(name, "")
		t.Setenv(strings.ToLower(name), "")
	}
}

// leakFree checks, after all other clean-up, that no goroutine is left. That
// of a HostClient which closes idle connections sleeps for ten seconds.
func leakFree(t *testing.T) {
	before := goleak.IgnoreCurrent()
	cleaner := goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner")
	t.Cleanup(func() { goleak.VerifyNone(t, before, cleaner) })
}

// testOrigin is a TLS server with a certificate of its own, and how many
// connections it has seen.
type testOrigin struct {
	*httptest.Server
	pem   []byte
	conns atomic.Int64
}

func newOrigin(t testing.TB, name string, handler http.HandlerFunc) *testOrigin {
	t.Helper()
	o := &testOrigin{Server: httptest.NewUnstartedServer(handler)}
	var cert tls.Certificate
	cert, o.pem = certificate(t, name)
	o.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	o.Config.ErrorLog = log.New(io.Discard, "", 0)
	o.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			o.conns.Add(1)
		}
	}
	o.StartTLS()
	t.Cleanup(o.Close)
	return o
}

// certificate makes a self-signed one for a name and for 127.0.0.1.
func certificate(t testing.TB, name string) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
	}
	if name == "localhost" {
		tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// trust makes SSL_CERT_FILE name a file with the given certificates.
func trust(t testing.TB, certs ...[]byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	var all []byte
	for _, c := range certs {
		all = append(all, c...)
	}
	require.NoError(t, os.WriteFile(name, all, 0o600))
	t.Setenv("SSL_CERT_FILE", name)
}

func load(t testing.TB, url string, timeout time.Duration, n, c int) *LoadResult {
	t.Helper()
	client, err := New(url, timeout)
	require.NoError(t, err)
	r, err := client.Load(t.Context(), n, c)
	require.NoError(t, err)
	return r
}

// raw is a server of plain TCP that does what it likes; act gets the number
// of the connection, from 0.
func raw(t testing.TB, act func(conn *net.TCPConn, r *bufio.Reader, i int)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				act(conn.(*net.TCPConn), bufio.NewReader(conn), i)
			}()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return "http://" + ln.Addr().String() + "/"
}

// request reads one request.
func request(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	return err == nil && req.Body.Close() == nil
}
