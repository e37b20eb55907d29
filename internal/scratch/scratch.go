// Package scratch makes directories that last no longer than the process that
// made them.
//
// A process that is killed cannot remove its directory, so the next one does.
// It must not remove what is in use, nor what only looks like one of ours. So
// the owner holds a lock (flock(2)) on a file in the directory, which ends with
// the owner however that ends, and a sweep takes only a directory of this user
// that has such a file and whose lock is free. The name alone proves nothing: a
// directory without a lock file stays.
//
// The directory that is checked and the one that is removed are the same open
// directory. A name is never looked up twice, because in a directory that
// others may write to it could name something else the second time. Removing
// needs three descriptors however deep a tree is, because a guest decides how
// deep it is.
package scratch

import (
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
	dir    *os.File
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
	d = new(Dir)
	defer func() {
		if err != nil {
			_ = os.Remove(filepath.Join(path, lockName+".new"))
			_ = os.Remove(path)
			d.release()
			d, err = nil, fmt.Errorf("locking %s: %w", path, err)
		}
	}()
	if d.path, err = filepath.Abs(path); err != nil {
		return d, err
	}
	if d.dir, err = openDir(unix.AT_FDCWD, d.path); err != nil {
		return d, err
	}
	name := filepath.Join(d.path, lockName)
	if d.lock, err = os.OpenFile(name+".new", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err != nil {
		return d, err
	}
	if err = unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return d, err
	}
	return d, os.Rename(d.lock.Name(), name)
}

func (d *Dir) release() {
	for _, f := range []*os.File{d.dir, d.lock} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// Path is absolute.
func (d *Dir) Path() string { return d.path }

// Close removes the directory with all in it.
func (d *Dir) Close() error {
	d.closed.Do(func() {
		d.err = remove(d.dir, unix.AT_FDCWD, d.path)
		d.release() // not before: a sweep would take it
	})
	return d.err
}

// Temp is the directory for temporary files, or /tmp where that one's path is
// so long that no socket fits below it: a socket's path has 103 bytes at most
// (unix(7); macOS).
func Temp() string {
	if dir, err := filepath.Abs(os.TempDir()); err == nil && len(dir) <= 58 {
		return dir
	}
	return "/tmp"
}

// Sweep removes the directories in parent whose names begin with the prefix
// and that were left behind by processes that were killed. What cannot be
// removed is left: nothing has to fail for what an earlier process left.
func Sweep(parent, prefix string) {
	dir, err := os.Open(parent)
	if err != nil {
		return
	}
	defer dir.Close()
	entries, _ := dir.ReadDir(-1) // what could be read
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), prefix) {
			sweep(dir, e.Name())
		}
	}
}

func sweep(parent *os.File, name string) {
	dir, err := openDir(int(parent.Fd()), name)
	if err != nil {
		return
	}
	defer dir.Close()
	var owner, held, there unix.Stat_t
	if unix.Fstat(int(dir.Fd()), &owner) != nil || int(owner.Uid) != os.Geteuid() {
		return
	}
	lock, err := unix.Openat(int(dir.Fd()), lockName, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(lock)
	// Another sweep may have come first; then the file is no longer there.
	if unix.Flock(lock, unix.LOCK_EX|unix.LOCK_NB) != nil || unix.Fstat(lock, &held) != nil ||
		unix.Fstatat(int(dir.Fd()), lockName, &there, unix.AT_SYMLINK_NOFOLLOW) != nil || held.Ino != there.Ino || held.Dev != there.Dev {
		return
	}
	_ = remove(dir, int(parent.Fd()), name)
}
