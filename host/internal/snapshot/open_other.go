//go:build !linux

package snapshot

import "golang.org/x/sys/unix"

// openRegular opens a regular file without following a link or waiting for
// the other end of a pipe.
func openRegular(dir int, name string, flags int) (int, *unix.Stat_t, error) {
	fd, err := openAt(dir, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, nil, err
	}
	st := new(unix.Stat_t)
	if err = unix.Fstat(fd, st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errNotRegular
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, nil, err
	}
	return fd, st, nil
}
