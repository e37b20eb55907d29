package blockio

import "golang.org/x/sys/unix"

// otherFiles are the descriptors of the process besides those of a pass: the
// standard ones, those of the runtime and of the proof of cold.
const otherFiles = 64

// raiseOpenFiles raises the limit of open files to what so many files need, as
// far as this process may, and returns how many of them may be open at once.
// Root may pass the hard limit. restore brings the old limit back: programs that
// are started later, and measured, must not see the difference.
func raiseOpenFiles(files int) (allowed int, restore func()) {
	need := uint64(files + otherFiles)
	var old unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &old) != nil {
		return files, func() {}
	}
	have := old.Cur
	for _, want := range []unix.Rlimit{{Cur: need, Max: max(need, old.Max)}, {Cur: min(need, old.Max), Max: old.Max}} {
		if have < need && want.Cur > have && setOpenFiles(want) == nil {
			have = want.Cur
		}
	}
	restore = func() {
		if have != old.Cur {
			_ = setOpenFiles(old)
		}
	}
	return openable(files, have), restore
}

// openable is how many of the files may be open under a limit.
func openable(files int, limit uint64) int {
	if limit <= otherFiles {
		return 1
	}
	return int(min(uint64(files), limit-otherFiles))
}
