// Package wire has what the host's services share about connections: a Conn
// whose first bytes can be looked at before it is decided what they are, the
// loop that accepts connections, and whether a peer is still there.
package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
)

// TLSHandshake is the type of the first record of TLS (RFC 8446, section 5.1).
const TLSHandshake = 0x16

const (
	readBuffer = 32 << 10 // two full records of TLS
	maxLine    = 4 << 10
)

// A Conn is a connection with a read buffer. It keeps the contract of net.Conn:
// one reader and one writer at a time.
type Conn struct {
	net.Conn

	r *bufio.Reader
}

// NewConn reads and writes through c; closing the Conn closes c.
func NewConn(c net.Conn) *Conn { return &Conn{c, bufio.NewReaderSize(c, readBuffer)} }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// Peek returns the next byte without consuming it.
func (c *Conn) Peek() (byte, error) {
	next, err := c.r.Peek(1)
	if err != nil {
		return 0, err
	}
	return next[0], nil
}

// Unread puts bytes back in front of what is read next.
func (c *Conn) Unread(p []byte) {
	if len(p) > 0 {
		c.r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(p)), c.r), readBuffer)
	}
}

// ErrLineTooLong is returned by ReadLine.
var ErrLineTooLong = errors.New("line longer than 4 KiB")

// ReadLine consumes a line and returns it without its newline. The slice is
// valid until the next call. The line has at most 4 KiB; nothing is waited for
// when so much has come without a newline.
func (c *Conn) ReadLine() ([]byte, error) {
	for n := 1; ; n++ {
		if _, err := c.r.Peek(n); err != nil {
			return nil, err
		}
		n = min(c.r.Buffered(), maxLine)
		head, _ := c.r.Peek(n)
		if i := bytes.IndexByte(head, '\n'); i >= 0 {
			_, _ = c.r.Discard(i + 1)
			return head[:i], nil
		}
		if n == maxLine {
			return nil, ErrLineTooLong
		}
	}
}

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the sending side, if the connection below can.
func (c *Conn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return nil
}
