//go:build !linux

package blockio

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Datasync is fsync(2) where there is no fdatasync.
func Datasync(fd int) error { return unix.Fsync(fd) }

// AdviseRandom does nothing here.
func AdviseRandom(int) error { return nil }

func preadHere(fd int, buf []byte, off int64) (int, error) { return pread(fd, buf, off) }

func setOpenFiles(unix.Rlimit) error { return errors.ErrUnsupported }
