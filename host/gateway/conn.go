package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/capsem/capsem-bench/internal/contract"
)

// transport hands the SDK a connection that is there already.
type transport struct{ c *conn }

func (t transport) Connect(context.Context) (mcp.Connection, error) { return t.c, nil }

// A conn is one guest's connection as the SDK sees it: messages in, messages
// out, one at a time. It is between the SDK, which counts requests itself and
// knows ids that are numbers or texts, and a guest, who may use any JSON as
// an id or none at all, and who gets the next answer only after this one.
type conn struct {
	g       *Gateway
	net     net.Conn
	in      *bufio.Reader
	process string

	mu     sync.Mutex
	last   int64         // the SDK's id of the latest request
	call   *request      // is being answered
	busy   chan struct{} // of the latest request; closed when it is answered
	closed bool
	done   chan struct{}

	ctx    context.Context // ends with the connection
	cancel context.CancelCauseFunc
}

// connKey is the key of the connection in a context.
type connKey struct{}

// A request is what has to be known about one until it is answered.
type request struct {
	id     json.RawMessage // as it came; nil if it did not
	method string
	params []byte // compact JSON, nil if there were none
	tool   string
	at     time.Time
	done   chan struct{} // closed when it is answered

	watch    *time.Timer // looks whether the guest is still there; guarded by conn.mu
	reserved int64       // bytes of gateway.answers
}

func newConn(g *Gateway, c net.Conn) *conn {
	ctx, cancel := context.WithCancelCause(g.ctx)
	return &conn{g: g, net: c, in: bufio.NewReaderSize(c, 4<<10), done: make(chan struct{}), ctx: ctx, cancel: cancel}
}

// SessionID implements [mcp.Connection].
func (c *conn) SessionID() string { return "" }

// Close implements [mcp.Connection].
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	close(c.done)
	c.cancel(net.ErrClosed)
	return c.net.Close()
}

// unknown is a process whose connection has no metadata line.
const unknown = "unknown"

// maxProcess bounds the name of a process in the records, in bytes.
const maxProcess = 128

// readMetadata reads the metadata line. A first line that is none is used up all
// the same, as in Capsem.
func (c *conn) readMetadata() error {
	line, err := c.readLine(c.g.limits.first)
	if err != nil && !errors.Is(err, errTooLarge) {
		return err
	}
	c.process = unknown
	if name, ok := contract.ParseMetaLine(string(line)); ok {
		c.process = processName(name)
	}
	return nil
}

// processName makes a name from outside fit for a record.
func processName(s string) string {
	s = strings.Map(func(r rune) rune {
		if !termtext.Visible(r) {
			return -1
		}
		return r
	}, s)
	if len(s) > maxProcess {
		s = strings.ToValidUTF8(s[:maxProcess], "")
	}
	if s = strings.TrimSpace(s); s == "" {
		return unknown
	}
	return s
}

var errTooLarge = errors.New("line too large")

