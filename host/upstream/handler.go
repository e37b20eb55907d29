package upstream

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/contract"
)

// The object of fixed content.
const (
	ObjectPath = "/100MB.bin"
	ObjectSize = 100 << 20
	// ObjectDigest is its Repr-Digest (RFC 9530).
	ObjectDigest = "sha-256=:x9UD2PwYHePNa+gTHQeUMpBq3DCGiopzG8WP0wkig0w=:, crc32c=:1LLILQ==:"
)

// MaxBytes is the largest object under /bytes/.
const MaxBytes = 1 << 30

// pageSize is near what www.google.com/ sends, uncompressed.
const pageSize = 20 << 10

// newHandler answers
//
//	/              a page of 20 KiB
//	/100MB.bin     100 MiB, with Repr-Digest and ranges
//	*/bytes/N      N bytes, with ranges
//	/status/N      status N without a body
//	/tiny          a few bytes of JSON
//	/late/N        the same, N ms after the request
//	/fault/...     what goes wrong, if asked for
func newHandler(cfg Config) http.Handler {
	page, data := page(), newSource()
	tiny := []byte(`{"ok":true}`)
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		send(w, "text/html; charset=UTF-8", page)
	})
	mux.HandleFunc("/tiny", func(w http.ResponseWriter, _ *http.Request) {
		send(w, "application/json", tiny)
	})
	mux.HandleFunc("/late/{ms}", func(w http.ResponseWriter, r *http.Request) { late(w, r, tiny) })
	mux.HandleFunc(ObjectPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Repr-Digest", ObjectDigest)
		serve(w, r, data.object(ObjectSize))
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil || code < 200 || code > 599 {
			code = http.StatusBadRequest
		}
		w.WriteHeader(code)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { sized(w, r, data) })
	if cfg.Faults {
		addFaults(mux, data)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", contract.BuiltInOrigin)
		mux.ServeHTTP(w, r)
	})
}

// maxLate bounds how late an answer may be.
const maxLate = 10_000

// late answers after a number of milliseconds, as an origin far away does.
func late(w http.ResponseWriter, r *http.Request, body []byte) {
	ms, err := strconv.Atoi(r.PathValue("ms"))
	if err != nil || ms < 0 || ms > maxLate {
		http.Error(w, fmt.Sprintf("want a time from 0 to %d ms", maxLate), http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
		send(w, "application/json", body)
	case <-r.Context().Done():
	}
}

// sized serves /bytes/N under any prefix.
func sized(w http.ResponseWriter, r *http.Request, data *source) {
	dir, digits := path.Split(r.URL.Path)
	if !strings.HasSuffix(dir, "/bytes/") {
		http.NotFound(w, r)
		return
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > MaxBytes {
		http.Error(w, fmt.Sprintf("want a size from 0 to %d", MaxBytes), http.StatusBadRequest)
		return
	}
	serve(w, r, data.object(n))
}

func serve(w http.ResponseWriter, r *http.Request, body io.ReadSeeker) {
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, body)
}

func send(w http.ResponseWriter, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// page is HTML of our own, the same at all times.
func page() []byte {
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\"><head><title>capsem-bench origin</title></head><body>\n")
	for i := 0; b.Len() < pageSize; i++ {
		fmt.Fprintf(&b, "<p id=\"p%d\">This page stands in for the front page of a search engine, line %d.</p>\n", i, i)
	}
	b.WriteString("</body></html>\n")
	return []byte(b.String())
}
