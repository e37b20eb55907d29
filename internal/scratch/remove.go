package scratch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openDir opens a directory that is not a link, in another.
func openDir(at int, name string) (*os.File, error) {
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %.100q: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// remove removes an open directory with all in it, its lock file last, and then
// its name in another. A name that leads elsewhere by then costs nothing but an
// empty directory.
func remove(dir *os.File, at int, name string) error {
	r := remover{top: int(dir.Fd())}
	if err := r.empty(dir); err != nil {
		return fmt.Errorf("removing %.200s: %w", name, err)
	}
	if err := unix.Unlinkat(r.top, lockName, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing %.200s: %w", name, err)
	}
	if err := unix.Unlinkat(at, name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing %.200s: %w", name, err)
	}
	return nil
}

// A remover empties a tree. Directories below the first level are moved up to
// it, so that a tree of any depth needs two open directories and no long path.
type remover struct {
	top   int
	moved int
}

// batch is how many names are read at once.
const batch = 1024

// empty removes all but the lock file from the top directory.
func (r *remover) empty(top *os.File) error {
	for {
		if _, err := top.Seek(0, io.SeekStart); err != nil {
			return err
		}
		seen, gone, failed := 0, 0, error(nil)
		for {
			names, err := top.Readdirnames(batch)
			for _, name := range names {
				if name == lockName {
					continue
				}
				seen++
				if err := r.entry(name); err != nil {
					failed = err
				} else {
					gone++
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
		}
		switch {
		case seen == 0:
			return nil
		case gone == 0:
			return failed // one of them stands for all
		}
	}
}

// entry removes what has a name in the top directory.
func (r *remover) entry(name string) error {
	err := unix.Unlinkat(r.top, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !isDirectory(r.top, name) {
		return fmt.Errorf("%.100q: %w", name, err)
	}
	dir, err := openDir(r.top, name)
	if errors.Is(err, unix.EACCES) && unix.Fchmodat(r.top, name, 0o700, 0) == nil {
		dir, err = openDir(r.top, name)
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	_ = unix.Fchmod(int(dir.Fd()), 0o700) // its owner may have taken the rights away
	for n := 1; n > 0; {                  // until nothing is listed: a listing may miss names while others go
		if n, err = r.liftAll(dir); err != nil {
			return err
		}
	}
	if err := unix.Unlinkat(r.top, name, unix.AT_REMOVEDIR); err != nil {
		return fmt.Errorf("%.100q: %w", name, err)
	}
	return nil
}

// liftAll lifts what a listing of a directory has, and returns how many that
// were.
func (r *remover) liftAll(dir *os.File) (n int, err error) {
	if _, err := dir.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	for {
		names, err := dir.Readdirnames(batch)
		n += len(names)
		for _, name := range names {
			if err := r.lift(dir, name); err != nil {
				return n, err
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("%.100q: %w", dir.Name(), err)
		}
	}
}

// lift removes a file, or moves a directory up.
func (r *remover) lift(dir *os.File, name string) error {
	from := int(dir.Fd())
	err := unix.Unlinkat(from, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !isDirectory(from, name) {
		return fmt.Errorf("%.100q: %w", name, err)
	}
	for {
		r.moved++
		err := unix.Renameat(from, name, r.top, ".removed-"+strconv.Itoa(r.moved))
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.ENOTDIR):
			continue // a name that is taken
		case errors.Is(err, unix.EACCES) && unix.Fchmodat(from, name, 0o700, 0) == nil:
			if unix.Renameat(from, name, r.top, ".removed-"+strconv.Itoa(r.moved)) == nil {
				return nil
			}
		}
		return fmt.Errorf("%.100q: %w", name, err)
	}
}

// isDirectory looks without following a link. Fchmodat after it may follow one
// that was put there since; what is removed is the user's own by then.
func isDirectory(at int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}
