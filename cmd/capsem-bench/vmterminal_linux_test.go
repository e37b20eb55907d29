package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A screen is a terminal with somebody in front of it.
type screen struct {
	master, slave *os.File
	shown         lockedBuffer
}

func newScreen(t *testing.T, rows, columns uint16) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	raw, err := master.SyscallConn()
	require.NoError(t, err)
	var number int
	require.NoError(t, raw.Control(func(fd uintptr) {
		assert.NoError(t, unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0))
		number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
	}))
	require.NoError(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	s := &screen{master: master, slave: slave}
	s.resize(t, rows, columns)
	go func() { _, _ = io.Copy(&s.shown, master) }()
	t.Cleanup(func() {
		_ = slave.Close()
		_ = master.Close()
	})
	return s
}

// resize tells the kernel, which sends SIGWINCH to whoever is in front.
func (s *screen) resize(t *testing.T, rows, columns uint16) {
	t.Helper()
	raw, err := s.master.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		assert.NoError(t, unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}))
	}))
}

func (s *screen) mode(t *testing.T) unix.Termios {
	t.Helper()
	mode, err := unix.IoctlGetTermios(int(s.slave.Fd()), unix.TCGETS)
	require.NoError(t, err)
	return *mode
}

func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(s.shown.String(), text) }, attachLimit, 5*time.Millisecond, text)
}

func (s *screen) keys(t *testing.T, keys string) {
	t.Helper()
	_, err := io.WriteString(s.master, keys)
	require.NoError(t, err)
}

// start runs the command on the screen and returns what waits for its status.
func (s *screen) start(t *testing.T, vm *standIn, args ...string) (wait func() int) {
	t.Helper()
	cmd := vm.command(t, "capsem-bench", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.slave, s.slave, s.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	return func() int {
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
}

// The command's terminal has the size of ours, also after ours has changed.
func TestAttachTerminalSize(t *testing.T) {
	vm, s := newStandIn(t), newScreen(t, 27, 91)
	wait := s.start(t, vm, "vm", "exec", "--vm", "dev", "-t", "--", "sh", "-c",
		"tty; stty size; trap 'stty size; exit 4' WINCH; echo $TERM ready; while :; do sleep 0.05; done")
	s.await(t, "27 91\r\nxterm ready\r\n")
	s.resize(t, 30, 100)
	assert.Equal(t, 4, wait())
	s.await(t, "ready\r\n30 100\r\n")
	assert.Regexp(t, `^/dev/pts/\d+\r\n`, s.shown.String())
}

// Every key is the command's, ^C and ^Z too; our terminal is afterwards as it was.
func TestAttachTerminalKeys(t *testing.T) {
	vm, s := newStandIn(t), newScreen(t, 24, 80)
	before := s.mode(t)
	wait := s.start(t, vm, "vm", "exec", "--vm", "dev", "-t", "--", "sh", "-c",
		"trap 'echo got INT' INT; echo ready; while ! read -r line; do :; done; echo \"<$line>\"; stty raw -echo; echo raw; head -c 4 | od -An -tx1; exit 6")
	s.await(t, "ready\r\n")
	s.keys(t, "\x03")
	s.await(t, "got INT\r\n")
	s.keys(t, "a line\r")
	s.await(t, "<a line>\r\n")
	s.await(t, "raw")
	s.keys(t, "\x03\x1a\x04\r")
	assert.Equal(t, 6, wait())
	s.await(t, "03 1a 04 0d")
	assert.Equal(t, before, s.mode(t))
}

// ~. leaves a command that takes no notice of anything, at once.
func TestAttachTerminalEscape(t *testing.T) {
	vm, s := newStandIn(t), newScreen(t, 24, 80)
	before := s.mode(t)
	wait := s.start(t, vm, "vm", "shell", "--vm", "dev")
	s.await(t, " ") // its prompt
	s.keys(t, "stty -echo; trap '' INT HUP TERM; echo $((6*7)); sleep 1000; echo late\r")
	s.await(t, "42\r\n")
	begin := time.Now()
	s.keys(t, "\r~.")
	assert.Equal(t, exitInterrupted, wait())
	assert.Less(t, time.Since(begin), execGrace)
	s.await(t, "capsem-bench: ~. left the command\r\n")
	assert.Equal(t, before, s.mode(t))
}
