package snapshot

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A merger fills a directory with files of several snapshots.
type merger struct {
	dir   string
	taken map[string]bool // paths of files
	dirs  map[string]bool // paths of directories
	out   tree
}

// add takes a file over unless a later version is there.
func (m *merger) add(ctx context.Context, c *cloner, sn *snap, e *entry) error {
	if m.blocked(e.path) {
		return nil
	}
	path := filepath.Join(m.dir, filepath.FromSlash(e.path))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	merged := *e
	switch {
	case e.symlink:
		if err := os.Symlink(e.target, path); err != nil {
			return err
		}
	case os.Link(sn.file(e.path), path) != nil: // too many links already
		if err := c.copyStored(ctx, sn.file(e.path), path, e.mode); err != nil {
			return err
		}
		merged.content = new(content)
	}
	m.out = append(m.out, &merged)
	m.taken[e.path] = true
	parents(e.path, func(dir string) bool {
		m.dirs[dir] = true
		return true
	})
	return nil
}

// copyStored copies a file of the store within the store.
func (c *cloner) copyStored(ctx context.Context, src, dst string, mode uint32) error {
	from, st, err := openRegular(unix.AT_FDCWD, src, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	to, err := openAt(unix.AT_FDCWD, dst, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = c.copy(ctx, to, from, st)
	if err == nil {
		err = unix.Fchmod(to, mode)
	}
	return errors.Join(err, unix.Close(to))
}
