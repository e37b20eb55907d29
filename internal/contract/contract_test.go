package contract

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

func TestMetaLineReadsBack(t *testing.T) {
	line := MetaLine("python3")
	assert.Equal(t, "\x00CAPSEM_META:python3\n", line)
	for text, want := range map[string]string{"\x00CAPSEM_META:python3": "python3", "\x00CAPSEM_META:a b\r": "a b", "\x00CAPSEM_META:": ""} {
		got, ok := ParseMetaLine(text)
		assert.True(t, ok, "%q", text)
		assert.Equal(t, want, got)
	}
	for _, text := range []string{"", "\x00", "CAPSEM_META:x", "\x00CAPSEM_META"} {
		_, ok := ParseMetaLine(text)
		assert.False(t, ok, "%q", text)
	}
}

func TestPageReadsBack(t *testing.T) {
	for _, p := range []Page{{15312, 0, 5000}, {15312, 10312, 15312}, {9, 3, 3}} {
		got, part, ok := ParsePage(p.Header() + "[{\n\n")
		require.True(t, ok, p)
		assert.Equal(t, p, got)
		assert.Equal(t, "[{\n\n", part)
	}
	assert.Equal(t, "Content length: 15312\nShowing: 0..5000\nUse start_index=5000 to continue.\n\n", Page{15312, 0, 5000}.Header())
	assert.Equal(t, "Content length: 9\nShowing: 3..9\n\n", Page{9, 3, 9}.Header())
	for _, text := range []string{
		"", "[]", "Content length: 9\n\n", "Content length: 9\nShowing: 0..5", "Content length: -9\nShowing: 0..5\n\n",
		"Content length: 9\nShowing: 05\n\n", "Content length: x\nShowing: 0..5\n\n", "\nContent length: 9\nShowing: 0..5\n\n",
	} {
		_, _, ok := ParsePage(text)
		assert.False(t, ok, "%q", text)
	}
}

func TestAddressReadsBack(t *testing.T) {
	for _, s := range []string{"unix:/run/x.sock", "unix:a:b", "tcp:127.0.0.1:80", "tcp:[::1]:80", "vsock:2:5003", "vsock:4294967295:0"} {
		a, err := ParseAddress(s)
		require.NoError(t, err, s)
		assert.Equal(t, s, a.String())
	}
	for _, s := range []string{"", "unix:", "/run/x", "tcp:80", "tcp::80", "tcp:host:", "vsock:2", "vsock:-1:5", "vsock:2:4294967296", "http://x"} {
		_, err := ParseAddress(s)
		require.ErrorContains(t, err, "want unix:/path", s)
	}
}

// The benchmarks' own URLs are reached.
func TestAllowedHostsCoverTheDefaultURLs(t *testing.T) {
	for _, raw := range []string{catalogue.DefaultHTTPURL, catalogue.DefaultThroughputURL} {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		assert.Contains(t, AllowedHosts(), u.Hostname())
	}
}
