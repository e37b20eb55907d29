package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/capsem/capsem-bench/internal/contract"
	"golang.org/x/sys/unix"
)

// listenAt listens on an address. A Unix socket that a killed process has left
// there is removed first.
func listenAt(at contract.Address) (net.Listener, error) {
	ln, err := net.Listen(at.Network, at.Name)
	if at.Network != contract.Unix || !errors.Is(err, unix.EADDRINUSE) {
		return ln, err
	}
	// Of two commands that find the same socket one waits for the other, or it
	// would remove the socket that the other has just made.
	dir, derr := os.Open(filepath.Dir(at.Name))
	if derr != nil {
		return nil, err
	}
	defer dir.Close()
	if unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil, fmt.Errorf("%w, and its directory is locked by another command", err)
	}
	if why := stale(at.Name); why != "" {
		return nil, fmt.Errorf("%w: %s", err, why)
	}
	if rerr := os.Remove(at.Name); rerr != nil {
		return nil, errors.Join(err, rerr)
	}
	return net.Listen(at.Network, at.Name)
}

// stale returns "" for a socket of this user that nobody listens on, else why
// the path may not be removed.
func stale(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return err.Error()
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode().Type() != os.ModeSocket:
		return "it is no socket"
	case !ok || int(st.Uid) != os.Geteuid():
		return "the socket is another user's"
	}
	c, err := net.Dial(contract.Unix, path)
	switch {
	case err == nil:
		_ = c.Close()
		return "somebody listens on it"
	case !errors.Is(err, unix.ECONNREFUSED):
		return err.Error() // a full queue, for example: somebody listens
	}
	return ""
}
