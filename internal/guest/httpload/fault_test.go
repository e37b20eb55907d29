package httpload

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Failures are counted by reason and never make a figure better.
func TestLoadCountsFailures(t *testing.T) {
	clearProxies(t)
	var served atomic.Int64
	o := newOrigin(t, "localhost", func(w http.ResponseWriter, r *http.Request) {
		switch served.Add(1) % 10 {
		case 3, 7:
			http.Error(w, "broken", http.StatusInternalServerError)
		case 5:
			http.NotFound(w, r)
		default:
			time.Sleep(time.Millisecond) // slower than a failure
			fmt.Fprint(w, "fine")
		}
	})
	trust(t, o.pem)
	r := load(t, o.URL, 0, 50, 5)
	require.EqualError(t, r.Err(), "15 of 50 requests failed: 10 status 500, 5 status 404")
	assert.EqualValues(t, 35, r.OK)
	assert.EqualValues(t, 35*len("fine"), r.Bytes)
	s := r.Samples()
	assert.Len(t, s.Values, 35)
	assert.GreaterOrEqual(t, s.Metrics["min-ns"], 1e6)
	assert.InDelta(t, 35/r.Elapsed.Seconds(), s.Metrics["req/s"], 1e-6)
	assert.EqualValues(t, 15, s.Metrics["errors"])
	assert.Equal(t, map[string]int64{"status 500": 10, "status 404": 5}, s.Errors)
	assert.LessOrEqual(t, r.Connections, int64(5), "an error response keeps its connection")
}

func TestNoFigureWithoutSuccess(t *testing.T) {
	clearProxies(t)
	o := newOrigin(t, "localhost", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	trust(t, o.pem)
	r := load(t, o.URL, 0, 50, 5)
	require.EqualError(t, r.Err(), "50 of 50 requests failed: 50 status 403")
	s := r.Samples()
	assert.Nil(t, s.Latency)
	assert.Equal(t, map[string]float64{"errors": 50}, s.Metrics)
}

func TestLoadFaults(t *testing.T) {
	clearProxies(t)
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	for _, tt := range []struct {
		name, reason string
		answer       string
		after        func(*net.TCPConn)
	}{
		{"half a body", "short body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", nil},
		{"half a chunk", "short body", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", nil},
		{"closed", "connection closed", "", nil},
		{"reset", "connection reset", "", func(c *net.TCPConn) { _ = c.SetLinger(0) }},
		{"reset in the body", "connection reset", ok[:len(ok)-1], func(c *net.TCPConn) { _ = c.SetLinger(0) }},
		{"garbage", "malformed response", "\x15\x03\x01 no http", nil},
		{"huge header", "header too large", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 100) + "\r\n", nil},
		{"hanging", "timeout", "", func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)) }},
		{"hanging in the body", "timeout", ok[:len(ok)-1], func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leakFree(t)
			url := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
				if !request(r) {
					return
				}
				_, _ = io.WriteString(conn, tt.answer)
				if tt.after != nil {
					tt.after(conn)
				}
			})
			limit := time.Minute
			if tt.reason == "timeout" {
				limit = 200 * time.Millisecond
			}
			r := load(t, url, limit, 4, 2)
			assert.Equal(t, map[string]int64{tt.reason: 4}, r.Errors)
			assert.Zero(t, r.Reconnects, "a new connection that fails is not tried again")
		})
	}
}

// A kept connection may end between two requests, and only then is a request
// sent again.
func TestLoadStaleConnections(t *testing.T) {
	clearProxies(t)
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	t.Run("closed between requests", func(t *testing.T) {
		url := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
			for range 3 {
				if request(r) {
					_, _ = io.WriteString(conn, ok)
				}
			}
		})
		r := load(t, url, 0, 12, 1)
		require.NoError(t, r.Err())
		assert.EqualValues(t, 3, r.Reconnects)
		assert.EqualValues(t, 4, r.Connections)
		assert.Equal(t, []string{"the origin closed 3 kept connections between requests"}, r.Doubts())
	})
	t.Run("half an answer is an answer", func(t *testing.T) {
		url := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
			if request(r) {
				_, _ = io.WriteString(conn, ok)
			}
			if request(r) {
				_, _ = io.WriteString(conn, ok[:9])
			}
		})
		r := load(t, url, 0, 4, 1)
		assert.Equal(t, map[string]int64{"malformed response": 2}, r.Errors)
		assert.Zero(t, r.Reconnects)
	})
	t.Run("bytes nobody asked for", func(t *testing.T) {
		url := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
			for request(r) {
				_, _ = io.WriteString(conn, ok+"HTTP/1.1 500 Oh\r\n\r\n")
			}
		})
		r := load(t, url, 0, 4, 1)
		require.NoError(t, r.Err())
		assert.EqualValues(t, 8, r.Bytes, "they are never taken for the next answer")
	})
}

func TestLoadConnectFailures(t *testing.T) {
	clearProxies(t)
	o := newOrigin(t, "elsewhere.test", func(http.ResponseWriter, *http.Request) {})
	stranger := newOrigin(t, "localhost", func(http.ResponseWriter, *http.Request) {})
	plain := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
		_, _ = io.WriteString(conn, "220 mail.test ESMTP\r\n")
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := ln.Addr().String()
	require.NoError(t, ln.Close())

	for name, tt := range map[string]struct {
		url    string
		trust  []byte
		reason string
	}{
		"refused":         {"http://" + nobody, nil, "connection refused"},
		"unknown":         {stranger.URL, nil, "tls: certificate of an unknown authority"},
		"another name":    {o.URL, o.pem, "tls: certificate for another name"},
		"no TLS":          {strings.Replace(plain, "http:", "https:", 1), nil, "tls: no TLS at the other end"},
		"TLS and not led": {strings.Replace(o.URL, "https:", "http:", 1), nil, "status 400"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.trust != nil {
				trust(t, tt.trust)
			}
			r := load(t, tt.url, 0, 2, 1)
			assert.Equal(t, map[string]int64{tt.reason: 2}, r.Errors)
		})
	}
}

func TestLoadInterrupted(t *testing.T) {
	leakFree(t)
	clearProxies(t)
	ctx, cancel := context.WithCancel(t.Context())
	url := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
		if request(r) {
			cancel()
			_, _ = conn.Read(make([]byte, 1))
		}
	})
	client, err := New(url, time.Minute)
	require.NoError(t, err)
	r, err := client.Load(ctx, 1000, 2)
	require.NoError(t, err)
	assert.Less(t, r.Elapsed, 30*time.Second)
	assert.Zero(t, r.OK)
	require.Error(t, r.Err())
	for reason := range r.Errors {
		assert.Equal(t, "interrupted", reason)
	}
	assert.LessOrEqual(t, r.Failed, int64(2), "what was not sent did not fail")
}

func TestReasonsAreBounded(t *testing.T) {
	counts := make(map[string]int64)
	for i := range 100 {
		countReason(counts, fmt.Sprint("status ", 400+i), 1)
	}
	assert.Len(t, counts, maxReasons+1)
	assert.EqualValues(t, 80, counts["other"])
	assert.Equal(t, "other", requestReason(errors.New("something new")))
}
