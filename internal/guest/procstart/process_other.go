//go:build !linux

package procstart

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// waitForEnd waits until a process has ended and leaves it to be reaped. If
// kqueue cannot tell, reaping waits.
func waitForEnd(pid int) {
	kq, err := unix.Kqueue()
	if err != nil {
		return
	}
	defer unix.Close(kq)
	var exit unix.Kevent_t
	unix.SetKevent(&exit, pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	exit.Fflags = unix.NOTE_EXIT
	for {
		_, err := unix.Kevent(kq, []unix.Kevent_t{exit}, make([]unix.Kevent_t, 1), nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func memoryFile() (*os.File, error) { return nil, errors.ErrUnsupported }

func maxRSS(ru syscall.Rusage) int64 { return ru.Maxrss }

// Slim does nothing here.
func Slim() {}

// PeakRSS is not known here.
func PeakRSS() int64 { return 0 }
