package sshd

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo terminal: the process has the slave, we the master.
type terminal struct {
	master, slave *os.File
}

// openTerminal makes a pseudo terminal of the given size (pts(4)).
func openTerminal(size windowChange) (*terminal, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a terminal: %w", err)
	}
	t := &terminal{master: master}
	if err := t.open(size); err != nil {
		t.close()
		return nil, fmt.Errorf("opening a terminal: %w", err)
	}
	return t, nil
}

func (t *terminal) open(size windowChange) error {
	var number int
	err := t.control(func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if err != nil {
		return err
	}
	t.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = t.control(func(fd int) error {
		mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		mode.Iflag |= unix.IUTF8
		return unix.IoctlSetTermios(fd, unix.TCSETS, mode)
	})
	if err != nil {
		return err
	}
	return t.resize(size)
}

// control runs an ioctl on the master. Its Fd method would make reads block
// for good, even after Close.
func (t *terminal) control(f func(fd int) error) error {
	raw, err := t.master.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// resize sets the size; the kernel tells the foreground process (SIGWINCH).
func (t *terminal) resize(size windowChange) error {
	const most = 1<<16 - 1
	return t.control(func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{
			Col: uint16(min(size.Columns, most)), Row: uint16(min(size.Rows, most)),
			Xpixel: uint16(min(size.Width, most)), Ypixel: uint16(min(size.Height, most)),
		})
	})
}

// sendEOF types the end-of-file character, if the terminal takes lines.
func (t *terminal) sendEOF() {
	_ = t.control(func(fd int) error {
		mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil && mode.Lflag&unix.ICANON != 0 {
			_, err = unix.Write(fd, []byte{mode.Cc[unix.VEOF]})
		}
		return err
	})
}

func (t *terminal) close() { closeAll(t.master, t.slave) }
