package upstream

import (
	"errors"
	"io"
	"log"
	"math/rand/v2"
)

// blockSize is the period of the content before the index is mixed in.
const blockSize = 1 << 20

// block is random bytes. Byte i of any object is byte i of the endlessly
// repeated block, XORed with the number of the repetition: no compressor with
// a window below 1 MiB finds anything.
type block [blockSize]byte

func newBlock() *block {
	b := new(block)
	_, _ = rand.NewChaCha8([32]byte([]byte("capsem-bench hermetic origin 001"))).Read(b[:])
	return b
}

func (b *block) reader(size int64) io.ReadSeeker { return &content{block: b, size: size} }

// content reads the first size bytes of the content.
type content struct {
	block    *block
	size, at int64
}

func (c *content) Read(p []byte) (int, error) {
	if c.at >= c.size {
		return 0, io.EOF
	}
	off := c.at % blockSize
	n := int(min(int64(len(p)), c.size-c.at, blockSize-off))
	mask := byte(c.at / blockSize)
	src := c.block[off : off+int64(n)]
	for i, v := range src {
		p[i] = v ^ mask
	}
	c.at += int64(n)
	return n, nil
}

func (c *content) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += c.at
	case io.SeekEnd:
		off += c.size
	}
	if off < 0 {
		return 0, errors.New("upstream: seek before the start")
	}
	c.at = off
	return off, nil
}

// quiet drops what net/http logs: clients that hang up are part of the work.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
