package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"
)

// hashBlock is the unit in which files are hashed.
const hashBlock = 64 << 10

// hashFile hashes the blocks of a file that are not all zeros, each with its
// place; at most size bytes, for a file may grow faster than it is read. So a
// hole, which a guest makes of any size at once, costs nothing, and a file has
// one hash whether it has holes or zeros. The hash is for comparing within one
// process and is never stored.
func hashFile(ctx context.Context, fd int, size int64) (sum [32]byte, err error) {
	h := blake3.New()
	buf := make([]byte, min(size, hashBlock))
	var place [8]byte
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		data, more := nextData(fd, at)
		if !more {
			break
		}
		if data >= at+hashBlock {
			at = data &^ (hashBlock - 1)
			continue
		}
		n, err := preadFull(fd, buf[:min(size-at, hashBlock)], at)
		if err != nil {
			return sum, err
		}
		if n == 0 {
			break
		}
		if len(bytes.TrimLeft(buf[:n], "\x00")) > 0 {
			binary.LittleEndian.PutUint64(place[:], uint64(at))
			_, _ = h.Write(place[:])
			_, _ = h.Write(buf[:n])
		}
		at += int64(n)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// preadFull reads until the buffer is full or the file has ended.
func preadFull(fd int, p []byte, at int64) (n int, err error) {
	for n < len(p) {
		m, err := unix.Pread(fd, p[n:], at+int64(n))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, err
		case m == 0:
			return n, nil
		}
		n += m
	}
	return n, nil
}
