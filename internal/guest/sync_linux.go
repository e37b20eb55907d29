package guest

import "golang.org/x/sys/unix"

// Datasync is fdatasync(2).
func Datasync(fd int) error { return unix.Fdatasync(fd) }

// AdviseRandom says that accesses will be random, so that the kernel reads
// nothing ahead; fio says the same.
func AdviseRandom(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM) }
