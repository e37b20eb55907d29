package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A Reverted is what [Store.Revert] did.
type Reverted struct {
	Path     string
	Restored bool // else deleted, since the snapshot does not have it
	Snapshot Info
}

// Revert makes a file what it is in the snapshot of a slot; nil is the newest
// one that has it. A file that the snapshot does not have is deleted.
//
// A regular file is written in place: a guest may have its inode cached, and
// would go on reading the old one for a while if it were replaced.
func (s *Store) Revert(ctx context.Context, path string, slot *int) (Reverted, error) {
	path, err := CleanPath(path)
	if err != nil {
		return Reverted{}, err
	}
	end, err := s.begin()
	if err != nil {
		return Reverted{}, err
	}
	defer end()
	file, err := s.stat(path)
	if err != nil {
		return Reverted{}, err
	}
	sn, e, err := s.version(path, slot)
	if err != nil {
		return Reverted{}, err
	}
	out := Reverted{Path: path, Restored: e != nil, Snapshot: sn.Info}
	switch {
	case e == nil && file == nil:
		return out, invalid("file does not exist in snapshot or workspace")
	case e == nil:
		return out, s.removeFile(path)
	}
	if file != nil && file.symlink && !e.symlink && s.leadsOut(path) {
		return out, errLeadsOut
	}
	if file != nil && (file.symlink || file.is(unix.S_IFREG)) {
		same, err := s.current(ctx, file, sn, e)
		if err != nil {
			return out, failed(err, "failed to read file")
		}
		if same {
			return out, invalid("file already matches snapshot (already current)")
		}
	}
	return out, s.restore(ctx, file, sn, e)
}

// version returns the snapshot to revert to and its entry, which is nil if it
// was asked for and does not have the file.
func (s *Store) version(path string, slot *int) (*snap, *entry, error) {
	if slot != nil {
		sn := s.at(*slot)
		if sn == nil {
			return nil, nil, invalid("checkpoint %s not found", ID(*slot))
		}
		return sn, sn.tree.find(path), nil
	}
	for _, sn := range s.newestFirst() {
		if e := sn.tree.find(path); e != nil {
			return sn, e, nil
		}
	}
	return nil, nil, invalid("no snapshot contains this file")
}

func (s *Store) current(ctx context.Context, file *entry, sn *snap, e *entry) (bool, error) {
	root, err := openDir(unix.AT_FDCWD, s.cfg.Workspace, 0)
	if err != nil {
		return false, err
	}
	l := &live{now: fileClock(), slack: clockSlack(root), root: root}
	defer l.close()
	return s.unchanged(ctx, l, file, sn, e)
}

// stat describes a file of the workspace; nil if there is none.
func (s *Store) stat(path string) (*entry, error) {
	root, err := openDir(unix.AT_FDCWD, s.cfg.Workspace, 0)
	if err != nil {
		return nil, failed(err, "failed to read the workspace")
	}
	defer unix.Close(root)
	dir, name, err := openParent(root, path, false)
	if err == nil {
		defer unix.Close(dir)
		var st unix.Stat_t
		if err = unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
			e, err := newEntry(dir, name, path, &st)
			if err != nil {
				return nil, failed(err, "failed to read file")
			}
			return e, nil
		}
	}
	switch {
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR):
		return nil, nil
	case errors.Is(err, errSymlink):
		return nil, s.symlinkError(path, err)
	}
	return nil, failed(err, "failed to read file")
}

func (e *entry) is(kind uint32) bool { return uint32(e.stat.Mode)&unix.S_IFMT == kind }

var (
	errLeadsOut = invalid("path resolves outside workspace (symlink escape)")
	errSymlink  = errors.New("a directory in its path is a symbolic link")
)

// symlinkError tells a link that leads out of the workspace from one that
// stays within. Neither is followed.
func (s *Store) symlinkError(path string, err error) error {
	if s.leadsOut(path) {
		return errLeadsOut
	}
	return failed(err, "failed to resolve path")
}

// leadsOut reports whether following the links of a path ends outside. The
// answer chooses words and nothing else, so it may be outdated.
func (s *Store) leadsOut(path string) bool {
	full := filepath.Join(s.cfg.Workspace, filepath.FromSlash(path))
	for within(full, s.cfg.Workspace) {
		target, err := filepath.EvalSymlinks(full)
		if err == nil {
			return !within(target, s.cfg.Workspace)
		}
		full = filepath.Dir(full) // the last of it does not exist
	}
	return false
}

// openParent opens the directory of a path, which is clean, below root. No
// component may be a symbolic link. Missing directories are made on demand.
func openParent(root int, path string, create bool) (fd int, name string, err error) {
	fd, err = openDir(root, ".", 0)
	parts := strings.Split(path, "/")
	for _, part := range parts[:len(parts)-1] {
		if err != nil {
			return -1, "", err
		}
		fd, err = descend(fd, part, create)
	}
	return fd, parts[len(parts)-1], err
}

