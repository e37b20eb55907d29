package httpload

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The system's roots stay trusted beside those of SSL_CERT_FILE.
func TestSSLCertFileAddsRoots(t *testing.T) {
	clearProxies(t)
	_, pem := certificate(t, "localhost")
	trust(t, pem)
	roots, err := trustedRoots()
	require.NoError(t, err)
	without := roots.Clone()
	for _, name := range systemBundles() {
		if pem, err := readBundle(name); err == nil {
			without.AppendCertsFromPEM(pem)
			break
		}
	}
	assert.True(t, without.Equal(roots), "nothing of the system's bundle is missing")

	for name, path := range map[string]string{"absent": filepath.Join(t.TempDir(), "none"), "directory": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SSL_CERT_FILE", path)
			_, err := New("https://localhost/", 0)
			assert.ErrorContains(t, err, "SSL_CERT_FILE")
		})
	}
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("no certificate"), 0o600))
	t.Setenv("SSL_CERT_FILE", empty)
	_, err = New("https://localhost/", 0)
	assert.ErrorContains(t, err, "no certificate in")
}

// A directory's files add to the system's roots, and one that cannot be read
// adds nothing.
func TestSSLCertDirAddsRoots(t *testing.T) {
	leakFree(t)
	clearProxies(t)
	system, err := trustedRoots()
	require.NoError(t, err)
	dir := t.TempDir()
	o := newOrigin(t, "localhost", func(http.ResponseWriter, *http.Request) {})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ours.0"), o.pem, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README"), []byte("no certificate"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	t.Setenv("SSL_CERT_DIR", "/no/such/dir:"+dir)
	roots, err := trustedRoots()
	require.NoError(t, err)
	assert.False(t, system.Equal(roots))
	system.AppendCertsFromPEM(o.pem)
	assert.True(t, system.Equal(roots))
	r := load(t, o.URL, 0, 2, 1)
	assert.EqualValues(t, 2, r.OK, r.Errors)
}

// Without settings the roots are there too before a timer starts: Go's own
// default would be read in the first handshake.
func TestRootsAreReadAhead(t *testing.T) {
	clearProxies(t)
	client, err := New("https://localhost/", 0)
	require.NoError(t, err)
	assert.NotNil(t, client.roots)
}
