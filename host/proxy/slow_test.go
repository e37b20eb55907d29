package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/host/upstream"
)

// patience is longer than anything here takes on a machine that is busy.
const patience = 2 * time.Minute

// slowly writes one byte at a time, and calls a function after some of them.
type slowly struct {
	net.Conn
	n     int
	every int
	after func()
}

func (s *slowly) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := s.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
		if s.n++; s.n%s.every == 0 {
			s.after()
		}
	}
	return len(p), nil
}

// A guest that says a byte at a time, in CONNECT, in its hello and in its
// request, gets its answer in the end, and every request of another guest in
// between is answered before it says the next.
func TestGuestThatSaysOneByteAtATime(t *testing.T) {
	t.Parallel()
	b := start(t, nil, func(p *Proxy) { p.limits.first, p.limits.handshake, p.limits.header = patience, patience, patience })
	others, answered := b.client(t), 0
	other := func() {
		resp, body := get(t, others, "https://www.google.com/tiny")
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, `{"ok":true}`, body)
		answered++
		require.Len(t, b.all(), answered, "the slow guest's request has not ended")
	}
	slow := &slowly{Conn: b.dial(t, ""), every: 64, after: other}
	require.NoError(t, slow.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(slow, "CONNECT www.google.com:443 HTTP/1.1\r\nHost: www.google.com:443\r\n\r\n")
	require.NoError(t, err)
	established := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
	_, err = io.ReadFull(slow, established)
	require.NoError(t, err)
	c := tls.Client(slow, b.tlsConfig("www.google.com"))
	require.NoError(t, c.Handshake())
	_, err = io.WriteString(c, "GET /tiny HTTP/1.1\r\nHost: www.google.com\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	text, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Contains(t, string(text), `{"ok":true}`)
	assert.Greater(t, answered, 5)
	require.Eventually(t, func() bool { return len(b.all()) == answered+1 }, patience, time.Millisecond)
}

// Guests that ask for much and read nothing of it hold up nobody: all requests
// of another are answered and recorded while none of theirs has ended.
func TestGuestsThatDoNotRead(t *testing.T) {
	t.Parallel()
	b := start(t, nil)
	const hostile, requests = 20, 100
	var deaf []net.Conn
	for range hostile {
		c := b.tls(t, "", "www.google.com")
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		_, err := io.WriteString(c, "GET "+upstream.ObjectPath+" HTTP/1.1\r\nHost: www.google.com\r\n\r\n")
		require.NoError(t, err)
		first := make([]byte, 1)
		_, err = io.ReadFull(c, first) // the answer is under way, and more than buffers hold
		require.NoError(t, err)
		deaf = append(deaf, c.NetConn())
	}
	others := b.client(t)
	for range requests {
		resp, body := get(t, others, "https://www.google.com/tiny")
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, `{"ok":true}`, body)
	}
	rows := b.all()
	require.Len(t, rows, requests, "those of the others alone have ended")
	for _, row := range rows {
		assert.Equal(t, "/tiny", row.Path)
	}
	for _, c := range deaf {
		require.NoError(t, c.Close())
	}
	require.Eventually(t, func() bool { return len(b.all()) == requests+hostile }, patience, time.Millisecond)
	for _, row := range b.all()[requests:] {
		assert.Equal(t, upstream.ObjectPath, row.Path)
		assert.Equal(t, DecisionError, row.Decision)
		assert.Less(t, row.Received, int64(upstream.ObjectSize))
	}
}
