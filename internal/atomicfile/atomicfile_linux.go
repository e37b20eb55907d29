package atomicfile

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// withoutName opens a new file of a directory that has no name there. It
// reports false where that cannot be, or could get no name later.
func withoutName(dir string) (*os.File, bool) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, false
	}
	f := os.NewFile(uintptr(fd), dir)
	if _, err := os.Stat(path(f)); err != nil { // there need not be a /proc
		_ = f.Close()
		return nil, false
	}
	return f, true
}

func path(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

// link gives the file a name, which must be new.
func link(f *os.File, name string) error {
	if err := unix.Linkat(unix.AT_FDCWD, path(f), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW); err != nil {
		return &os.PathError{Op: "link", Path: name, Err: err}
	}
	return nil
}
