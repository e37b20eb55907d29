package command

import (
	"os/exec"
	"syscall"
)

// attach gives a program a process group of its own, and its end with ours.
func attach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
