package snapshot

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// openRegular opens a regular file without following a link. Files here are
// descriptors: an [os.File] costs several system calls more, which shows with
// many small files.
//
// A guest may put a device node into the place of a file at any moment, and
// opening one can act (a watchdog is armed, a tape rewinds). So the name is
// opened with O_PATH first, which calls no driver, looked at, and what was
// looked at is opened again through /proc/self/fd (open(2), O_PATH).
func openRegular(dir int, name string, flags int) (int, *unix.Stat_t, error) {
	at, err := openAt(dir, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, nil, err
	}
	defer unix.Close(at)
	st := new(unix.Stat_t)
	if err := unix.Fstat(at, st); err != nil {
		return -1, nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, nil, errNotRegular
	}
	fd, err := openAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(at), flags, 0)
	if errors.Is(err, unix.ENOENT) {
		return -1, nil, fmt.Errorf("/proc is not mounted: %s", err.Error())
	}
	return fd, st, err
}
