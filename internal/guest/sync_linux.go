package guest

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Datasync is fdatasync(2), with the processor kept where one is to spare.
func Datasync(fd int) error {
	if !spare() {
		return unix.Fdatasync(fd)
	}
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_FDATASYNC, uintptr(fd), 0, 0)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// AdviseRandom says that accesses will be random, so that the kernel reads
// nothing ahead; fio says the same.
func AdviseRandom(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM) }

// preadHere is pread with the processor kept, for a buffer that is not empty.
func preadHere(fd int, buf []byte, off int64) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), uintptr(off), 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
