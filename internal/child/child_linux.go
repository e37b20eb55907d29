package child

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func endWithUs(attr *syscall.SysProcAttr, orphan syscall.Signal) { attr.Pdeathsig = orphan }

// confine changes the calling thread, and what it starts from then on.
func confine(dir *os.File) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	if dir == nil {
		return nil
	}
	// The threads of a process share one working directory until they do this.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("a working directory of its own: %w", err)
	}
	return unix.Fchdir(int(dir.Fd()))
}
