package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The end of one direction is not the end of both: a guest that has said all
// gets its answers, however late they are.
func TestHalfClosedConnectionIsAnswered(t *testing.T) {
	t.Parallel()
	b := start(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		time.Sleep(50 * time.Millisecond) // past the end of the guest's side
		_, _ = w.Write(append([]byte("got "), body...))
	})
	for name, tt := range map[string]struct {
		secure        bool
		request, want string
	}{
		"plain":                {false, "GET http://www.google.com/late/50 HTTP/1.1\r\nHost: www.google.com\r\n\r\n", `{"ok":true}`},
		"TLS":                  {true, "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n", "got "},
		"a body":               {true, "POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 4\r\n\r\nbody", "got body"},
		"a body in chunks":     {true, "POST / HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "got body"},
		"closed after":         {true, "GET / HTTP/1.0\r\nHost: a.example.com\r\n\r\n", "got "},
		"two, the second last": {true, "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\nPOST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 1\r\n\r\n2", "got 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := b.dial(t, "")
			var c io.ReadWriter = raw
			closeWrite := raw.(*net.TCPConn).CloseWrite
			if tt.secure {
				s := tls.Client(raw, b.tlsConfig("a.example.com"))
				c, closeWrite = s, s.CloseWrite
				require.NoError(t, s.Handshake())
			}
			_, err := io.WriteString(c, tt.request)
			require.NoError(t, err)
			require.NoError(t, closeWrite())
			text, err := io.ReadAll(c)
			require.NoError(t, err)
			assert.Contains(t, string(text), " 200 OK\r\n")
			for _, row := range b.all() {
				assert.Equal(t, DecisionAllowed, row.Decision, row.MatchedRule)
			}
			assert.True(t, strings.HasSuffix(strings.TrimSuffix(string(text), "\r\n0\r\n\r\n"), tt.want), "%q", text)
		})
	}
}

// A guest that has really gone ends its request.
func TestGuestThatHasGoneEndsItsRequest(t *testing.T) {
	t.Parallel()
	asked, over := make(chan struct{}), make(chan struct{})
	b := start(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(over)
	})
	c := b.tls(t, "", "a.example.com")
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
	require.NoError(t, err)
	<-asked
	require.NoError(t, c.NetConn().(*net.TCPConn).SetLinger(0)) // a reset, as of a process that is killed
	require.NoError(t, c.NetConn().Close())
	<-over
	assert.Equal(t, "the guest closed the connection", b.row(t, 0).MatchedRule)
}

