package snapshot

import (
	"context"

	"golang.org/x/sys/unix"
)

// A merger fills a directory with files of several snapshots.
type merger struct {
	root int             // descriptor of the directory
	seen map[string]bool // paths of files
	dirs map[string]bool // paths of directories
	out  tree

	memory        *memory
	taken, copied int64 // of memory and of disk
}

// add takes a file over unless a later version is there.
func (m *merger) add(ctx context.Context, c *cloner, sn *snap, e *entry) error {
	if m.blocked(e.path) {
		return nil
	}
	if e.absent != "" {
		return nil
	}
	dir, name, err := openParent(m.root, e.path, true)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	switch {
	case e.symlink:
		if err := unix.Symlinkat(e.target, dir, name); err != nil {
			return err
		}
	case unix.Linkat(sn.root, e.path, dir, name, 0) != nil: // too many links already
		if err := c.disk.take(e.disk); err != nil {
			return err
		}
		m.copied += e.disk
		if err := c.export(ctx, sn, e, dir, name); err != nil {
			return err
		}
		another := *e
		another.refs, another.content = 0, new(content)
		e = &another
	}
	if !m.memory.take(pointerSize) {
		return errTooLarge
	}
	m.taken += pointerSize
	m.out = append(m.out, e)
	m.seen[e.path] = true
	parents(e.path, func(dir string) bool {
		m.dirs[dir] = true
		return true
	})
	return nil
}
