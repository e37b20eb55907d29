package upstream

import (
	"crypto/subtle"
	"errors"
	"io"
	"math/rand/v2"
)

// The lengths of the two tables. They have no common factor, so their XOR
// repeats after 64 GiB; together they fit a processor's second cache.
const (
	tableA = 256 << 10
	tableB = tableA - 1
)

// source is what every object begins with: byte i is the XOR of two tables of
// random bytes, each repeated for ever. No compressor finds anything in it,
// any range of it starts at once, and it is made faster than a loopback
// socket takes it.
type source struct {
	a [tableA]byte
	b [tableB]byte
}

func newSource() *source {
	s := new(source)
	r := rand.NewChaCha8([32]byte([]byte("capsem-bench hermetic origin 001")))
	_, _ = r.Read(s.a[:]) // never fails
	_, _ = r.Read(s.b[:])
	return s
}

// object returns the first size bytes.
func (s *source) object(size int64) *content { return &content{source: s, size: size} }

// content reads an object.
type content struct {
	source   *source
	size, at int64
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (n int, err error) {
	if c.at >= c.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), c.size-c.at)]
	for n < len(p) {
		a, b := c.source.a[c.at%tableA:], c.source.b[c.at%tableB:]
		a = a[:min(len(a), len(p)-n)] // XORBytes takes the shorter one's length
		m := subtle.XORBytes(p[n:], a, b)
		n += m
		c.at += int64(m)
	}
	return n, nil
}

// Seek implements io.Seeker.
func (c *content) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		off += c.at
	case io.SeekEnd:
		off += c.size
	default:
		return 0, errors.New("seeking: no such origin")
	}
	if off < 0 {
		return 0, errors.New("seeking before the start")
	}
	c.at = off
	return off, nil
}
