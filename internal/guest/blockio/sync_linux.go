package blockio

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Datasync is fdatasync(2). With two processors the call keeps its own.
func Datasync(fd int) error {
	if !withoutHandoff() {
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

// preadHere is pread that keeps its processor. The buffer must not be empty.
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

// InPlace reports whether the file's filesystem writes blocks where they were. A
// copy-on-write one puts each elsewhere, and a file that was overwritten at
// random is another one to read. Of what a host keeps a guest knows nothing:
// there the host's filesystem decides, for every file alike.
func InPlace(f *os.File) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil {
		return false
	}
	switch int64(st.Type) {
	case unix.BTRFS_SUPER_MAGIC, zfsMagic, bcachefsMagic, unix.F2FS_SUPER_MAGIC, unix.NILFS_SUPER_MAGIC:
		return false
	}
	return true
}

// Magic numbers that x/sys does not have.
const (
	zfsMagic      = 0x2fc12fc1
	bcachefsMagic = 0xca451a4e
)

// setOpenFiles sets the limit by a bare prlimit(2). The Go runtime remembers the
// limit that the process was started with and gives it to programs that it
// starts; syscall.Setrlimit would make it forget.
func setOpenFiles(limit unix.Rlimit) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
