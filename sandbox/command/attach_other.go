//go:build !linux

package command

import (
	"os/exec"
	"syscall"
)

func attach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
