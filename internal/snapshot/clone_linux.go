package snapshot

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// reflink makes to share the blocks of from.
func reflink(to, from *os.File) error { return unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) }

// neverWorks reports an error of reflink that all files will give.
func neverWorks(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOSYS)
}

// copySparse copies the data and not the holes: a guest can make a file of
// any size that takes no room, which must not take any here either.
func copySparse(ctx context.Context, to, from *os.File, size int64) (int64, error) {
	for at := int64(0); at < size; {
		begin, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || begin >= size {
			break
		}
		if err != nil {
			return 0, err
		}
		end, err := unix.Seek(int(from.Fd()), begin, unix.SEEK_HOLE)
		if err != nil {
			return 0, err
		}
		end = min(end, size)
		for _, f := range []*os.File{from, to} {
			if _, err := f.Seek(begin, io.SeekStart); err != nil {
				return 0, err
			}
		}
		at, err = copyRange(ctx, to, from, begin, end)
		if err != nil {
			return 0, err
		}
		if at < end { // truncated meanwhile
			size = at
		}
	}
	return size, to.Truncate(size)
}
