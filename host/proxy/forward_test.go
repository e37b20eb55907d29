package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rawOrigin answers every connection to a name below example.com with bytes of
// its own, once it has read the head of a request.
func rawOrigin(t *testing.T, serve func(c net.Conn, head string)) *bench {
	t.Helper()
	ln := listen(t)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var head strings.Builder
				for r := bufio.NewReader(c); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
					b, err := r.ReadByte()
					if err != nil {
						return
					}
					head.WriteByte(b)
				}
				serve(c, head.String())
				_ = c.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	t.Cleanup(func() { _ = ln.Close() })
	return start(t, nil, func(p *Proxy) {
		p.cfg.Upstream = dialer(ln.Addr().String())
	})
}

func say(text string) func(net.Conn, string) {
	return func(c net.Conn, _ string) { _, _ = io.WriteString(c, text) }
}

// What a guest asks reaches the origin as it was asked, without the fields that
// are about one connection.
func TestRequestIsPassedOnAsItIs(t *testing.T) {
	t.Parallel()
	heads := make(chan string, 1)
	b := rawOrigin(t, func(c net.Conn, head string) {
		heads <- head
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	for name, tt := range map[string]struct{ in, want string }{
		"target":         {"GET http://a.example.com/a%2Fb/../c;d?x=%zz;y&z HTTP/1.1\r\nHost: b\r\n\r\n", "GET /a%2Fb/../c;d?x=%zz;y&z HTTP/1.1\r\nHost: a.example.com\r\n\r\n"},
		"origin form":    {"GET /a%2Fb/./c?x=%zz;y HTTP/1.1\r\nHost: a.example.com\r\n\r\n", "GET /a%2Fb/./c?x=%zz;y HTTP/1.1\r\nHost: a.example.com\r\n\r\n"},
		"no query":       {"GET /? HTTP/1.1\r\nHost: a.example.com\r\n\r\n", "GET /? HTTP/1.1\r\nHost: a.example.com\r\n\r\n"},
		"options":        {"OPTIONS * HTTP/1.1\r\nHost: a.example.com\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a.example.com\r\n\r\n"},
		"another method": {"PURGE / HTTP/1.1\r\nHost: a.example.com:80\r\n\r\n", "PURGE / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"},
		"fields": {
			"GET / HTTP/1.1\r\nHost: a.example.com\r\nAccept: a\r\nAccept: b\r\nForwarded: for=x\r\nUser-Agent: me\r\nX-Forwarded-For: x\r\nX-Forwarded-Host: y\r\nX-Forwarded-Proto: z\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a.example.com\r\nUser-Agent: me\r\nAccept: a\r\nAccept: b\r\nForwarded: for=x\r\nX-Forwarded-For: x\r\nX-Forwarded-Host: y\r\nX-Forwarded-Proto: z\r\n\r\n",
		},
		"hop by hop": {
			"GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: X-Mine, keep-alive\r\nKeep-Alive: 1\r\nProxy-Authorization: a\r\nProxy-Connection: b\r\nTe: gzip, trailers\r\nUpgrade: h2c\r\nX-Mine: 1\r\nX-Yours: 2\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a.example.com\r\nTe: trailers\r\nX-Yours: 2\r\n\r\n",
		},
		"an upgrade":  {"GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"},
		"empty body":  {"POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 0\r\n\r\n", "POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 0\r\n\r\n"},
		"HTTP/1.0":    {"GET / HTTP/1.0\r\nHost: a.example.com\r\n\r\n", "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"},
		"with a body": {"PUT / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 2\r\n\r\nhi", "PUT / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 2\r\n\r\n"},
		"in chunks":   {"PUT / HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "PUT / HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c := b.dial(t, "")
			resp, body := ask(t, c, bufio.NewReader(c), tt.in)
			assert.Equal(t, 204, resp.StatusCode, body)
			assert.Equal(t, tt.want, <-heads)
		})
	}
}

// What an origin answers reaches the guest as it was answered, without the
// fields that are about one connection, and without any of net/http's own.
func TestAnswerIsPassedOnAsItIs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ request, in, want string }{
		"no fields":     {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
		"fields":        {"GET", "HTTP/1.1 404 Gone Fishing\r\nContent-Length: 1\r\nB: 2\r\nA: 1\r\nB: 1\r\n\r\nx", "HTTP/1.1 404 Not Found\r\nA: 1\r\nB: 2\r\nB: 1\r\nContent-Length: 1\r\n\r\nx"},
		"hop by hop":    {"GET", "HTTP/1.1 200 OK\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 2\r\nProxy-Authenticate: 3\r\nUpgrade: h2\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		"coded":         {"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"},
		"no content":    {"GET", "HTTP/1.1 204 No Content\r\nETag: 1\r\n\r\n", "HTTP/1.1 204 No Content\r\nEtag: 1\r\n\r\n"},
		"not modified":  {"GET", "HTTP/1.1 304 Not Modified\r\nETag: 1\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nEtag: 1\r\n\r\n"},
		"head":          {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"},
		"until the end": {"GET", "HTTP/1.1 200 OK\r\nA: 1\r\n\r\nhi", "HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"},
		"in chunks":     {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"},
		"trailers": {
			"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n2\r\nhi\r\n0\r\nSum: 7\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTrailer: Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nSum: 7\r\n\r\n",
		},
		"trailers that nobody announced": {
			"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nSum: 7\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nSum: 7\r\n\r\n",
		},
		"interim": {
			"GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: Y\r\nY: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
			"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		},
		"a continue that nobody waits for": {
			"GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := rawOrigin(t, say(tt.in))
			c := b.dial(t, tt.request+" / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
			require.NoError(t, c.(*net.TCPConn).CloseWrite())
			text, err := io.ReadAll(c)
			require.NoError(t, err)
			// Without a length the end may come with the body, or behind it.
			sized := strings.Replace(tt.want, "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "Content-Length: 2\r\n\r\nhi", 1)
			assert.Contains(t, []string{tt.want, sized}, string(text))
			row := b.row(t, 0)
			assert.Equal(t, DecisionAllowed, row.Decision, row.MatchedRule)
		})
	}
}

// What an origin breaks off, or says against the protocol, is an error for the
// guest too, never a shorter answer.
func TestHostileOrigins(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in     string
		status int // 0: the answer breaks off
		want   string
	}{
		"nothing":                 {"", 502, "EOF"},
		"no HTTP":                 {"SSH-2.0-x\r\n\r\n", 502, "malformed HTTP"},
		"a switch":                {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nx", 502, "switch"},
		"a short body":            {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", 0, "upstream: the body broke off after 2 bytes: unexpected EOF"},
		"a cut chunk":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi", 0, "upstream: the body broke off after 2 bytes: unexpected EOF"},
		"no last chunk":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", 0, "upstream: the body broke off after 2 bytes: unexpected EOF"},
		"no chunk":                {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 0, "upstream: the body broke off after 0 bytes: invalid byte in chunk length"},
		"two lengths":             {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi", 502, "Content-Length"},
		"an endless head":         {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 11<<20), 502, "header"},
		"nothing but interim":     {strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("a", 10<<10)+"\r\n\r\n", 9), 502, "EOF"},
		"a controlled error text": {"HTTP/1.1 \x1b[31m\r\n\r\n", 502, `\x1b[31m`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := rawOrigin(t, say(tt.in))
			c := b.dial(t, "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
			var err error
			r := bufio.NewReader(c)
			resp := &http.Response{StatusCode: http.StatusEarlyHints}
			for err == nil && resp.StatusCode == http.StatusEarlyHints {
				resp, err = http.ReadResponse(r, nil)
			}
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			row := b.row(t, 0)
			assert.Equal(t, DecisionError, row.Decision)
			assert.Contains(t, row.MatchedRule, tt.want)
			assert.NotContains(t, row.MatchedRule, "\x1b")
			if tt.status == 0 {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.status, resp.StatusCode)
			assert.Equal(t, tt.status, row.Status)
		})
	}
}

// Nothing waits for more: a guest has the first half of a body while the
// origin has not sent the second.
func TestBodiesAreStreamed(t *testing.T) {
	t.Parallel()
	for _, length := range []string{"", "6"} {
		more := make(chan struct{})
		b := start(t, func(w http.ResponseWriter, _ *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			for _, part := range []string{"one", "two"} {
				_, _ = io.WriteString(w, part)
				_ = http.NewResponseController(w).Flush()
				<-more
			}
		})
		resp, err := b.client(t).Get("https://a.example.com/")
		require.NoError(t, err)
		for _, want := range []string{"one", "two"} {
			part := make([]byte, 3)
			_, err := io.ReadFull(resp.Body, part)
			require.NoError(t, err)
			assert.Equal(t, want, string(part))
			more <- struct{}{}
		}
		_, err = resp.Body.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		resp.Body.Close()
	}
}

// Both directions of one exchange flow at once.
func TestBodiesFlowBothWaysAtOnce(t *testing.T) {
	t.Parallel()
	b := start(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_ = http.NewResponseController(w).Flush()
		line := bufio.NewReader(r.Body)
		for {
			text, err := line.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, "re: "+text)
			_ = http.NewResponseController(w).Flush()
		}
	})
	in, out := io.Pipe()
	c := b.tls(t, "", "a.example.com")
	r := bufio.NewReader(c)
	go func() {
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\n\r\n")
		for line := bufio.NewReader(in); ; {
			text, err := line.ReadString('\n')
			if err != nil {
				_, _ = io.WriteString(c, "0\r\n\r\n")
				return
			}
			_, _ = fmt.Fprintf(c, "%x\r\n%s\r\n", len(text), text)
		}
	}()
	_, err := io.WriteString(out, "first\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	body := bufio.NewReader(resp.Body)
	for _, next := range []string{"second", "third", ""} {
		text, err := body.ReadString('\n')
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(text, "re: "), text)
		if next == "" {
			require.NoError(t, out.Close())
		} else {
			_, err = io.WriteString(out, next+"\n")
			require.NoError(t, err)
		}
	}
	_, err = body.ReadString('\n')
	require.ErrorIs(t, err, io.EOF)
	row := b.row(t, 0)
	assert.Equal(t, []int64{19, 31}, []int64{row.Sent, row.Received})
	assert.Equal(t, "first\nsecond\nthird\n", row.RequestPreview)
}

// Trailers of a request are known only when its body has ended.
func TestTrailersOfARequest(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	b := start(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got <- r.Trailer.Get("Sum")
	})
	c := b.tls(t, "", "a.example.com")
	resp, _ := ask(t, c, bufio.NewReader(c), "POST / HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n2\r\nhi\r\n0\r\nSum: 7\r\n\r\n")
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "7", <-got)
}

// A guest that asks first sends its body when the origin wants it, and not at
// all when the origin has answered already.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	b := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	for path, want := range map[string]int{"/yes": 200, "/no": 417} {
		var interim int
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { interim = code; return nil },
		}), http.MethodPost, "https://a.example.com"+path, strings.NewReader("body"))
		require.NoError(t, err)
		req.Header.Set("Expect", "100-continue")
		resp, err := b.client(t).Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, want, resp.StatusCode)
		assert.Equal(t, want == 200, interim == 100, interim)
	}
}

