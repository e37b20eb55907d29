//go:build !linux

package child

import (
	"os"
	"syscall"
)

// endWithUs needs prctl(2) of Linux. Elsewhere a program outlives a killed
// command.
func endWithUs(*syscall.SysProcAttr, syscall.Signal) {}

// confine needs it too. What is confined runs on Linux only.
func confine(*os.File) error { return syscall.ENOSYS }
