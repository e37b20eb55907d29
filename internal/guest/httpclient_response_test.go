package guest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResponse(t *testing.T) {
	for _, tt := range []struct {
		name, method, in string
		status           int
		body             string
		close            bool
		rest             string // what is left for the next response
	}{
		{"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false, ""},
		{"case and space", "GET", "HTTP/1.1 200\r\ncOnTeNt-LeNgTh:\t 5 \r\n\r\nhello", 200, "hello", false, ""},
		{"bare LF", "GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", 200, "hi", false, ""},
		{"same length twice", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", false, ""},
		{"pipelined", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP", 200, "hi", false, "HTTP"},
		{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\nT: 1\r\n\r\nrest", 200, "hello world", false, "rest"},
		{"no chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 200, "", false, ""},
		{"chunks and length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", 200, "0123456789", true, ""},
		{"to the end", "GET", "HTTP/1.1 200 OK\r\n\r\nall of it", 200, "all of it", true, ""},
		{"1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true, ""},
		{"1.0 kept", "GET", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", false, ""},
		{"close", "GET", "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true, ""},
		{"interim", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", false, ""},
		{"no content", "GET", "HTTP/1.1 204 No Content\r\n\r\nrest", 204, "", false, "rest"},
		{"not modified", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", false, ""},
		{"head", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "", false, ""},
		{"connect", "CONNECT", "HTTP/1.1 200 Connection established\r\n\r\ntunnel", 200, "", false, "tunnel"},
		{"error with body", "GET", "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", 500, "no", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, wrap := range map[string]func(io.Reader) io.Reader{
				"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with the error": iotest.DataErrReader,
			} {
				p := newResponseReader(wrap(strings.NewReader(tt.in)))
				require.NoError(t, p.readHead(tt.method), name)
				assert.Equal(t, tt.status, p.head.status)
				assert.Equal(t, tt.close, p.head.close)
				body, err := io.ReadAll(p)
				require.NoError(t, err, name)
				assert.Equal(t, tt.body, string(body), name)
				rest, err := io.ReadAll(io.MultiReader(bytes.NewReader(p.buf[p.r:p.w]), p.src))
				require.NoError(t, err)
				assert.Equal(t, tt.rest, string(rest), name)

				p = newResponseReader(wrap(strings.NewReader(tt.in)))
				require.NoError(t, p.readHead(tt.method))
				n, err := p.discard()
				require.NoError(t, err, name)
				assert.EqualValues(t, len(tt.body), n, name)
			}
		})
	}
}

func TestMalformedHead(t *testing.T) {
	long := strings.Repeat("x", maxHeader)
	for name, in := range map[string]string{
		"words":              "hello\r\n\r\n",
		"other version":      "HTTP/2.0 200 OK\r\n\r\n",
		"no status":          "HTTP/1.1 OK\r\n\r\n",
		"status below 100":   "HTTP/1.1 099 X\r\n\r\n",
		"long status":        "HTTP/1.1 2000 X\r\n\r\n",
		"switch":             "HTTP/1.1 101 Switching\r\n\r\n",
		"interim for ever":   strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100),
		"cut":                "HTTP/1.1 200 OK\r\nContent-Le",
		"no name":            "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
		"space before colon": "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
		"continued line":     "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"control character":  "HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n",
		"bare CR":            "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 1\r\n\r\n",
		"negative length":    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"signed length":      "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
		"empty length":       "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
		"huge length":        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
		"two lengths":        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"gzip coding":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"chunked twice":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		"1.0 chunks":         "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			err := newResponseReader(strings.NewReader(in)).readHead("GET")
			var bad malformed
			require.ErrorAs(t, err, &bad)
			assert.Equal(t, "malformed response", requestReason(err))
		})
	}
	for name, in := range map[string]string{
		"one line":   "HTTP/1.1 200 OK\r\nA: " + long + "\r\n\r\n",
		"many lines": "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxHeader/6) + "\r\n",
		"no line":    "HTTP/1.1 200 " + long,
	} {
		t.Run("too large/"+name, func(t *testing.T) {
			p := newResponseReader(strings.NewReader(in))
			require.ErrorIs(t, p.readHead("GET"), errHeaderTooLarge)
			assert.LessOrEqual(t, len(p.buf), maxHeader)
		})
	}
	assert.ErrorIs(t, newResponseReader(strings.NewReader("")).readHead("GET"), io.EOF, "the end before an answer is no malformed one")
}

func TestBrokenBody(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct{ name, in, reason string }{
		{"half", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "short body"},
		{"half a chunk", chunked + "5\r\nhel", "short body"},
		{"no last chunk", chunked + "5\r\nhello\r\n", "short body"},
		{"no end of trailers", chunked + "0\r\nA: b\r\n", "short body"},
		{"chunk too long", chunked + "5\r\nhello!\r\n0\r\n\r\n", "malformed response"},
		{"no size", chunked + "\r\nhello", "malformed response"},
		{"size in words", chunked + "five\r\nhello", "malformed response"},
		{"size too large", chunked + "FFFFFFFFFFFFFFFFF\r\n", "malformed response"},
		{"endless size", chunked + strings.Repeat("0", 1<<16), "header too large"},
		{"endless trailers", chunked + "0\r\n" + strings.Repeat("A: b\r\n", maxHeader), "header too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newResponseReader(strings.NewReader(tt.in))
			require.NoError(t, p.readHead("GET"))
			_, err := p.discard()
			require.Error(t, err)
			assert.Equal(t, tt.reason, requestReason(err))

			p = newResponseReader(strings.NewReader(tt.in))
			require.NoError(t, p.readHead("GET"))
			_, err = io.Copy(io.Discard, p)
			require.Error(t, err)
			assert.Equal(t, tt.reason, requestReason(err))
		})
	}
}

func TestFieldsAreSeen(t *testing.T) {
	p := newResponseReader(strings.NewReader("HTTP/1.1 100 C\r\nInterim: 1\r\n\r\nHTTP/1.1 200 OK\r\nLocation: /x \r\nContent-Length: 0\r\n\r\n"))
	var seen []string
	p.field = func(name, value []byte) { seen = append(seen, string(name)+"="+string(value)) }
	require.NoError(t, p.readHead("GET"))
	assert.Equal(t, []string{"Location=/x", "Content-Length=0"}, seen)
}

// FuzzResponse holds the two ways of reading a body to each other, and both
// to what was sent.
func FuzzResponse(f *testing.F) {
	for _, in := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 100 C\r\n\r\nHTTP/1.0 404 X\r\nConnection: keep-alive\r\n\r\nbody",
		"HTTP/1.1 204 No\n\n",
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p, q := newResponseReader(bytes.NewReader(in)), newResponseReader(iotest.OneByteReader(bytes.NewReader(in)))
		err, qerr := p.readHead("GET"), q.readHead("GET")
		if (err == nil) != (qerr == nil) || p.head != q.head {
			t.Fatalf("at once %v %+v; byte by byte %v %+v", err, p.head, qerr, q.head)
		}
		if err != nil {
			return
		}
		n, err := p.discard()
		body, qerr := io.ReadAll(q)
		if (err == nil) != (qerr == nil) || int(n) != len(body) || len(body) > len(in) {
			t.Fatalf("discard %d %v; read %d %v", n, err, len(body), qerr)
		}
		if len(p.buf) > maxHeader {
			t.Fatalf("buffer of %d bytes", len(p.buf))
		}
		if err == nil && p.head.framing == byLength && n != p.head.length {
			t.Fatalf("%d of %d bytes are called complete", n, p.head.length)
		}
	})
}

// loop repeats a response for ever.
type loop struct {
	text []byte
	off  int
}

func (l *loop) Read(b []byte) (int, error) {
	n := copy(b, l.text[l.off:])
	if l.off += n; l.off == len(l.text) {
		l.off = 0
	}
	return n, nil
}

func BenchmarkResponse(b *testing.B) {
	const head = "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\nContent-Type: text/html; charset=UTF-8\r\nServer: gws\r\n"
	for name, text := range map[string]string{
		"length": head + "Content-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024),
		"chunks": head + "Transfer-Encoding: chunked\r\n\r\n400\r\n" + strings.Repeat("x", 1024) + "\r\n0\r\n\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			p := newResponseReader(&loop{text: []byte(text)})
			b.ReportAllocs()
			for b.Loop() {
				err := p.readHead("GET")
				n, err2 := p.discard()
				if err := errors.Join(err, err2); err != nil || n != 1024 {
					b.Fatal(n, err)
				}
			}
		})
	}
}
