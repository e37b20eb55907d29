//go:build !linux

package sshd

import (
	"errors"
	"os"
	"os/exec"
)

var errNotLinux = errors.New("sessions need Linux")

type terminal struct{ master, slave *os.File }

func openTerminal(windowChange) (*terminal, error) { return nil, errNotLinux }

func (t *terminal) resize(windowChange) error { return errNotLinux }
func (t *terminal) sendEOF()                  {}
func (t *terminal) close()                    {}

func newSession(*exec.Cmd, bool) error { return errNotLinux }

func awaitEnd(int)                     {}
func killSession(int)                  {}
func signalGroup(int, string) error    { return errNotLinux }
func resultOf(*os.ProcessState) result { return result{status: 255} }
