//go:build !linux

package blockio

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Datasync is fsync(2) where there is no fdatasync.
func Datasync(fd int) error { return unix.Fsync(fd) }

// AdviseRandom does nothing here.
func AdviseRandom(int) error { return nil }

func preadHere(fd int, buf []byte, off int64) (int, error) { return pread(fd, buf, off) }

// InPlace is not known here.
func InPlace(*os.File) bool { return false }

func setOpenFiles(unix.Rlimit) error { return errors.ErrUnsupported }