// descend opens a directory in another and closes that.
func descend(dir int, name string, create bool) (int, error) {
	defer unix.Close(dir)
	if create {
		if err := unix.Mkdirat(dir, name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return -1, err
		}
	}
	fd, err := openDir(dir, name, unix.O_NOFOLLOW)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		var st unix.Stat_t
		if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return -1, fmt.Errorf("%s: %w", name, errSymlink)
		}
	}
	return fd, err
}

// removeFile removes a file of the workspace.
func (s *Store) removeFile(path string) error {
	root, err := openDir(unix.AT_FDCWD, s.cfg.Workspace, 0)
	if err != nil {
		return failed(err, "failed to delete file")
	}
	defer unix.Close(root)
	dir, name, err := openParent(root, path, false)
	if err != nil {
		return failed(err, "failed to delete file")
	}
	defer unix.Close(dir)
	if err := unix.Unlinkat(dir, name, 0); err != nil {
		return failed(err, "failed to delete file")
	}
	return nil
}

// restore puts a file of a snapshot into the workspace; file is what is there
// now or nil.
func (s *Store) restore(ctx context.Context, file *entry, sn *snap, e *entry) error {
	root, err := openDir(unix.AT_FDCWD, s.cfg.Workspace, 0)
	if err != nil {
		return failed(err, "failed to restore file")
	}
	defer unix.Close(root)
	dir, name, err := openParent(root, e.path, true)
	if errors.Is(err, errSymlink) {
		return s.symlinkError(e.path, err)
	}
	if err != nil {
		return failed(err, "failed to create parent directory")
	}
	defer unix.Close(dir)
	switch {
	case file != nil && file.is(unix.S_IFDIR):
		err = unix.EISDIR
	case file != nil && !e.symlink && file.is(unix.S_IFREG):
		err = s.overwrite(ctx, dir, name, sn, e)
		if errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) || errors.Is(err, errNotRegular) {
			err = s.replace(ctx, dir, name, sn, e)
		}
	default:
		err = s.replace(ctx, dir, name, sn, e)
	}
	if err != nil {
		return failed(err, "failed to restore file")
	}
	return nil
}

// overwrite copies the snapshot's bytes over those of a regular file.
func (s *Store) overwrite(ctx context.Context, dir int, name string, sn *snap, e *entry) error {
	from, st, err := openRegular(unix.AT_FDCWD, sn.file(e.path), unix.O_RDONLY)
	if err != nil {
		return hideGone(err)
	}
	defer unix.Close(from)
	to, _, err := openRegular(dir, name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	n, err := s.cloner.copyRange(ctx, to, from, 0, st.Size)
	if err == nil {
		err = unix.Ftruncate(to, n)
	}
	if err == nil {
		err = unix.Fchmod(to, e.mode)
	}
	return errors.Join(err, unix.Close(to))
}

// replace makes the file beside the slots and renames it into its place, so
// that the workspace never has half a file. If the store is on another
// filesystem, it is made in the workspace itself.
func (s *Store) replace(ctx context.Context, dir int, name string, sn *snap, e *entry) error {
	tmp, err := os.MkdirTemp(s.cfg.Dir, newPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	made := filepath.Join(tmp, "file")
	if err := s.cloner.export(ctx, sn, e, unix.AT_FDCWD, made); err != nil {
		return err
	}
	err = unix.Renameat(unix.AT_FDCWD, made, dir, name)
	if !errors.Is(err, unix.EXDEV) {
		return err
	}
	beside := filepath.Base(tmp)
	if err := s.cloner.export(ctx, sn, e, dir, beside); err != nil {
		return err
	}
	if err := unix.Renameat(dir, beside, dir, name); err != nil {
		return errors.Join(err, unix.Unlinkat(dir, beside, 0))
	}
	return nil
}

// export makes a new file out of one of a snapshot.
func (c *cloner) export(ctx context.Context, sn *snap, e *entry, dir int, name string) error {
	if e.symlink {
		return unix.Symlinkat(e.target, dir, name)
	}
	from, st, err := openRegular(unix.AT_FDCWD, sn.file(e.path), unix.O_RDONLY)
	if err != nil {
		return hideGone(err)
	}
	defer unix.Close(from)
	to, err := openAt(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = c.copyRange(ctx, to, from, 0, st.Size)
	if err == nil {
		err = unix.Fchmod(to, e.mode)
	}
	err = errors.Join(err, unix.Close(to))
	if err != nil {
		_ = unix.Unlinkat(dir, name, 0)
	}
	return err
}
