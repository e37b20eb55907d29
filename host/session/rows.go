package session

import (
	"strings"
	"time"
	"unicode/utf8"
)

// A NetEvent is one request through the proxy. The fields are those of the
// proxy's own record, so that one converts to the other.
type NetEvent struct {
	Time            time.Time // of the request's headers
	Domain          string
	Port            int
	Decision        string // "allowed", "denied" or "error"
	Process         string
	Method          string // "" for a connection that never got as far
	Path, Query     string
	Status          int   // 0 when nothing was answered
	Sent, Received  int64 // bytes of the bodies
	Duration        time.Duration
	MatchedRule     string
	RequestHeaders  string
	ResponseHeaders string
	RequestPreview  string
	ResponsePreview string
	ConnType        string // "https-mitm", "http"; "" is stored as "https"
}

// An MCPCall is one request to the gateway. The fields are those of the
// gateway's own record, so that one converts to the other.
type MCPCall struct {
	Time           time.Time // of the request's arrival
	Server         string    // "gateway" or "builtin"
	Method         string
	Tool           string // "" for methods other than tools/call
	RequestID      string // decimal; "" if the id is no unsigned integer
	Request        string // compact JSON of the parameters
	Response       string // compact JSON of the result, "" on an error
	Decision       string // "allowed", "denied" or "error"
	Duration       time.Duration
	Error          string
	Process        string
	Sent, Received int64 // bytes of Request and Response before any cut
}

// maxText is the longest text that a column keeps, in bytes.
const maxText = 256 << 10

// maxShort is the longest text of a column that no preview is in: a method, a
// name, an error. A guest writes them as long as it likes.
const maxShort = 1 << 10

// timeLayout is RFC 3339 with all nine digits, in UTC: so the order of the
// texts is the order of the times.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

func stamp(t time.Time) string { return t.UTC().Format(timeLayout) }

// limitText cuts s to size bytes without splitting a character. A cut text is
// copied, so that the queue does not hold on to the long one.
func limitText(s string, size int) string {
	if len(s) <= size {
		return s
	}
	n := size
	for n > size-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}

// A row is a queued insert: one of *NetEvent and *MCPCall.
type row interface {
	size() int64
	limit()
	values() []any
}

// rowOverhead is about what a queued row takes beside its texts.
const rowOverhead = 512

func (e *NetEvent) texts() []*string {
	return []*string{
		&e.Domain, &e.Decision, &e.Process, &e.Method, &e.Path, &e.Query, &e.MatchedRule, &e.RequestHeaders,
		&e.ResponseHeaders, &e.RequestPreview, &e.ResponsePreview, &e.ConnType,
	}
}

func (c *MCPCall) texts() []*string {
	return []*string{&c.Server, &c.Method, &c.Tool, &c.RequestID, &c.Request, &c.Response, &c.Decision, &c.Error, &c.Process}
}

func (e *NetEvent) limit() {
	limitTexts(e.texts(), maxText)
	limitTexts([]*string{&e.Domain, &e.Decision, &e.Process, &e.Method, &e.ConnType}, maxShort)
}

func (c *MCPCall) limit() {
	limitTexts(c.texts(), maxText)
	limitTexts([]*string{&c.Server, &c.Method, &c.Tool, &c.RequestID, &c.Decision, &c.Error, &c.Process}, maxShort)
}

func (e *NetEvent) size() int64 { return textSize(e.texts()) }
func (c *MCPCall) size() int64  { return textSize(c.texts()) }

func limitTexts(texts []*string, size int) {
	for _, t := range texts {
		*t = limitText(*t, size)
	}
}

func textSize(texts []*string) int64 {
	n := int64(rowOverhead)
	for _, t := range texts {
		n += int64(len(*t))
	}
	return n
}

func (e *NetEvent) values() []any {
	conn := e.ConnType
	if conn == "" {
		conn = "https"
	}
	return []any{
		stamp(e.Time), e.Domain, e.Port, e.Decision, null(e.Process), null(e.Method), null(e.Path), null(e.Query),
		nullInt(e.Status), e.Sent, e.Received, e.Duration.Milliseconds(), null(e.MatchedRule), null(e.RequestHeaders),
		null(e.ResponseHeaders), null(e.RequestPreview), null(e.ResponsePreview), conn, e.Duration.Microseconds(),
	}
}

func (c *MCPCall) values() []any {
	return []any{
		stamp(c.Time), c.Server, c.Method, null(c.Tool), null(c.RequestID), null(c.Request), null(c.Response), c.Decision,
		c.Duration.Milliseconds(), null(c.Error), null(c.Process), c.Sent, c.Received, c.Duration.Microseconds(),
	}
}

// null stores an absent text as NULL, as Capsem does.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func nullInt(n int) any {
	if n == 0 {
		return nil
	}
	return n
}