// The audit is not behind the parser: every request is a row, also one that
// net/http refuses before a handler sees it.
func TestEveryRequestIsARow(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 70<<10)
	for name, tt := range map[string]struct {
		request      string
		status       int
		method, path string
		domain       string
		decision     string
	}{
		"a bad escape":           {"GET /%zz HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 400, "GET", "/%zz", "www.google.com", DecisionError},
		"a long target":          {"GET /" + long + " HTTP/1.1\r\nHost: www.google.com\r\n\r\n", 431, "GET", "/" + long[:100], "", DecisionError},
		"a long field":           {"GET / HTTP/1.1\r\nHost: www.google.com\r\nX: " + long + "\r\n\r\n", 431, "GET", "/", "www.google.com", DecisionError},
		"an odd expectation":     {"GET /tiny HTTP/1.1\r\nHost: www.google.com\r\nExpect: odd\r\n\r\n", 417, "GET", "/tiny", "www.google.com", DecisionError},
		"an odd coding":          {"POST /tiny HTTP/1.1\r\nHost: www.google.com\r\nTransfer-Encoding: odd\r\n\r\n", 501, "POST", "/tiny", "www.google.com", DecisionError},
		"an odd version":         {"GET /tiny HTTP/3.7\r\nHost: www.google.com\r\n\r\n", 505, "GET", "/tiny", "www.google.com", DecisionError},
		"no request at all":      {"\x01\x02garbage\r\n\r\n", 400, `\x01\x02garbage`, "", "", DecisionError},
		"two hosts":              {"GET /tiny HTTP/1.1\r\nHost: www.google.com\r\nHost: evil.test\r\n\r\n", 400, "GET", "/tiny", "www.google.com", DecisionError},
		"a tunnel to nowhere":    {"CONNECT www.google.com:0 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "CONNECT", "", "www.google.com:0", DecisionError},
		"a tunnel with a body":   {"CONNECT www.google.com:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 400, "CONNECT", "", "www.google.com", DecisionError},
		"a tunnel without use":   {"CONNECT www.google.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", 200, "CONNECT", "", "www.google.com", DecisionError},
		"half a request":         {"GET /tiny HTTP/1.1\r\nHost: www.goo", 400, "GET", "/tiny", "www.goo", DecisionError},
		"a metadata line of NUL": {"\x00what is this\nGET / HTTP/1.1\r\n\r\n", 0, "", "", "", DecisionError},
		"denied":                 {"GET http://evil.test/x HTTP/1.1\r\nHost: a\r\n\r\n", 403, "GET", "/x", "evil.test", DecisionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, nil)
			c := b.dial(t, tt.request)
			require.NoError(t, c.(*net.TCPConn).CloseWrite())
			_, _ = io.Copy(io.Discard, c)
			row := b.row(t, 0)
			assert.Equal(t, tt.status, row.Status)
			assert.Equal(t, tt.method, row.Method)
			assert.True(t, strings.HasPrefix(row.Path, tt.path), "%q", row.Path)
			assert.Equal(t, tt.domain, row.Domain)
			assert.Equal(t, tt.decision, row.Decision)
			assert.NotEmpty(t, row.MatchedRule)
			assert.NotZero(t, row.Time)
			b.stop()
			assert.NoError(t, <-b.served)
			b.served <- nil
			assert.Len(t, b.all(), 1, "one row")
		})
	}
}

// A request whose body cannot be read gets the answer that its row has, or none.
func TestBrokenBodyIsNoSuccess(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	for i, body := range []string{"zz\r\nx\r\n", "5\r\nabc", "-1\r\n", "5;\r\nabcdefgh\r\n"} {
		c := b.dial(t, "POST /tiny HTTP/1.1\r\nHost: www.google.com\r\nTransfer-Encoding: chunked\r\n\r\n"+body)
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
		said, _ := io.ReadAll(c)
		if row := b.row(t, i); row.Status == 0 {
			assert.Empty(t, string(said), "%q", body)
		}
	}
}

// A refused request behind a good one, and inside TLS, is a row as well.
func TestRefusedBehindAnotherIsARow(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	c := b.tls(t, "\x00CAPSEM_META:curl\n", "www.google.com")
	_, err := io.WriteString(c, "GET /tiny HTTP/1.1\r\nHost: www.google.com\r\n\r\nGET /%zz HTTP/1.1\r\nHost: www.google.com\r\n\r\n")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, c)
	require.NoError(t, err)
	assert.Equal(t, DecisionAllowed, b.row(t, 0).Decision)
	row := b.row(t, 1)
	assert.Equal(t, []any{"www.google.com", 443, "GET", "/%zz", 400, ConnTLS, "curl"},
		[]any{row.Domain, row.Port, row.Method, row.Path, row.Status, row.ConnType, row.Process})
}

// HTTP/1.0 is offered by that name, and spoken.
func TestOldHTTPOverTLS(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	for _, offer := range [][]string{{"http/1.0"}, {"http/1.1"}, {"h2", "http/1.0"}, nil} {
		cfg := b.tlsConfig("www.google.com")
		cfg.NextProtos = offer
		c := tls.Client(b.dial(t, ""), cfg)
		resp, body := ask(t, c, bufio.NewReader(c), "GET /tiny HTTP/1.0\r\nHost: www.google.com\r\n\r\n")
		assert.Equal(t, 200, resp.StatusCode)
		assert.JSONEq(t, `{"ok":true}`, body)
	}
}