// An answer may come, and end, before the request has. The guest has it, and
// the connection ends, for what follows is not a request.
func TestAnswerBeforeTheEndOfTheRequest(t *testing.T) {
	t.Parallel()
	b := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, "no\n")
	})
	c := b.tls(t, "", "a.example.com")
	resp, body := ask(t, c, bufio.NewReader(c), "POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 1000000\r\n\r\nsome")
	assert.Equal(t, 413, resp.StatusCode)
	assert.Equal(t, "no\n", body)
	assert.True(t, resp.Close)
	row := b.row(t, 0)
	assert.Equal(t, []any{413, DecisionAllowed}, []any{row.Status, row.Decision}, row.MatchedRule)
	assert.LessOrEqual(t, row.Sent, int64(4))
	_, err := c.Read(make([]byte, 1))
	require.Error(t, err, "the connection has ended")
}

// Who went away is in the record.
func TestWhoBrokeOff(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	b := start(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 64<<10))
		}
		close(gone)
	})
	c := b.tls(t, "", "a.example.com")
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 1<<20))
	require.NoError(t, err)
	require.NoError(t, c.NetConn().(*net.TCPConn).SetLinger(0))
	require.NoError(t, c.NetConn().Close())
	<-gone
	row := b.row(t, 0)
	assert.Equal(t, DecisionError, row.Decision)
	assert.Regexp(t, "^(the guest closed the connection|writing to the guest: the body broke off)", row.MatchedRule)

	c = b.tls(t, "", "www.google.com")
	_, err = io.WriteString(c, "POST /tiny HTTP/1.1\r\nHost: www.google.com\r\nContent-Length: 10\r\n\r\nhi")
	require.NoError(t, err)
	require.NoError(t, c.CloseWrite())
	_, _ = io.Copy(io.Discard, c)
	row = b.row(t, 1)
	assert.Contains(t, []any{DecisionError, DecisionAllowed}, row.Decision, row.MatchedRule)
	assert.Less(t, row.Duration, 20*time.Second)
}
