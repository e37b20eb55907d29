package sandbox

import (
	"os/exec"
	"syscall"
)

// attach gives the child a process group of its own, so that the terminal's
// interrupt reaches it once, through us, and has it end when we do.
func attach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