// readLine returns the next line without white space around it. It is valid
// until the next call. The first of its bytes may take the given time to come,
// or 0 for ever. What is too long is read to its end and dropped.
func (c *conn) readLine(first time.Duration) ([]byte, error) {
	if err := c.deadline(first); err != nil {
		return nil, err
	}
	if _, err := c.in.Peek(1); err != nil {
		return nil, err
	}
	if err := c.deadline(c.g.limits.rest); err != nil {
		return nil, err
	}
	var long []byte
	tooLarge := false
	for {
		part, err := c.in.ReadSlice('\n')
		switch {
		case tooLarge:
		case len(long)+len(part) > c.g.limits.line+64<<10: // white space may be many
			tooLarge, long = true, nil
		case long != nil || err == bufio.ErrBufferFull:
			long = append(long, part...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && (err != io.EOF || len(part)+len(long) == 0) {
			return nil, err
		}
		if long != nil {
			part = long
		}
		part = bytes.TrimSpace(part)
		if tooLarge || len(part) > c.g.limits.line {
			return nil, errTooLarge
		}
		return part, nil
	}
}

func (c *conn) deadline(d time.Duration) error {
	if d == 0 {
		return c.net.SetReadDeadline(time.Time{})
	}
	return c.net.SetReadDeadline(time.Now().Add(d))
}

// Read implements [mcp.Connection]. It returns a request when the one before
// is answered; a line that is none is answered here.
func (c *conn) Read(context.Context) (jsonrpc.Message, error) {
	if err := c.waitIdle(); err != nil {
		return nil, err
	}
	for {
		line, err := c.readLine(c.g.limits.idle)
		switch {
		case errors.Is(err, errTooLarge):
			err = c.send(nil, nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "request too large"})
			if err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		case len(line) == 0:
			continue
		}
		at := time.Now()
		r, err := parseRequest(line)
		if err != nil {
			if err := c.send(nil, nil, &jsonrpc.Error{Code: jsonrpc.CodeParseError, Message: "parse error"}); err != nil {
				return nil, err
			}
			continue
		}
		r.at = at
		return c.begin(r)
	}
}

// waitIdle waits until no request is being answered.
func (c *conn) waitIdle() error {
	c.mu.Lock()
	busy := c.busy
	c.mu.Unlock()
	if busy == nil {
		return nil
	}
	select {
	case <-busy:
		return nil
	case <-c.done:
		return net.ErrClosed
	}
}

// parseRequest reads a line. Unknown keys are ignored.
func parseRequest(line []byte) (*request, error) {
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method *string         `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	if !utf8.Valid(line) {
		return nil, errors.New("no UTF-8") // an id in the answer would be none either
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return nil, err
	}
	if m.Method == nil {
		return nil, errors.New("no method")
	}
	r := &request{method: *m.Method, done: make(chan struct{})}
	if m.ID != nil && string(m.ID) != "null" {
		r.id = m.ID
	}
	if m.Params != nil && string(m.Params) != "null" {
		var b bytes.Buffer
		if err := json.Compact(&b, m.Params); err != nil {
			return nil, err
		}
		r.params = b.Bytes()
	}
	return r, nil
}

const initialized = "notifications/initialized"

// begin turns a request into one of the SDK's. All but one method get an
// answer, also without an id, so they get one here.
func (c *conn) begin(r *request) (jsonrpc.Message, error) {
	method, params := sdkRequest(r)
	if r.method == initialized {
		return &jsonrpc.Request{Method: method, Params: params}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.call, c.busy = r, r.done
	c.watch(r)
	id, err := jsonrpc.MakeID(float64(c.last))
	return &jsonrpc.Request{ID: id, Method: method, Params: params}, err
}

// Write implements [mcp.Connection].
func (c *conn) Write(_ context.Context, msg jsonrpc.Message) error {
	answer, ok := msg.(*jsonrpc.Response)
	if !ok {
		return nil // a request of the SDK's own; Capsem makes none
	}
	r := c.take(answer.ID)
	if r == nil {
		return fmt.Errorf("answer %v to no request", answer.ID.Raw())
	}
	failure := wireError(r, answer.Error)
	c.record(r, answer.Result, failure)
	err := c.send(r.id, answer.Result, failure)
	c.g.answers.Add(-r.reserved)
	close(r.done)
	return err
}

// take returns the request that is being answered if it has the id.
func (c *conn) take(id jsonrpc.ID) *request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if want, err := jsonrpc.MakeID(float64(c.last)); err != nil || id != want {
		return nil
	}
	r := c.call
	c.call = nil
	r.watch.Stop()
	return r
}

// record reports the call.
func (c *conn) record(r *request, result json.RawMessage, failure *jsonrpc.Error) {
	call := Call{
		Time: r.at, Server: "gateway", Method: r.method, Tool: r.tool, RequestID: decimal(r.id), Request: string(r.params),
		Decision: DecisionAllowed, Duration: time.Since(r.at), Process: c.process, Sent: int64(len(r.params)),
	}
	if r.method == methodCall {
		call.Server = "builtin"
	}
	if failure != nil {
		call.Decision, call.Error = DecisionError, failure.Message
	} else {
		call.Response, call.Received = string(result), int64(len(result))
	}
	c.g.cfg.Recorder.RecordCall(call)
}

// decimal returns an id that is an unsigned integer, else "".
func decimal(id json.RawMessage) string {
	if _, err := strconv.ParseUint(string(id), 10, 64); err != nil {
		return ""
	}
	return string(id)
}

// A failure is an error with its keys in Capsem's order.
type failure struct {
	Code    int64           `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// send writes one line.
func (c *conn) send(id, result json.RawMessage, err *jsonrpc.Error) error {
	b := make([]byte, 0, len(result)+256)
	b = append(b, `{"jsonrpc":"2.0"`...)
	if id != nil {
		b = append(append(b, `,"id":`...), id...)
	}
	if err == nil {
		b = append(append(b, `,"result":`...), result...)
	} else {
		text, _ := marshal(failure{err.Code, err.Message, err.Data}) // texts and numbers
		b = append(append(b, `,"error":`...), text...)
	}
	b = append(b, "}\n"...)
	if err := c.net.SetWriteDeadline(time.Now().Add(c.g.limits.rest)); err != nil {
		return err
	}
	_, werr := c.net.Write(b)
	return werr
}

// marshal is json.Marshal without the escapes that only HTML needs.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
