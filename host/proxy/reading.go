package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/host/internal/wire"
)

// A reading is what is known of the request that net/http reads from a guest.
// net/http answers what it cannot parse itself, without a handler; the record
// must have those requests too.
type reading struct {
	mu       sync.Mutex
	busy     bool // a handler has the request, or its answer is under way
	recorded bool // the request is in the records
	head     []byte
	wake     chan struct{} // of a read that waits for the end of a request
	over     bool          // the deadline of reads has passed
}

// maxHead is how much of a request is kept until its handler has it.
const maxHead = 4 << 10

// next begins another request.
func (r *reading) next() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy, r.recorded = false, false
}

// handled notes that a handler has the request. What was read behind it is the
// beginning of the next, unless it is its body.
func (r *reading) handled(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = true
	_, rest, ok := bytes.Cut(r.head, []byte("\r\n\r\n"))
	if !ok || req.ContentLength != 0 {
		rest = nil
	}
	r.head = bytes.Clone(rest)
}

func (r *reading) read(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if room := maxHead - len(r.head); room > 0 && !r.busy {
		r.head = append(r.head, p[:min(room, len(p))]...)
	}
}

// Read implements net.Conn. When a guest ends its sending side, it may still
// wait for the answer; net/http takes it for gone. So the read with which
// net/http watches over a handler, the only one of a single byte, waits until
// the handler is done or the guest has really gone.
func (g *guest) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if n > 0 {
		g.reading.read(p[:n])
		return n, err
	}
	if len(p) == 1 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		if g.awaitEnd() {
			return 0, brokenOff{}
		}
	}
	return n, err
}

// brokenOff is the error of a read whose deadline has passed. net/http ends the
// context of all further requests after any other.
type brokenOff struct{}

func (brokenOff) Error() string   { return "the read was broken off" }
func (brokenOff) Timeout() bool   { return true }
func (brokenOff) Temporary() bool { return true }

// lookEvery is how often it is looked whether a guest that sends nothing any
// more is still there, and maxHalf how long it may wait for an answer.
const (
	lookEvery = 200 * time.Millisecond
	maxHalf   = 2 * time.Minute
)

// awaitEnd returns true when net/http has no use for the read any more, which
// it tells with a deadline, and false when the guest has gone.
func (g *guest) awaitEnd() bool {
	r := &g.reading
	r.mu.Lock()
	if r.over {
		r.mu.Unlock()
		return true
	}
	wake := make(chan struct{})
	r.wake = wake
	r.mu.Unlock()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for end := time.Now().Add(maxHalf); time.Now().Before(end) && !wire.HungUp(g.wire.NetConn()); {
		select {
		case <-wake:
			return true
		case <-tick.C:
		}
	}
	return false
}

// SetReadDeadline implements net.Conn.
func (g *guest) SetReadDeadline(t time.Time) error {
	err := g.Conn.SetReadDeadline(t)
	r := &g.reading
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = !t.IsZero() && !t.After(time.Now())
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
	return err
}

// Close implements net.Conn.
func (g *guest) Close() error {
	_ = g.SetReadDeadline(time.Now())
	return g.Conn.Close()
}

// Write implements net.Conn. What is written while no handler has a request is
// net/http's own answer to one that it refuses.
func (g *guest) Write(p []byte) (int, error) {
	r := &g.reading
	r.mu.Lock()
	own := !r.busy && !r.recorded && bytes.HasPrefix(p, []byte("HTTP/1."))
	r.mu.Unlock()
	if own {
		status, reason := statusLine(p)
		g.refused("", "", status, reason)
	}
	return g.Conn.Write(p)
}

// statusLine returns the status of an answer and why it was given.
func statusLine(p []byte) (status int, reason string) {
	line, _, _ := strings.Cut(string(p[:min(len(p), maxText)]), "\r\n")
	_, reason, _ = strings.Cut(line, " ")
	code, _, _ := strings.Cut(reason, " ")
	status, _ = strconv.Atoi(code)
	return status, "not a request that can be passed on: " + reason
}

// incomplete records a request of which only a part came.
func (g *guest) incomplete() {
	r := &g.reading
	r.mu.Lock()
	part := !r.busy && !r.recorded && len(bytes.TrimSpace(r.head)) > 0
	r.mu.Unlock()
	if part {
		g.refused("", "", 0, "the request is not complete")
	}
}

// refused records a request that no handler passes on. Method and host are
// those that it was read to have, else what its text says.
func (g *guest) refused(method, host string, status int, reason string) {
	r := &g.reading
	r.mu.Lock()
	r.recorded = true
	head := string(r.head)
	r.head = nil
	r.mu.Unlock()
	line, fields, _ := strings.Cut(head, "\n")
	target := ""
	if method == "" {
		method, target, _ = strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.LastIndex(target, " HTTP/"); i >= 0 {
			target = target[:i]
		}
	}
	for field := range strings.SplitSeq(fields, "\n") {
		if name, value, ok := strings.Cut(field, ":"); ok && host == "" && strings.EqualFold(name, "Host") {
			host = strings.TrimSpace(value)
		}
	}
	req := Request{
		Time: time.Now(), Domain: g.name(), Port: g.port, Decision: DecisionError, Process: g.process, Status: status,
		Method: printable(method), MatchedRule: printable(reason), ConnType: ConnPlain,
	}
	req.Path, req.Query, _ = strings.Cut(printable(target), "?")
	if g.secured {
		req.ConnType = ConnTLS
	}
	if req.Domain == "" {
		if name, port, err := splitHostPort(host, 80); err == nil {
			req.Domain, req.Port = name, port
		} else {
			req.Domain = printable(host)
		}
	}
	g.slot.s.p.cfg.Recorder.RecordRequest(req)
}
