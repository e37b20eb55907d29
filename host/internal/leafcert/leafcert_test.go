package leafcert

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newAuthority(t testing.TB) *Authority {
	t.Helper()
	a, err := New("test authority")
	require.NoError(t, err)
	return a
}

func TestCertificateIsTrusted(t *testing.T) {
	a := newAuthority(t)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(a.CAPEM()))
	for _, host := range []string{"www.google.com", "WWW.Google.com.", "_x.example.com", "127.0.0.1", "[::1]", "::1"} {
		c, err := a.Certificate(host)
		require.NoError(t, err, host)
		name, err := Host(host)
		require.NoError(t, err)
		_, err = c.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots})
		require.NoError(t, err, host)
		assert.Equal(t, 24*time.Hour, c.Leaf.NotAfter.Sub(c.Leaf.NotBefore))
		assert.False(t, c.Leaf.IsCA)
	}
}

func TestCAPEMHoldsTheCertificateAlone(t *testing.T) {
	block, rest := pem.Decode(newAuthority(t).CAPEM())
	require.NotNil(t, block)
	assert.Equal(t, "CERTIFICATE", block.Type)
	assert.Empty(t, rest)
}

func TestConcurrentRequestsMintOnce(t *testing.T) {
	a := newAuthority(t)
	got := make([]*tls.Certificate, 64)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			c, err := a.Certificate("one.example")
			assert.NoError(t, err)
			got[i] = c
		})
	}
	wg.Wait()
	for _, c := range got {
		assert.Same(t, got[0], c)
	}
}

func TestCacheKeepsWhatWasUsedLast(t *testing.T) {
	c := newCache(3)
	certs := make([]*tls.Certificate, 4)
	for i := range certs {
		certs[i] = new(tls.Certificate)
		c.put(fmt.Sprint(i), certs[i])
		assert.Same(t, certs[0], c.get("0"))
	}
	assert.Nil(t, c.get("1"), "the one not used for longest has gone")
	assert.Same(t, certs[3], c.get("3"))
	assert.Len(t, c.byKey, 3)
}

func TestCertificateIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		first, err := a.Certificate("one.example")
		require.NoError(t, err)
		time.Sleep(21 * time.Hour)
		same, err := a.Certificate("one.example")
		require.NoError(t, err)
		assert.Same(t, first, same)
		time.Sleep(90 * time.Minute)
		next, err := a.Certificate("one.example")
		require.NoError(t, err)
		assert.True(t, next.Leaf.NotAfter.After(first.Leaf.NotAfter))
	})
}

func TestHost(t *testing.T) {
	tests := []struct{ in, want string }{
		{"Example.COM", "example.com"},
		{"example.com.", "example.com"},
		{"localhost", "localhost"},
		{"a_b.example", "a_b.example"},
		{"127.0.0.1", "127.0.0.1"},
		{"[2001:DB8::1]", "2001:db8::1"},
		{"::ffff:10.0.0.1", "10.0.0.1"},
		{"", ""},
		{".", ""},
		{"a..b", ""},
		{"a.b..", ""},
		{"a b", ""},
		{"a/b", ""},
		{"a\x00b", ""},
		{"é.example", ""},
		{"*.example", ""},
		{"fe80::1%eth0", ""},
		{"1.2.3", ""},
		{"256.1.1.1", ""},
		{"a:b", ""},
		{"user@host", ""},
		{"[a.example]", ""},
		{"[::1", ""},
	}
	for _, tt := range tests {
		got, err := Host(tt.in)
		assert.Equal(t, tt.want, got, "%q", tt.in)
		assert.Equal(t, tt.want == "", err != nil, "%q", tt.in)
	}
}

func FuzzHost(f *testing.F) {
	f.Add("www.Example.com.")
	f.Add("[::ffff:1.2.3.4]")
	f.Fuzz(func(t *testing.T, s string) {
		host, err := Host(s)
		if err != nil {
			return
		}
		again, err := Host(host)
		require.NoError(t, err)
		require.Equal(t, host, again)
	})
}

func BenchmarkMint(b *testing.B) {
	a := newAuthority(b)
	for b.Loop() {
		if _, err := a.mint("www.example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
