package snapshot

import "golang.org/x/sys/unix"

// fileClock reads the clock that the kernel stamps files with.
func fileClock() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts) != nil {
		return 0 // proves nothing: every file is younger
	}
	return ts.Nano()
}

// clockSlack is how far the ctimes of a filesystem may be behind that clock:
// not at all if this kernel sets them.
func clockSlack(fd int) int64 {
	var fs unix.Statfs_t
	if unix.Fstatfs(fd, &fs) != nil {
		return coarse
	}
	switch uint32(fs.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC,
		unix.OVERLAYFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC:
		return 0
	}
	return coarse
}
