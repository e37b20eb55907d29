package wire

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// HungUp reports whether both directions of a connection are closed. TCP tells
// it from the end of one direction only when the peer's system says so, with a
// reset. c must not be closed.
func HungUp(c any) (gone bool) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd)}} // hang-ups and errors are always reported
		n, err := unix.Poll(fds, 0)
		gone = err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone || err != nil
}
