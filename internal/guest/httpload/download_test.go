package httpload

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// object is a body larger than all buffers together.
func object(t testing.TB, size int) []byte {
	t.Helper()
	body := make([]byte, size)
	_, err := rand.NewChaCha8([32]byte{1}).Read(body)
	require.NoError(t, err)
	return body
}

// base64sum is what a digest field holds of a body.
func base64sum(h hash.Hash, body []byte) string {
	_, _ = h.Write(body) // never fails
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func TestFetchDigests(t *testing.T) {
	clearProxies(t)
	body := object(t, 8*downloadBuffer+12345)
	s256 := base64sum(sha256.New(), body)
	crc := base64sum(crc32.New(crc32.MakeTable(crc32.Castagnoli)), body)
	for _, tt := range []struct {
		name, field, value string
		digest, err        string
		doubts             int
	}{
		{"none", "X", "y", "", "", 0},
		{"crc32c", "Repr-Digest", "crc32c=:" + crc + ":", "crc32c", "", 0},
		{"among others", "Repr-Digest", "md5=:AAAA:, sha-256=:" + s256 + ":,crc32c=:" + crc + ":;q=1", "crc32c", "", 0},
		{"wrong", "Repr-Digest", "crc32c=:AAAAAA==:", "crc32c", "crc32c digest differs", 0},
		{"others alone", "Repr-Digest", "sha-256=:" + s256 + ":", "", "", 0},
		{"unknown", "Repr-Digest", "sha-1024=:AAAA:", "", "", 0},
		{"no base64", "Repr-Digest", "crc32c=:!!!:", "", "", 1},
		{"no bytes", "Repr-Digest", "crc32c=" + crc, "", "", 1},
		{"too short", "Repr-Digest", "crc32c=:AAAA:", "", "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leakFree(t)
			o := newOrigin(t, "localhost", func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
				assert.Equal(t, "crc32c=10", r.Header.Get("Want-Repr-Digest"))
				w.Header().Set(tt.field, tt.value)
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				_, _ = w.Write(body)
			})
			trust(t, o.pem)
			d, err := Fetch(t.Context(), o.URL, 0)
			assert.Equal(t, tt.digest, d.Digest)
			assert.EqualValues(t, len(body), d.Bytes)
			assert.Equal(t, 200, d.Status)
			assert.Len(t, d.Doubts(), tt.doubts)
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				assert.Empty(t, d.Samples(err).Metrics, "a wrong body has no speed")
				return
			}
			require.NoError(t, err)
			s := d.Samples(err)
			assert.EqualValues(t, 1, s.Count)
			assert.Equal(t, 200, s.HTTPCode)
			assert.InDelta(t, float64(len(body))/d.Elapsed.Seconds(), s.Metrics["B/s"], 1e-3)
		})
	}
}

func TestFetchFramings(t *testing.T) {
	clearProxies(t)
	body := object(t, 3*downloadBuffer+1)
	digest := "crc32c=:" + base64sum(crc32.New(crc32.MakeTable(crc32.Castagnoli)), body) + ":"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Repr-Digest", digest)
		switch r.URL.Path {
		case "/chunked":
			for rest := body; len(rest) > 0; {
				n, _ := w.Write(rest[:min(len(rest), 77_777)])
				w.(http.Flusher).Flush()
				rest = rest[n:]
			}
			return
		case "/close":
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nRepr-Digest: "+digest+"\r\n\r\n")
				_, _ = conn.Write(body)
				_ = conn.Close()
			}
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}))
	defer srv.Close()
	for path, doubts := range map[string]int{"/length": 0, "/chunked": 0, "/close": 1} {
		d, err := Fetch(t.Context(), srv.URL+path, 0)
		require.NoError(t, err, path)
		assert.EqualValues(t, len(body), d.Bytes, path)
		assert.Equal(t, "crc32c", d.Digest, path)
		assert.Len(t, d.Doubts(), doubts, path)
	}
}

