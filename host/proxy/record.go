package proxy

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
)

// The values of Request.Decision.
const (
	DecisionAllowed = "allowed"
	DecisionDenied  = "denied"
	DecisionError   = "error"
)

const (
	connTLS   = "https-mitm"
	connPlain = "http"
)

// Bounds on what a record keeps of a request.
const (
	maxPreview = 4096
	maxHeaders = 16 << 10
	maxText    = 4096
)

// A Request is one request, reported when its answer has ended, or one
// connection that failed before there was any.
type Request struct {
	Time        time.Time // of the request's headers
	Domain      string
	Port        int
	Decision    string
	Process     string // in the guest, as the metadata line says
	Method      string // "" when TLS failed
	Path, Query string
	Status      int   // 0 when nothing was answered
	Sent        int64 // bytes of the request's body
	Received    int64 // bytes of the answer's body
	// Duration is from the request's headers to the end of the answer.
	Duration        time.Duration
	MatchedRule     string // a pattern, "default", or the text of an error
	RequestHeaders  string // credentials are left out
	ResponseHeaders string
	RequestPreview  string // at most 4096 bytes of the body
	ResponsePreview string
	ConnType        string // "https-mitm" or "http"
}

// A Recorder is told of requests. It is called from many goroutines, once a
// request and before the guest can send its next one, so it must not wait
// for a disk.
type Recorder interface{ RecordRequest(Request) }

type discard struct{}

func (discard) RecordRequest(Request) {}

// secret reports the headers that are recorded without their values.
func secret(name string) bool {
	switch name {
	case "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key":
		return true
	}
	return false
}

// headers formats headers as lines, sorted, bounded.
func headers(h http.Header) string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		for _, v := range h[name] {
			if secret(name) {
				v = "(redacted)"
			}
			if b.Len()+len(name)+len(v) > maxHeaders {
				return b.String()
			}
			b.WriteString(name + ": " + v + "\n")
		}
	}
	return b.String()
}

// preview keeps the beginning of a body.
type preview struct{ b []byte }

func (p *preview) add(b []byte) {
	if room := maxPreview - len(p.b); room > 0 && len(b) > 0 {
		p.b = append(p.b, b[:min(room, len(b))]...)
	}
}

// text returns the beginning of a textual body; of others nothing is shown.
func (p *preview) text() string {
	for i, r := range string(p.b) {
		if r == unicode.ReplacementChar && i < len(p.b)-4 || r == 0 {
			return ""
		}
	}
	return strings.ToValidUTF8(string(p.b), "")
}

// printable returns untrusted text without control characters, bounded.
func printable(s string) string {
	s = s[:min(len(s), maxText)]
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
