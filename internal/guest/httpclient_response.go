package guest

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
)

// Limits of what an origin may send us.
const (
	responseBuffer = 16 << 10 // one TLS record
	maxHeader      = 64 << 10 // status line, fields and trailers
	maxChunkLine   = 4 << 10  // a chunk size with its extensions
	maxInterim     = 8        // 1xx responses before the final one
)

var (
	errHeaderTooLarge = errors.New("response header larger than 64 KiB")
	errShortBody      = errors.New("short body")
)

// malformed is an answer that is not HTTP/1.1 (RFC 9112).
type malformed string

func (m malformed) Error() string { return "malformed response: " + string(m) }

// The ways in which a body ends.
type framing int

const (
	noBody framing = iota
	byLength
	byChunks
	byClose
)

// responseHead is what the client needs of a status line and its fields.
type responseHead struct {
	status  int
	framing framing
	length  int64 // with byLength
	close   bool  // the connection ends with this response
}

// responseReader reads HTTP/1.1 responses from a connection. It allocates
// when it is made, and when a header is larger than its buffer.
type responseReader struct {
	src  io.Reader
	buf  []byte
	r, w int // buf[r:w] is read and not yet used

	// field, if set, sees every field of a final response. The slices are
	// valid until it returns.
	field func(name, value []byte)

	head  responseHead
	left  int64 // of the body, or of the chunk
	chunk bool  // inside a chunk's data, or before the line end after it
	done  bool  // the body is complete

	answered bool // a byte came since readHead was called
}

func newResponseReader(src io.Reader) *responseReader {
	return &responseReader{src: src, buf: make([]byte, responseBuffer), done: true}
}

// reset makes the reader read from another connection.
func (p *responseReader) reset(src io.Reader) {
	p.src, p.r, p.w, p.done = src, 0, 0, true
}

// buffered returns how many bytes wait that no response has claimed.
func (p *responseReader) buffered() int { return p.w - p.r }

