package proxy

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An exchange is one request and its answer.
type exchange struct {
	s     *server
	g     *guest
	w     http.ResponseWriter
	r     *http.Request
	body  *requestBody // nil if there is none
	v     verdict
	start time.Time
	took  time.Duration

	decision, rule string
	status         int
	header         string // of the answer, for the record
	received       int64
	preview        preview
}

// ServeHTTP answers one request of a guest.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g, ok := r.Context().Value(guestKey{}).(*guest)
	if !ok {
		panic(http.ErrAbortHandler) // not a connection of ours
	}
	if r.Method == http.MethodConnect && g.name() == "" {
		s.connect(w, r, g)
		return
	}
	x := &exchange{s: s, g: g, w: w, r: r, start: time.Now()}
	if r.Body != nil && r.Body != http.NoBody {
		x.body = &requestBody{guest: r.Body}
	}
	x.v = s.p.judge(g, r)
	x.rule = x.v.rule
	whole := true
	if x.v.status != 0 {
		x.refuse()
	} else {
		x.decision = DecisionAllowed
		whole = x.forward()
	}
	x.finish()
	if !whole {
		panic(http.ErrAbortHandler) // the guest must not take a part for the whole
	}
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
	h := x.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	x.begin(status)
	if x.r.Method != http.MethodHead {
		_ = x.write([]byte(text))
	}
}

// begin sends the header of the answer.
func (x *exchange) begin(status int) {
	x.status, x.header = status, headerText("", x.w.Header())
	if x.body != nil && !x.body.finished() {
		x.w.Header().Set("Connection", "close") // what follows is not a request
	}
	x.w.WriteHeader(status)
}

func (x *exchange) write(b []byte) error {
	n, err := x.w.Write(b)
	x.received += int64(n)
	x.preview.add(b[:n])
	return err
}

// fail notes an error for the record.
func (x *exchange) fail(reason string) {
	x.decision, x.rule = DecisionError, reason
}

// forward sends the request on and the answer back. It reports whether the
// guest has a whole answer.
func (x *exchange) forward() bool {
	if x.body != nil {
		// An answer may come, and end, before the request has.
		_ = http.NewResponseController(x.w).EnableFullDuplex()
	}
	early := &interim{w: x.w}
	res, err := x.s.p.transport.RoundTrip(x.outgoing(early.trace(x.r.Context())))
	early.end()
	if err == nil && res.StatusCode == http.StatusSwitchingProtocols {
		_ = res.Body.Close()
		err = errors.New("a switch of protocols that nobody asked for")
	}
	if err != nil {
		return x.upstreamFailed(err)
	}
	defer res.Body.Close()
	trailers := x.head(res)
	if err := x.copy(res.Body); err != nil {
		x.fail(err.Error())
		return false
	}
	x.trailer(res.Trailer, trailers)
	return true
}

// upstreamFailed answers 502, unless it was the guest who went away.
func (x *exchange) upstreamFailed(err error) bool {
	if gone := x.gone(); gone != "" {
		x.fail(gone)
		return false
	}
	x.fail(err.Error())
	x.answer(http.StatusBadGateway, "Capsem: upstream error ("+printable(err.Error())+")\n")
	return true
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

// head passes on the header and returns how many trailers it announced.
func (x *exchange) head(res *http.Response) (trailers int) {
	h := x.w.Header()
	copyEndToEnd(h, res.Header)
	for _, name := range []string{"Content-Type", "Date"} {
		if _, ok := h[name]; !ok {
			h[name] = nil // else net/http makes one up
		}
	}
	for name := range res.Trailer {
		h.Add("Trailer", name)
	}
	x.begin(res.StatusCode)
	return len(res.Trailer)
}

// copy passes on the body. Nothing waits for more: what has been read is on
// its way before the next read.
func (x *exchange) copy(body io.Reader) error {
	buf := x.s.p.buffers.Get()
	defer x.s.p.buffers.Put(buf)
	flush := http.NewResponseController(x.w).Flush
	for {
		n, rerr := body.Read(*buf)
		if n > 0 {
			if err := x.write((*buf)[:n]); err != nil {
				return x.broken("writing to the guest", err)
			}
		}
		if rerr == io.EOF {
			return nil
		}
		if rerr != nil {
			return x.broken("upstream", rerr)
		}
		if err := flush(); err != nil {
			return x.broken("writing to the guest", err)
		}
	}
}

// broken says which side broke off. When the guest goes, reading fails too.
func (x *exchange) broken(side string, err error) error {
	if gone := x.gone(); gone != "" {
		return errors.New(gone)
	}
	return errors.New(side + ": the body broke off after " + strconv.FormatInt(x.received, 10) + " bytes: " + err.Error())
}

// trailer passes on what comes after the body. net/http wants a prefix on
// trailers that the header did not announce.
func (x *exchange) trailer(t http.Header, announced int) {
	if len(t) == 0 {
		return
	}
	_ = http.NewResponseController(x.w).Flush() // chunks, even if the body is short
	prefix := ""
	if len(t) != announced {
		prefix = http.TrailerPrefix
	}
	for name, values := range t {
		x.w.Header()[prefix+name] = values
	}
}

// finish records the exchange and lets go of the request.
func (x *exchange) finish() {
	x.took = time.Since(x.start)
	x.s.p.cfg.Recorder.RecordRequest(x.record())
	x.settle()
}

// settle ends a request whose body nobody reads to its end. The transport may
// be reading it still; the deadline wakes it.
func (x *exchange) settle() {
	if x.body == nil || x.body.finished() || x.decision == DecisionDenied {
		return
	}
	_ = x.body.Close()
	_ = http.NewResponseController(x.w).Flush()
	_ = x.g.SetReadDeadline(time.Now().Add(x.s.p.limits.leftover))
	_ = x.r.Body.Close()
}

func (x *exchange) record() Request {
	path, query, _ := strings.Cut(x.r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") && path != "*" {
		path, query = x.r.URL.EscapedPath(), x.r.URL.RawQuery
	}
	req := Request{
		Time: x.start, Domain: x.v.host, Port: x.v.port, Decision: x.decision, Process: x.g.process,
		Method: printable(x.r.Method), Path: printable(path), Query: printable(query), Status: x.status,
		Received: x.received, Duration: x.took, MatchedRule: printable(x.rule),
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
