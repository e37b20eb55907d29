// Package scratch makes directories that last no longer than the process that
// made them.
//
// A process that is killed cannot remove its directory, so the next one does.
// It must not remove what is in use, nor what only looks like one of ours. So
// the owner holds a lock (flock(2)) on a file in the directory, which ends
// with the owner however that ends, and a sweep takes only a directory of this
// user that has such a file and whose lock is free. The name alone says
// nothing: what has no lock file stays.
package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// lockName is the file that the owner holds locked. It is in place with its
// lock or not at all, and it is the last that is removed, so that what a sweep
// could not finish is there for the next one.
const lockName = ".capsem-bench-lock"

// A Dir is one directory of this process. Close removes it.
type Dir struct {
	path   string
	lock   *os.File
	closed sync.Once
	err    error
}

// New makes a directory in parent. Its name is the prefix and something random.
func New(parent, prefix string) (*Dir, error) {
	path, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, err
	}
	return own(path)
}

// Make makes a directory of that name. The error is an fs.ErrExist if there is
// one.
func Make(path string) (*Dir, error) {
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, err
	}
	return own(path)
}

// own locks a new directory, or removes it.
func own(path string) (d *Dir, err error) {
	defer func() {
		if err != nil {
			_ = os.RemoveAll(path)
			err = fmt.Errorf("locking %s: %w", path, err)
		}
	}()
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	name := filepath.Join(path, lockName)
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Dir{path: path, lock: f}, nil
}

// Path is absolute.
func (d *Dir) Path() string { return d.path }

// Close removes the directory with all in it.
func (d *Dir) Close() error {
	d.closed.Do(func() {
		d.err = remove(d.path)
		_ = d.lock.Close() // not before: a sweep would take it
	})
	return d.err
}

// Temp is the directory for temporary files, or /tmp where that one's path is
// so long that no socket fits below it: a socket's path has 103 bytes at most
// (unix(7); macOS).
func Temp() string {
	if dir, err := filepath.Abs(os.TempDir()); err == nil && len(dir) <= 60 {
		return dir
	}
	return "/tmp"
}

// Sweep removes the directories in parent whose names begin with the prefix
// and that were left behind by processes that were killed. What cannot be
// removed is left: nothing has to fail for what an earlier process left.
func Sweep(parent, prefix string) {
	entries, _ := os.ReadDir(parent) // what could be read
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), prefix) {
			sweep(filepath.Join(parent, e.Name()))
		}
	}
}

func sweep(path string) {
	var dir unix.Stat_t
	if unix.Lstat(path, &dir) != nil || dir.Mode&unix.S_IFMT != unix.S_IFDIR || int(dir.Uid) != os.Geteuid() {
		return
	}
	name := filepath.Join(path, lockName)
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	// Another sweep may have come first; then the file is no longer there.
	var held, there unix.Stat_t
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil || unix.Fstat(fd, &held) != nil ||
		unix.Lstat(name, &there) != nil || held.Ino != there.Ino || held.Dev != there.Dev {
		return
	}
	_ = remove(path)
}

// remove removes a directory, its lock file last.
func remove(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		if e.Name() != lockName {
			errs = append(errs, os.RemoveAll(filepath.Join(path, e.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.RemoveAll(path)
}
