package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const tunnelGoogle = "CONNECT www.google.com:443 HTTP/1.1\r\nHost: www.google.com:443\r\n\r\n"

// ask sends a request and returns the answer with its body read.
func ask(t testing.TB, c io.ReadWriter, r *bufio.Reader, request string) (*http.Response, string) {
	t.Helper()
	_, err := io.WriteString(c, request)
	require.NoError(t, err)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	require.NoError(t, err)
	if method == http.MethodConnect {
		return resp, ""
	}
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

// TestOneNameAConnection: what the connection is for and what a request says
// must agree.
func TestOneNameAConnection(t *testing.T) {
	tests := []struct {
		name, connect, sni, request string
		status                      int
		domain                      string
	}{
		{"all agree", "www.google.com:443", "www.google.com", "GET /tiny HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 200, "www.google.com"},
		{"with the port", "www.google.com:443", "www.google.com", "GET /tiny HTTP/1.1\r\nHost: WWW.google.com:443\r\n\r\n", 200, "www.google.com"},
		{"absolute form", "www.google.com:443", "www.google.com", "GET https://www.google.com/tiny HTTP/1.1\r\nHost: evil.test\r\n\r\n", 200, "www.google.com"},
		{"HTTP/1.0", "www.google.com:443", "www.google.com", "GET /tiny HTTP/1.0\r\n\r\n", 200, "www.google.com"},
		{"other Host", "www.google.com:443", "www.google.com", "GET /tiny HTTP/1.1\r\nHost: a.example.com\r\n\r\n", 421, "www.google.com"},
		{"other port", "www.google.com:443", "www.google.com", "GET /tiny HTTP/1.1\r\nHost: www.google.com:444\r\n\r\n", 421, "www.google.com"},
		{"other host in absolute form", "www.google.com:443", "www.google.com", "GET https://a.example.com/tiny HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 421, "www.google.com"},
		{"other SNI", "www.google.com:443", "a.example.com", "GET /tiny HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 421, "www.google.com"},
		{"denied tunnel, allowed SNI", "evil.test:443", "www.google.com", "GET /tiny HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 403, "evil.test"},
		{"other scheme", "www.google.com:443", "www.google.com", "GET http://www.google.com/tiny HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 400, "www.google.com"},
		{"other scheme, other port", "www.google.com:443", "www.google.com", "GET http://www.google.com:80/tiny HTTP/1.1\r\nHost: x\r\n\r\n", 421, "www.google.com"},
		{"garbage in Host", "www.google.com:443", "www.google.com", "GET /tiny HTTP/1.1\r\nHost: a_b:c\r\n\r\n", 400, "www.google.com"},
		{"a tunnel inside", "www.google.com:443", "www.google.com", "CONNECT www.google.com:443 HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 400, "www.google.com"},
		{"transparent", "", "www.google.com", "GET /tiny HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 200, "www.google.com"},
		{"transparent, other Host", "", "www.google.com", "GET /tiny HTTP/1.1\r\nHost: a.example.com\r\n\r\n", 421, "www.google.com"},
		{"transparent, denied", "", "evil.test", "GET /tiny HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 403, "evil.test"},
		{"WebSocket", "", "www.google.com", "GET /tiny HTTP/1.1\r\nHost: www.google.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n", 400, "www.google.com"},
		{"an upgrade one may ignore", "", "www.google.com", "GET /tiny HTTP/1.1\r\nHost: www.google.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", 200, "www.google.com"},
	}
	b := start(t, nil)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := b.dial(t, "")
			if tt.connect != "" {
				resp, _ := ask(t, raw, bufio.NewReader(raw), "CONNECT "+tt.connect+" HTTP/1.1\r\nHost: "+tt.connect+"\r\n\r\n")
				require.Equal(t, 200, resp.StatusCode)
			}
			c := tls.Client(raw, b.tlsConfig(tt.sni))
			resp, body := ask(t, c, bufio.NewReader(c), tt.request)
			assert.Equal(t, tt.status, resp.StatusCode, body)
			row := b.row(t, i)
			assert.Equal(t, tt.domain, row.Domain)
			assert.Equal(t, tt.status, row.Status)
			assert.Equal(t, tt.status == 200, row.Decision == DecisionAllowed, row.Decision)
			assert.Empty(t, row.Process)
		})
	}
}

// TestPlain are requests outside TLS.
func TestPlain(t *testing.T) {
	tests := []struct {
		name, request string
		status        int
	}{
		{"absolute form", "GET http://www.google.com/tiny HTTP/1.1\r\nHost: evil.test\r\n\r\n", 200},
		{"origin form", "GET /tiny HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 200},
		{"https wants a tunnel", "GET https://www.google.com/tiny HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 400},
		{"no host", "GET /tiny HTTP/1.0\r\n\r\n", 400},
		{"denied", "GET http://evil.test/ HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 403},
		{"CONNECT without a port", "CONNECT www.google.com HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 200},
		{"CONNECT to port 0", "CONNECT www.google.com:0 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"CONNECT to port 65536", "CONNECT www.google.com:65536 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"CONNECT with a body", "CONNECT www.google.com:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 400},
		{"CONNECT to a path", "CONNECT /x HTTP/1.1\r\nHost: www .google\r\n\r\n", 400},
	}
	b := start(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := b.dial(t, "\x00CAPSEM_META:curl\n")
			resp, body := ask(t, c, bufio.NewReader(c), tt.request)
			assert.Equal(t, tt.status, resp.StatusCode, body)
		})
	}
	for _, row := range b.all() {
		assert.Equal(t, "curl", row.Process)
		assert.Equal(t, ConnPlain, row.ConnType)
	}
}

// TestPlainKeepsItsConnection goes to several hosts, then into a tunnel.
func TestPlainKeepsItsConnection(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t, "")
	r := bufio.NewReader(c)
	for _, host := range []string{"www.google.com", "evil.test", "www.google.com"} {
		_, _ = ask(t, c, r, "GET http://"+host+"/tiny HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
	}
	resp, _ := ask(t, c, r, tunnelGoogle)
	require.Equal(t, 200, resp.StatusCode)
	inner := tls.Client(c, b.tlsConfig("www.google.com"))
	_, body := ask(t, inner, bufio.NewReader(inner), "GET /tiny HTTP/1.1\r\nHost: www.google.com\r\n\r\n")
	assert.JSONEq(t, `{"ok":true}`, body)
	assert.Equal(t, []int{200, 403, 200, 200}, []int{b.row(t, 0).Status, b.row(t, 1).Status, b.row(t, 2).Status, b.row(t, 3).Status})
}

// TestEagerGuest sends everything before it has the tunnel.
func TestEagerGuest(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t, "\x00CAPSEM_META:eager\r\nCONNECT www.google.com:80 HTTP/1.1\r\nHost: x\r\n\r\nGET /tiny HTTP/1.1\r\nHost: www.google.com\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	resp, err = http.ReadResponse(r, nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.JSONEq(t, `{"ok":true}`, string(body))
	assert.Equal(t, "eager", b.row(t, 0).Process)
}

// TestLeafOfADeniedName: the guest can read why.
func TestLeafOfADeniedName(t *testing.T) {
	b := start(t, nil)
	for range 3 {
		c := b.tls(t, "", "evil.test")
		assert.Equal(t, "http/1.1", negotiated(t, b, "evil.test"))
		state := c.ConnectionState()
		assert.Equal(t, []string{"evil.test"}, state.PeerCertificates[0].DNSNames)
	}
	assert.Zero(t, b.dials.Load())
}

func negotiated(t *testing.T, b *bench, name string) string {
	cfg := b.tlsConfig(name)
	cfg.NextProtos = []string{"h2", "http/1.1"}
	c := tls.Client(b.dial(t, ""), cfg)
	require.NoError(t, c.Handshake())
	return c.ConnectionState().NegotiatedProtocol
}

func TestTLSFailuresAreRecorded(t *testing.T) {
	b := start(t, nil)
	tests := []struct {
		name, want, domain string
		fail               func(t *testing.T)
	}{
		{"no SNI", "names no server", "", func(t *testing.T) {
			c := tls.Client(b.dial(t, "\x00CAPSEM_META:x\n"), &tls.Config{InsecureSkipVerify: true})
			require.Error(t, c.Handshake())
		}},
		{"garbage SNI", "is no host name", "", func(t *testing.T) {
			c := tls.Client(b.dial(t, "\x00CAPSEM_META:x\n"), &tls.Config{InsecureSkipVerify: true, ServerName: "a b"})
			require.Error(t, c.Handshake())
		}},
		{"no trust", "bad certificate", "www.google.com", func(t *testing.T) {
			c := tls.Client(b.dial(t, "\x00CAPSEM_META:x\n"), &tls.Config{ServerName: "www.google.com"})
			require.Error(t, c.Handshake())
		}},
		{"only h2", "protocol", "www.google.com", func(t *testing.T) {
			cfg := b.tlsConfig("www.google.com")
			cfg.NextProtos = []string{"h2"}
			require.Error(t, tls.Client(b.dial(t, "\x00CAPSEM_META:x\n"), cfg).Handshake())
		}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.fail(t)
			row := b.row(t, i)
			assert.Contains(t, row.MatchedRule, tt.want)
			assert.Equal(t, tt.domain, row.Domain)
			assert.Equal(t, DecisionError, row.Decision)
			assert.Equal(t, "x", row.Process)
			assert.Equal(t, 443, row.Port)
			assert.Empty(t, row.Method)
			assert.Zero(t, row.Status)
		})
	}
}
