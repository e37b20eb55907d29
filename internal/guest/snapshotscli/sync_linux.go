package snapshotscli

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncTree writes the directory's file system back, so that the host sees
// what the guest wrote.
func syncTree(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}
