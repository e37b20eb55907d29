package proxy

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An exchange is one request and its answer. It is the http.ResponseWriter of
// the answer: what passes through it is what the record says.
type exchange struct {
	http.ResponseWriter // the guest's

	s     *server
	g     *guest
	r     *http.Request
	body  *requestBody // nil if there is none
	v     verdict
	start time.Time

	decision, rule string
	status         int
	header         string // of the answer, for the record
	length         int64  // of the answer's body, -1 unknown
	received       int64
	preview        preview
	guestErr       error // of writing to the guest
	upstreamErr    error // of reading the answer's body
}

// ServeHTTP answers one request of a guest. Its panics are http.ErrAbortHandler,
// so that the guest does not take a part for the whole.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g, ok := r.Context().Value(guestKey{}).(*guest)
	if !ok {
		panic(http.ErrAbortHandler) // not a connection of ours
	}
	g.reading.handled(r)
	if r.Method == http.MethodConnect && g.name() == "" {
		s.connect(w, r, g)
		return
	}
	x := &exchange{ResponseWriter: w, s: s, g: g, r: r, start: time.Now(), decision: DecisionAllowed, length: -1}
	if r.Body != nil && r.Body != http.NoBody {
		x.body = &requestBody{ReadCloser: r.Body}
		r.Body = x.body
	}
	x.v = s.p.judge(g, r)
	x.rule = x.v.rule
	defer x.finish()
	if x.v.status != 0 {
		x.refuse()
		return
	}
	x.forward()
}

// refuse answers a request that policy does not let out.
func (x *exchange) refuse() {
	x.decision = DecisionDenied
	if x.v.status != http.StatusForbidden {
		x.rule = x.v.reason
	}
	if x.body != nil { // net/http reads a little of it, to keep the connection
		_ = x.g.SetReadDeadline(time.Now().Add(x.s.p.limits.leftover))
	}
	x.answer(x.v.status, "Capsem: request denied ("+x.v.reason+")\n")
}

// answer is one of our own.
func (x *exchange) answer(status int, text string) {
	h := x.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	x.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = io.WriteString(x, text)
	}
}

// WriteHeader implements http.ResponseWriter, also for answers before the
// final one, such as 103.
func (x *exchange) WriteHeader(status int) {
	h := x.Header()
	if status < http.StatusOK {
		if status == http.StatusContinue {
			return // our server says that itself
		}
		for _, name := range strings.Split(strings.Join(h["Connection"], ","), ",") {
			h.Del(strings.TrimSpace(name))
		}
		h.Del("Connection")
		x.ResponseWriter.WriteHeader(status)
		return
	}
	for _, name := range []string{"Content-Type", "Date"} {
		if _, ok := h[name]; !ok {
			h[name] = nil // else net/http makes one up
		}
	}
	x.status, x.header = status, headerText("", h)
	if x.body != nil && !x.body.finished() {
		h.Set("Connection", "close") // what follows is not a request
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(b []byte) (int, error) {
	n, err := x.ResponseWriter.Write(b)
	x.received += int64(n)
	x.preview.add(b[:n])
	if err != nil {
		x.guestErr = err
	}
	return n, err
}

// FlushError sends what was written, unless that is all: then the end of the
// handler does, with the same system call as the end of the body.
func (x *exchange) FlushError() error {
	if x.received == x.length {
		return nil
	}
	return http.NewResponseController(x.ResponseWriter).Flush()
}

// brokenOff notes for the record which side broke off, if one did. When the
// guest goes, reading from upstream fails too.
func (x *exchange) brokenOff() {
	side, err := "writing to the guest", x.guestErr
	if err == nil {
		side, err = "upstream", x.upstreamErr
	}
	if err == nil || x.decision != DecisionAllowed {
		return
	}
	if gone := x.gone(); gone != "" {
		x.fail(gone)
		return
	}
	x.fail(side + ": the body broke off after " + strconv.FormatInt(x.received, 10) + " bytes: " + err.Error())
}

// fail notes an error for the record.
func (x *exchange) fail(reason string) {
	x.decision, x.rule = DecisionError, reason
}

// gone says why the guest's side of the exchange is over, or "".
func (x *exchange) gone() string {
	switch {
	case x.s.ctx.Err() != nil:
		return "the proxy was stopped"
	case x.body != nil && x.body.failed() != nil:
		return "reading the request: " + x.body.failed().Error()
	case x.r.Context().Err() != nil:
		return "the guest closed the connection"
	}
	return ""
}

// finish records the exchange and lets go of the request.
func (x *exchange) finish() {
	x.brokenOff()
	x.s.p.cfg.Recorder.RecordRequest(x.record())
	x.settle()
}

// settle ends a request whose body nobody reads to its end. The transport may
// be reading it still; the deadline wakes it.
func (x *exchange) settle() {
	if x.body == nil || x.body.finished() || x.decision == DecisionDenied {
		return
	}
	if x.status != 0 { // else flushing would begin an answer of its own, a 200
		_ = http.NewResponseController(x.ResponseWriter).Flush()
	}
	_ = x.g.SetReadDeadline(time.Now().Add(x.s.p.limits.leftover))
	_ = x.body.Close()
}

func (x *exchange) record() Request {
	path, query, _ := strings.Cut(x.r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") && path != "*" {
		path, query = x.r.URL.EscapedPath(), x.r.URL.RawQuery
	}
	req := Request{
		Time: x.start, Domain: x.v.host, Port: x.v.port, Decision: x.decision, Process: x.g.process,
		Method: printable(x.r.Method), Path: printable(path), Query: printable(query), Status: x.status,
		Received: x.received, Duration: time.Since(x.start), MatchedRule: printable(x.rule),
		RequestHeaders: headerText(x.r.Host, x.r.Header), ResponseHeaders: x.header,
		ResponsePreview: x.preview.text(), ConnType: ConnPlain,
	}
	if x.g.secured {
		req.ConnType = ConnTLS
	}
	if x.body != nil {
		req.Sent, req.RequestPreview = x.body.sofar()
	}
	return req
}

// requestBody is a guest's body as the transport reads it, which may go on
// after the answer has ended.
type requestBody struct {
	io.ReadCloser

	mu      sync.Mutex
	n       int64
	preview preview
	err     error // io.EOF: all of it was read
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n += int64(n)
	b.preview.add(p[:n])
	if err != nil {
		b.err = err
	}
	return n, err
}

// finished reports whether the body was read to its end.
func (b *requestBody) finished() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err == io.EOF
}

// failed returns what broke the body off, if anything has.
func (b *requestBody) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == io.EOF {
		return nil
	}
	return b.err
}

// sofar returns how much was read, and its beginning.
func (b *requestBody) sofar() (int64, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n, b.preview.text()
}