// fill reads more into the buffer. The limit is on what is held at once.
func (p *responseReader) fill(limit int) error {
	if p.r == p.w {
		p.r, p.w = 0, 0
	}
	if p.w == len(p.buf) {
		if p.r > 0 {
			p.w = copy(p.buf, p.buf[p.r:p.w])
			p.r = 0
		} else if len(p.buf) >= limit {
			return errHeaderTooLarge
		} else {
			p.buf = append(p.buf, make([]byte, len(p.buf))...)
		}
	}
	for range 100 { // a reader that returns nothing for ever is broken
		n, err := p.src.Read(p.buf[p.w:])
		p.w += n
		if n > 0 {
			p.answered = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// line returns the next line without its end, valid until the next read. A
// lone LF ends a line too, as RFC 9112 section 2.2 allows.
func (p *responseReader) line(limit int) ([]byte, error) {
	scanned := 0
	for {
		if i := bytes.IndexByte(p.buf[p.r+scanned:p.w], '\n'); i >= 0 {
			end := p.r + scanned + i
			if end-p.r >= limit {
				return nil, errHeaderTooLarge
			}
			line := p.buf[p.r:end]
			p.r = end + 1
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		scanned = p.w - p.r
		if scanned >= limit {
			return nil, errHeaderTooLarge
		}
		if err := p.fill(maxHeader); err != nil {
			return nil, err
		}
	}
}

// readHead reads the head of the next final response. An io.EOF means that
// the connection ended before the first byte of one.
func (p *responseReader) readHead(method string) error {
	p.answered = p.buffered() > 0
	for range maxInterim {
		if p.r == p.w {
			if err := p.fill(maxHeader); err != nil {
				return err
			}
		}
		if err := p.oneHead(method); err != nil {
			if errors.Is(err, io.EOF) {
				err = malformed("it ends inside the header")
			}
			return err
		}
		if p.head.status >= 200 {
			return nil
		}
	}
	return malformed("no final response after 8 interim ones")
}

// oneHead reads a status line and its fields.
func (p *responseReader) oneHead(method string) error {
	line, err := p.line(maxHeader)
	if err != nil {
		return err
	}
	budget := maxHeader - len(line)
	p.head = responseHead{}
	minor, err := p.statusLine(line)
	if err != nil {
		return err
	}
	f := fields{length: -1, close: minor == 0}
	for {
		if line, err = p.line(budget); err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		budget -= len(line) + 2
		name, value, err := splitField(line)
		if err != nil {
			return err
		}
		if err := f.see(name, value); err != nil {
			return err
		}
		if p.field != nil && p.head.status >= 200 {
			p.field(name, value)
		}
	}
	return p.frame(method, minor, f)
}

// statusLine parses "HTTP/1.1 200 OK" and returns the minor version.
func (p *responseReader) statusLine(line []byte) (minor byte, err error) {
	const form = "HTTP/1.x nnn"
	if len(line) < len(form) || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return 0, malformed("no HTTP/1 status line")
	}
	minor = line[7] - '0'
	a, b, c := line[9]-'0', line[10]-'0', line[11]-'0'
	if minor > 9 || a < 1 || a > 9 || b > 9 || c > 9 || (len(line) > len(form) && line[12] != ' ') {
		return 0, malformed("no HTTP/1 status line")
	}
	p.head.status = int(a)*100 + int(b)*10 + int(c)
	if p.head.status == 101 {
		return 0, malformed("a switch of protocols that nobody asked for")
	}
	return minor, nil
}

// splitField parses "Name: value". A continued line starts with a space and
// has been obsolete since RFC 7230.
func splitField(line []byte) (name, value []byte, err error) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return nil, nil, malformed("a header line without a name")
	}
	name = line[:i]
	for _, c := range name {
		if !tokenByte(c) {
			return nil, nil, malformed("a header name with forbidden characters")
		}
	}
	value = trimSpaces(line[i+1:])
	for _, c := range value {
		if (c < ' ' && c != '\t') || c == 0x7f {
			return nil, nil, malformed("a header value with control characters")
		}
	}
	return name, value, nil
}

func tokenByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func trimSpaces(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// fields are the three header fields that decide how a response ends.
type fields struct {
	length  int64 // -1: not stated
	chunked bool
	coded   bool // some Transfer-Encoding was stated
	close   bool
}

func (f *fields) see(name, value []byte) error {
	switch len(name) {
	case len("Content-Length"):
		if equalFold(name, "content-length") {
			return f.seeLength(value)
		}
	case len("Transfer-Encoding"):
		if equalFold(name, "transfer-encoding") {
			if f.coded || !equalFold(value, "chunked") {
				return malformed("a Transfer-Encoding other than chunked")
			}
			f.coded, f.chunked = true, true
		}
	case len("Connection"):
		if equalFold(name, "connection") {
			f.seeConnection(value)
		}
	}
	return nil
}

func (f *fields) seeLength(value []byte) error {
	n := int64(0)
	for _, c := range value {
		d := int64(c) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return malformed("a Content-Length that is no number")
		}
		n = n*10 + d
	}
	if len(value) == 0 || (f.length >= 0 && f.length != n) {
		return malformed("an empty or contradictory Content-Length")
	}
	f.length = n
	return nil
}

func (f *fields) seeConnection(value []byte) {
	for len(value) > 0 {
		var option []byte
		if i := bytes.IndexByte(value, ','); i >= 0 {
			option, value = value[:i], value[i+1:]
		} else {
			option, value = value, nil
		}
		switch option = trimSpaces(option); {
		case equalFold(option, "close"):
			f.close = true
		case equalFold(option, "keep-alive"):
			f.close = false
		}
	}
}

// equalFold compares ASCII letters without case; lower is in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// frame decides where the body ends (RFC 9112 section 6.3).
func (p *responseReader) frame(method string, minor byte, f fields) error {
	p.head.close = f.close
	p.left, p.chunk, p.done = 0, false, false
	switch s := p.head.status; {
	case method == "HEAD", s < 200, s == 204, s == 304, method == "CONNECT" && s < 300:
		p.head.framing, p.done = noBody, true
	case f.coded && minor == 0:
		return malformed("chunks in HTTP/1.0")
	case f.chunked:
		p.head.framing = byChunks
		// Both at once is how requests are smuggled: such a connection
		// is not used again.
		p.head.close = p.head.close || f.length >= 0
	case f.length >= 0:
		p.head.framing, p.head.length, p.left = byLength, f.length, f.length
		p.done = f.length == 0
	default:
		p.head.framing, p.head.close = byClose, true
	}
	return nil
}
