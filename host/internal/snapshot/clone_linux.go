package snapshot

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// reflink makes to share the blocks of from.
func reflink(to, from int) error { return unix.IoctlFileClone(to, from) }

// neverWorks reports an error of reflink that all files will give.
func neverWorks(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOSYS)
}

// kernelCopy copies some bytes without passing them through this process.
func kernelCopy(to, from int, at int64, size int) (int, error) {
	in, out := at, at
	for {
		n, err := unix.CopyFileRange(from, &in, to, &out, size, 0)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// copyByHand reports an error of kernelCopy that only says that it cannot.
func copyByHand(err error) bool {
	return neverWorks(err) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM)
}

// nextData returns where the next data of a file begin, and whether there are
// any. A filesystem that does not know its holes has data everywhere.
func nextData(fd int, at int64) (int64, bool) {
	data, err := unix.Seek(fd, at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return at, false
	case err != nil:
		return at, true
	}
	return data, true
}

// copySparse copies the data and not the holes: a guest can make a file of
// any size that takes no room, which must not take any here either.
func (c *cloner) copySparse(ctx context.Context, to, from int, size int64) (int64, error) {
	for at := int64(0); at < size; {
		begin, err := unix.Seek(from, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || begin >= size {
			break
		}
		if err != nil {
			return 0, err
		}
		end, err := unix.Seek(from, begin, unix.SEEK_HOLE)
		if err != nil {
			return 0, err
		}
		end = min(end, size)
		if at, err = c.copyRange(ctx, to, from, begin, end); err != nil {
			return 0, err
		}
		if at < end { // truncated meanwhile
			size = at
		}
	}
	return size, unix.Ftruncate(to, size)
}
