//go:build !linux

package guest

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

func memoryFile() (*os.File, error) { return nil, errors.ErrUnsupported }

func maxRSS(*os.ProcessState) int64 { return 0 }

// Slim does nothing here.
func Slim() {}

// PeakRSS is not known here.
func PeakRSS() int64 { return 0 }
