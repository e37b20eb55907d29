package proxy

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/capsem/capsem-bench/internal/termtext"
)

// The values of Request.Decision.
const (
	DecisionAllowed = "allowed"
	DecisionDenied  = "denied"
	DecisionError   = "error"
)

// The values of Request.ConnType.
const (
	ConnTLS   = "https-mitm"
	ConnPlain = "http"
)

// Bounds on what a record keeps of a request, in bytes.
const (
	maxPreview = 4096
	maxHeaders = 16 << 10
	maxText    = 4096
)

// A Request is one request, reported when its answer has ended or broken off,
// or one connection whose TLS failed before there was any.
type Request struct {
	Time     time.Time // when its headers had arrived
	Domain   string
	Port     int
	Decision string // DecisionAllowed and so on
	Process  string // in the guest, as the metadata line says; "" unknown
	Method   string // "" if TLS failed
	Path     string // as sent, without the query
	Query    string // without the question mark
	Status   int    // 0 if nothing was answered
	// Sent and Received count the bytes of the bodies, as the guest sees them:
	// decoded from chunks, not from a content coding.
	Sent, Received int64
	// Duration is from the request's headers to the end of the answer's body.
	Duration time.Duration
	// MatchedRule is a pattern of the allow list, "default", or what went wrong.
	MatchedRule string
	// The headers are lines "Name: value", sorted, at most 16 KiB. Values that
	// are credentials (Authorization, Cookie and the like) are replaced by
	// "(redacted)"; a secret in a query is not recognised.
	RequestHeaders, ResponseHeaders string
	// The previews are the beginnings of the bodies, at most 4096 bytes of
	// UTF-8; bytes that are no text show as U+FFFD.
	RequestPreview, ResponsePreview string
	ConnType                        string // ConnTLS or ConnPlain
}

// A Recorder gets the requests. Many goroutines call it, once for each request
// and before the guest has the end of its answer, so it must not wait for a
// disk.
type Recorder interface{ RecordRequest(Request) }

type discard struct{}

func (discard) RecordRequest(Request) {}

// secret reports which header values stay out of the records.
func secret(name string) bool {
	switch name {
	case "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Auth-Token":
		return true
	}
	return false
}

// headerText formats headers for a record. Host is not in a request's map.
func headerText(host string, h http.Header) string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	if host != "" {
		headerLine(&b, "Host", host)
	}
	for _, name := range names {
		for _, v := range h[name] {
			if secret(name) {
				v = "(redacted)"
			}
			if !headerLine(&b, name, v) {
				return b.String()
			}
		}
	}
	return b.String()
}

func headerLine(b *strings.Builder, name, value string) bool {
	value = strings.ToValidUTF8(value, "\uFFFD")
	if b.Len()+len(name)+len(value)+3 > maxHeaders {
		return false
	}
	b.WriteString(name)
	b.WriteString(": ")
	b.WriteString(value)
	b.WriteByte('\n')
	return true
}

// A preview keeps the beginning of a body.
type preview []byte

func (p *preview) add(b []byte) {
	if room := maxPreview - len(*p); room > 0 && len(b) > 0 {
		*p = append(*p, b[:min(room, len(b))]...)
	}
}

// text returns the beginning as UTF-8. A character that the bound cuts in two
// is left out.
func (p preview) text() string {
	b := []byte(p)
	if len(b) == maxPreview {
		b = wholeRunes(b)
	}
	s := strings.ToValidUTF8(string(b), "\uFFFD")
	if strings.IndexByte(s, 0) >= 0 { // ends a text in SQLite
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return bounded(s, maxPreview)
}

// wholeRunes drops an incomplete character at the end.
func wholeRunes(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		tail := b[len(b)-i:]
		if utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// bounded cuts valid UTF-8 at a character.
func bounded(s string, size int) string {
	if len(s) <= size {
		return s
	}
	for size > 0 && !utf8.RuneStart(s[size]) {
		size--
	}
	return s[:size]
}

// printable returns text from outside as it may be shown on a line, bounded.
func printable(s string) string { return bounded(termtext.Cell(bounded(s, maxText)), maxText) }
