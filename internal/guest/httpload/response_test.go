package httpload

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answers serves one text for every request, and ends the connection where
// the text does not say how long it is.
func answers(t testing.TB, text string, end, slowly bool) string {
	return raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
		for request(r) {
			step := len(text)
			if slowly {
				step = 1
			}
			for rest := text; len(rest) > 0; rest = rest[step:] {
				if _, err := io.WriteString(conn, rest[:step]); err != nil {
					return
				}
			}
			if end {
				return
			}
		}
	})
}

// getAll sends a request and reads the body.
func getAll(w *worker) (status int, body string, err error) {
	if err := w.get(); err != nil {
		return 0, "", err
	}
	status = w.response.StatusCode()
	var all strings.Builder
	_, err = io.Copy(&all, reader{w})
	_ = w.response.CloseBodyStream()
	return status, all.String(), err
}

type reader struct{ w *worker }

func (r reader) Read(b []byte) (int, error) { return r.w.read(b) }

func newTestWorker(t testing.TB, url string) *worker {
	t.Helper()
	client, err := New(url, 10*time.Second)
	require.NoError(t, err)
	w, err := client.newWorker(t.Context())
	require.NoError(t, err)
	t.Cleanup(w.close)
	return w
}

func TestResponse(t *testing.T) {
	clearProxies(t)
	for _, tt := range []struct {
		name, in string
		status   int
		body     string
		close    bool // the connection is not used again
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false},
		{"case and space", "HTTP/1.1 200\r\ncOnTeNt-LeNgTh:\t 5 \r\n\r\nhello", 200, "hello", false},
		{"space before colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello", 200, "hello", false},
		{"continued line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", false},
		{"1.0 knows no chunks", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi", 200, "2\r\nhi", true},
		{"switch", "HTTP/1.1 101 Switching\r\n\r\n", 101, "", false},
		{"pipelined", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP", 200, "hi", false},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\nT: 1\r\n\r\n", 200, "hello world", false},
		{"no chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 200, "", false},
		{"chunks and length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", 200, "0123456789", true},
		{"to the end", "HTTP/1.1 200 OK\r\n\r\nall of it", 200, "all of it", true},
		{"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true},
		{"1.0 kept", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", false},
		{"close", "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", false},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", false},
		{"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", false},
		{"error with body", "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", 500, "no", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, slowly := range map[string]bool{"at once": false, "byte by byte": true} {
				if slowly && tt.name == "pipelined" {
					continue // the rest may then come as the next answer
				}
				w := newTestWorker(t, answers(t, tt.in, tt.close, slowly))
				for range 3 {
					status, body, err := getAll(w)
					require.NoError(t, err, name)
					assert.Equal(t, tt.status, status, name)
					assert.Equal(t, tt.body, body, name)
				}
				assert.EqualValues(t, map[bool]int{false: 1, true: 3}[tt.close], w.connections, name)
			}
		})
	}
}

func TestMalformedHead(t *testing.T) {
	clearProxies(t)
	long := strings.Repeat("x", maxHeader)
	for name, in := range map[string]string{
		"words":             "hello\r\n\r\n",
		"no status":         "HTTP/1.1 OK\r\n\r\n",
		"long status":       "HTTP/1.1 2000 X\r\n\r\n",
		"interim for ever":  strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000),
		"cut":               "HTTP/1.1 200 OK\r\nContent-Le",
		"no name":           "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
		"control character": "HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n",
		"bare CR":           "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 1\r\n\r\n",
		"negative length":   "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"signed length":     "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
		"empty length":      "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
		"huge length":       "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
		"two lengths":       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"gzip coding":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"chunked twice":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := load(t, answers(t, in, true, false), 0, 2, 1)
			assert.Equal(t, map[string]int64{"malformed response": 2}, r.Errors)
		})
	}
	for name, in := range map[string]string{
		"one line":   "HTTP/1.1 200 OK\r\nA: " + long + "\r\n\r\n",
		"many lines": "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxHeader/6) + "\r\n",
		"no line":    "HTTP/1.1 200 " + long,
	} {
		t.Run("too large/"+name, func(t *testing.T) {
			r := load(t, answers(t, in, true, false), 0, 2, 1)
			assert.Equal(t, map[string]int64{"header too large": 2}, r.Errors)
		})
	}
}

func TestBrokenBody(t *testing.T) {
	clearProxies(t)
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
		{"endless size", chunked + strings.Repeat("0", 1<<16), "malformed response"},
		{"endless trailers", chunked + "0\r\n" + strings.Repeat("A: b\r\n", maxHeader), "header too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, slowly := range []bool{false, len(tt.in) < 1000} {
				r := load(t, answers(t, tt.in, true, slowly), 0, 2, 1)
				assert.Equal(t, map[string]int64{tt.reason: 2}, r.Errors)
				assert.Zero(t, r.Bytes)
			}
		})
	}
}

// FuzzResponse feeds any bytes as the answer: whatever is called a success has
// the body that was stated, and every failure has a reason.
func FuzzResponse(f *testing.F) {
	for _, in := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 100 C\r\n\r\nHTTP/1.0 404 X\r\nConnection: keep-alive\r\n\r\nbody",
		"HTTP/1.1 204 No\n\n",
		"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		clearProxies(t)
		r := load(t, answers(t, string(in), true, false), time.Second, 1, 1)
		assert.EqualValues(t, 1, r.OK+r.Failed)
		assert.LessOrEqual(t, r.Bytes, int64(len(in)))
		for reason := range r.Errors {
			assert.NotEqual(t, "other", reason)
		}
	})
}
