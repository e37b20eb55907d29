// Package wire makes connections cheap to stream through: system calls move
// up to 128 KiB, where crypto/tls alone makes one or two for every record of
// 16 KiB, and nothing waits for a buffer to fill.
//
// A Conn reads ahead, which also lets its owner look at the first bytes
// before deciding what they are. A TLS on top of it returns all records that
// have arrived in one Read, and sends all records of one Write together. The
// alternative, a timer that flushes, costs either delay or system calls.
//
// Accept is the loop with which the host's services take connections in.
package wire

import (
	"bytes"
	"errors"
	"net"
	"sync"
)

const (
	minBuffer = 4 << 10   // enough for the requests of an idle connection
	maxBuffer = 128 << 10 // beyond it, system calls no longer show in a profile
)

// A Conn is a connection with a read buffer that grows when it fills up. It
// keeps the contract of net.Conn: one reader and one writer at a time.
type Conn struct {
	net.Conn

	buf   []byte
	r, w  int // buf[r:w] is read and not yet used
	grow  bool
	rerr  error // came together with the last bytes
	drain bool  // return what is there and do not wait

	mu   sync.Mutex // of what is below
	held *[]byte    // collects writes if not nil
	werr error
}

// NewConn reads and writes through c; closing the Conn closes c.
func NewConn(c net.Conn) *Conn { return &Conn{Conn: c, buf: make([]byte, minBuffer)} }

// errNothingThere says that a draining read would have to wait. crypto/tls
// goes on after an error that calls itself temporary.
var errNothingThere error = nothingThere{}

type nothingThere struct{}

func (nothingThere) Error() string   { return "no data has arrived" }
func (nothingThere) Timeout() bool   { return true }
func (nothingThere) Temporary() bool { return true }

// Buffered returns how many bytes are read and not yet used.
func (c *Conn) Buffered() int { return c.w - c.r }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if c.r == c.w {
		if c.drain {
			return 0, errNothingThere
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	return n, nil
}

// fill reads once behind what is buffered. There must be room.
func (c *Conn) fill() error {
	if c.rerr != nil {
		err := c.rerr
		c.rerr = nil
		return err
	}
	if c.r == c.w {
		c.r, c.w = 0, 0
		if c.grow && len(c.buf) < maxBuffer {
			c.buf = make([]byte, min(4*len(c.buf), maxBuffer))
		}
	}
	n, err := c.Conn.Read(c.buf[c.w:])
	c.w += n
	c.grow = c.w == len(c.buf)
	if n > 0 {
		c.rerr = err
		return nil
	}
	return err
}

// Peek returns the next byte without using it.
func (c *Conn) Peek() (byte, error) {
	for c.r == c.w {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	return c.buf[c.r], nil
}

// Unread puts bytes back in front of what is read next.
func (c *Conn) Unread(p []byte) {
	if len(p) == 0 {
		return
	}
	rest := c.buf[c.r:c.w]
	buf := make([]byte, max(minBuffer, len(p)+len(rest)))
	c.r, c.w = 0, copy(buf, p)
	c.w += copy(buf[c.w:], rest)
	c.buf, c.grow = buf, false
}

// ErrLineTooLong is returned by ReadLine.
var ErrLineTooLong = errors.New("line longer than 4 KiB")

// ReadLine uses up a line with its newline and returns it without; the slice
// is valid until the next call. The line has at most 4 KiB.
func (c *Conn) ReadLine() ([]byte, error) {
	for {
		if i := bytes.IndexByte(c.buf[c.r:c.w], '\n'); i >= 0 {
			line := c.buf[c.r : c.r+i]
			c.r += i + 1
			if i >= minBuffer {
				return nil, ErrLineTooLong
			}
			return line, nil
		}
		if c.w-c.r >= minBuffer {
			return nil, ErrLineTooLong
		}
		if c.r > 0 {
			c.w = copy(c.buf, c.buf[c.r:c.w])
			c.r = 0
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.werr != nil {
		return 0, c.werr
	}
	if c.held == nil {
		return c.Conn.Write(p)
	}
	if len(*c.held)+len(p) > cap(*c.held) {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	*c.held = append(*c.held, p...)
	return len(p), nil
}

// hold collects what is written in buf until release.
func (c *Conn) hold(buf *[]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*buf = (*buf)[:0]
	c.held = buf
}

// release sends what was collected.
func (c *Conn) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.flush()
	c.held = nil
	return err
}

// flush keeps its error: what was lost cannot be told from what was sent.
func (c *Conn) flush() error {
	if c.werr == nil && len(*c.held) > 0 {
		_, c.werr = c.Conn.Write(*c.held)
		*c.held = (*c.held)[:0]
	}
	return c.werr
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
