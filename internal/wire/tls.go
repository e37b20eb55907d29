package wire

import (
	"crypto/tls"
	"io"
	"sync"
)

// maxRecord is the most plaintext in one TLS record.
const maxRecord = 16 << 10

// Buffers are shared by the connections of one server. The zero value is
// ready; it must not be copied.
type Buffers struct{ pool sync.Pool }

// BufferSize is the length of every buffer.
const BufferSize = maxBuffer

// Get returns a buffer. Give it back with Put.
func (b *Buffers) Get() *[]byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		*buf = (*buf)[:BufferSize]
		return buf
	}
	buf := make([]byte, BufferSize)
	return &buf
}

// Put takes a buffer back; it must not be used any more.
func (b *Buffers) Put(buf *[]byte) { b.pool.Put(buf) }

// TLS is a TLS connection whose reads and writes are not bound to records.
type TLS struct {
	*tls.Conn
	wire    *Conn
	buffers *Buffers
}

// Server is tls.Server on a Conn. Set DynamicRecordSizingDisabled in cfg:
// growing records answer the first byte sooner on slow lines only.
func Server(c *Conn, cfg *tls.Config, b *Buffers) *TLS { return &TLS{tls.Server(c, cfg), c, b} }

// Client is tls.Client on a Conn.
func Client(c *Conn, cfg *tls.Config, b *Buffers) *TLS { return &TLS{tls.Client(c, cfg), c, b} }

// Read waits for one record and returns it with those that follow it already.
func (t *TLS) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if err != nil || n == 0 {
		return n, err
	}
	t.wire.drain = true
	for n < len(p) && t.wire.Buffered() > 0 {
		m, err := t.Conn.Read(p[n:])
		n += m
		if err != nil { // it stays, unless there is just nothing more
			break
		}
	}
	t.wire.drain = false
	return n, nil
}

// Write sends p as records that share system calls.
func (t *TLS) Write(p []byte) (int, error) {
	if len(p) <= maxRecord {
		return t.Conn.Write(p)
	}
	buf := t.buffers.Get()
	defer t.buffers.Put(buf)
	t.wire.hold(buf)
	n, err := t.Conn.Write(p)
	if rerr := t.wire.release(); rerr != nil && err == nil {
		return 0, rerr
	}
	return n, err
}

// ReadFrom copies r with a buffer as large as a Write can use.
func (t *TLS) ReadFrom(r io.Reader) (total int64, err error) {
	buf := t.buffers.Get()
	defer t.buffers.Put(buf)
	for {
		n, rerr := r.Read(*buf)
		if n > 0 {
			m, werr := t.Write((*buf)[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
		}
		if rerr == io.EOF {
			return total, nil
		}
		if rerr != nil {
			return total, rerr
		}
	}
}
