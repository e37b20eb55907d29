package qemu

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// start starts a child that the kernel kills when this process ends, and
// returns a channel with its end. The terminal's interrupts do not reach it.
//
// The kernel takes the thread that forked for the parent (prctl(2),
// PR_SET_PDEATHSIG), so that thread stays until the child has ended.
func start(cmd *exec.Cmd) (<-chan error, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	return ended, <-started
}

// stopGrace is what a command gets to clean up after itself: mmdebstrap
// removes a tree of 200 MB.
const stopGrace = 20 * time.Second

// stopGroup asks a command's process group to end, waits, and kills what is left.
func stopGroup(pid int, ended <-chan error) {
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(stopGrace):
	}
	killGroup(pid)
}

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// lock takes a lock on an open file that ends with the process; it reports
// whether nobody else has it.
func lock(fd uintptr) bool { return syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) == nil }