func TestFetchRedirects(t *testing.T) {
	clearProxies(t)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "found") }))
	defer other.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hop, _ := strconv.Atoi(r.URL.Query().Get("hop"))
		switch {
		case r.URL.Path == "/nowhere":
			w.WriteHeader(http.StatusFound)
		case r.URL.Path == "/ftp":
			w.Header().Set("Location", "ftp://x/")
			w.WriteHeader(http.StatusFound)
		case hop == 0:
			http.Redirect(w, r, other.URL, http.StatusMovedPermanently)
		default:
			http.Redirect(w, r, fmt.Sprintf("?hop=%d", hop-1), http.StatusTemporaryRedirect)
		}
	}))
	defer srv.Close()
	d, err := Fetch(t.Context(), srv.URL+"/?hop=9", 0)
	require.NoError(t, err)
	assert.EqualValues(t, 5, d.Bytes)
	for path, want := range map[string]string{
		"/?hop=10": "more than 10 redirects", "/nowhere": "HTTP 302", "/ftp": "unfit redirect: \"ftp://x/\" is no http or https URL",
	} {
		_, err := Fetch(t.Context(), srv.URL+path, 0)
		assert.EqualError(t, err, want, path)
	}

	o := newOrigin(t, "localhost", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	trust(t, o.pem)
	_, err = Fetch(t.Context(), o.URL, 0)
	assert.EqualError(t, err, "redirect from https to http, which is not followed")
}

func TestFetchFaults(t *testing.T) {
	clearProxies(t)
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
	hang := func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)) }
	for _, tt := range []struct {
		name, answer, reason string
		after                func(*net.TCPConn)
	}{
		{"forbidden", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", `^HTTP 403 \(is the domain in the allow list\?\)$`, nil},
		{"error", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", `^HTTP 502$`, nil},
		{"part", "HTTP/1.1 206 Partial\r\nContent-Length: 2\r\n\r\nhi", `^HTTP 206$`, nil},
		{"half a body", head + strings.Repeat("x", 500), `^body ended after 500 of 1000 bytes$`, nil},
		{"half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", `^body ended after 3 bytes$`, nil},
		{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", `^empty body$`, nil},
		{"no answer", "", `^127\.0\.0\.1:\d+: connection closed$`, nil},
		{"garbage", "SSH-2.0-x\r\n", `^127\.0\.0\.1:\d+: malformed response$`, nil},
		{"hanging", "", `^127\.0\.0\.1:\d+: timeout$`, hang},
		{"stalled", head + "x", `^body stalled for 200ms after 1 of 1000 bytes$`, hang},
		{"reset", head + "x", `(body broke off after \d of 1000 bytes: |^127\.0\.0\.1:\d+: )connection reset$`, func(c *net.TCPConn) { _ = c.SetLinger(0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leakFree(t)
			url := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
				if request(r) {
					_, _ = io.WriteString(conn, tt.answer)
				}
				if tt.after != nil {
					tt.after(conn)
				}
			})
			limit := time.Minute
			if tt.name == "hanging" || tt.name == "stalled" {
				limit = 200 * time.Millisecond
			}
			d, err := Fetch(t.Context(), url, limit)
			require.Error(t, err)
			assert.Regexp(t, tt.reason, err.Error())
			s := d.Samples(err)
			assert.Positive(t, s.ElapsedNS)
			assert.EqualValues(t, 1, s.Failed)
			assert.Empty(t, s.Metrics)
		})
	}
}

func TestFetchInterrupted(t *testing.T) {
	leakFree(t)
	clearProxies(t)
	ctx, cancel := context.WithCancel(t.Context())
	url := raw(t, func(conn *net.TCPConn, r *bufio.Reader, _ int) {
		if request(r) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nRepr-Digest: sha-256=:"+base64sum(sha256.New(), nil)+":\r\nContent-Length: 1000\r\n\r\nx")
			cancel()
			_, _ = conn.Read(make([]byte, 1))
		}
	})
	_, err := Fetch(ctx, url, time.Minute)
	assert.ErrorIs(t, err, context.Canceled)
}

func FuzzDigest(f *testing.F) {
	f.Add("sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:, crc32c=:AAAAAA==:")
	f.Add("crc32c=:AAAA:;q=1, crc32c")
	f.Fuzz(func(t *testing.T, value string) {
		d := readDigest([][]byte{[]byte(value)})
		if d.stated {
			assert.Contains(t, value, "crc32c")
		}
	})
}
