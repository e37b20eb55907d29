package guest

import (
	"bytes"
	"errors"
	"io"
	"math"
)

// Read reads body bytes into dst; io.EOF says that the body is complete. What
// the buffer does not hold already goes straight from the connection to dst.
func (p *responseReader) Read(dst []byte) (int, error) {
	if p.done {
		return 0, io.EOF
	}
	if p.head.framing == byChunks && p.left == 0 {
		if err := p.nextChunk(); err != nil {
			return 0, cut(err)
		}
		if p.done {
			return 0, io.EOF
		}
	}
	if p.head.framing != byClose && int64(len(dst)) > p.left {
		dst = dst[:p.left]
	}
	n, err := p.read(dst)
	if p.head.framing == byClose {
		if err == io.EOF {
			p.done = true
		}
		return n, err
	}
	p.left -= int64(n)
	if p.head.framing == byLength && p.left == 0 {
		p.done = true
	}
	if err != nil {
		return n, cut(err)
	}
	return n, nil
}

// cut turns the end of the connection inside a body into a short body.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errShortBody
	}
	return err
}

// read takes bytes from the buffer, or from the connection when it is empty.
func (p *responseReader) read(dst []byte) (int, error) {
	if p.r < p.w {
		n := copy(dst, p.buf[p.r:p.w])
		p.r += n
		return n, nil
	}
	for range 100 {
		n, err := p.src.Read(dst)
		if n > 0 {
			return n, nil // an error comes again with the next read
		}
		if err != nil || len(dst) == 0 {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// nextChunk reads the line end after a chunk and the size of the next; after
// the last chunk also the trailers.
func (p *responseReader) nextChunk() error {
	if p.chunk {
		line, err := p.line(maxChunkLine)
		if err != nil {
			return err
		}
		if len(line) != 0 {
			return malformed("a chunk longer than its size")
		}
		p.chunk = false
	}
	line, err := p.line(maxChunkLine)
	if err != nil {
		return err
	}
	if p.left, err = chunkSize(line); err != nil {
		return err
	}
	if p.left > 0 {
		p.chunk = true
		return nil
	}
	for budget := maxHeader; ; {
		line, err := p.line(budget)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			p.done = true
			return nil
		}
		budget -= len(line) + 2
		if budget <= 0 {
			return errHeaderTooLarge
		}
	}
}

func chunkSize(line []byte) (int64, error) {
	if i := bytes.IndexByte(line, ';'); i >= 0 {
		line = line[:i]
	}
	line = trimSpaces(line)
	n := int64(0)
	for _, c := range line {
		var d int64
		switch {
		case '0' <= c && c <= '9':
			d = int64(c - '0')
		case 'a' <= c && c <= 'f':
			d = int64(c-'a') + 10
		case 'A' <= c && c <= 'F':
			d = int64(c-'A') + 10
		default:
			return 0, malformed("a chunk size that is no number")
		}
		if n > math.MaxInt64>>4 {
			return 0, malformed("a chunk size that is no number")
		}
		n = n<<4 | d
	}
	if len(line) == 0 {
		return 0, malformed("a chunk without a size")
	}
	return n, nil
}

// discard reads the body to its end without copying it anywhere and returns
// its length.
func (p *responseReader) discard() (total int64, err error) {
	for !p.done {
		if p.head.framing == byChunks && p.left == 0 {
			if err := p.nextChunk(); err != nil {
				return total, cut(err)
			}
			continue
		}
		if p.r == p.w {
			if err := p.fill(maxHeader); err != nil {
				if err == io.EOF && p.head.framing == byClose {
					p.done = true
					return total, nil
				}
				return total, cut(err)
			}
		}
		n := int64(p.w - p.r)
		if p.head.framing != byClose {
			n = min(n, p.left)
			p.left -= n
			p.done = p.left == 0 && p.head.framing == byLength
		}
		p.r += int(n)
		total += n
	}
	return total, nil
}
