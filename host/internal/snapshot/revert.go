package snapshot

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
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
// The file is replaced by renaming a new one into its place: whoever has the old
// one open, or another name for it, keeps it as it is, a program that runs goes
// on running, and a full disk or the end of this process leaves the one or the
// other. A guest sees the new file at once where its filesystem keeps no names
// (virtiofsd's cache=never, or timeout=0).
func (s *Store) Revert(ctx context.Context, path string, slot *int) (Reverted, error) {
	path, err := CleanPath(path)
	if err != nil {
		return Reverted{}, err
	}
	snaps, end, err := s.beginRead()
	if err != nil {
		return Reverted{}, err
	}
	defer end()
	file, err := s.stat(path)
	if err != nil {
		return Reverted{}, err
	}
	sn, e, err := version(snaps, path, slot)
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
	if file != nil && file.symlink && !e.symlink && s.leadsOut(path, file.target) {
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
func version(snaps []*snap, path string, slot *int) (*snap, *entry, error) {
	if slot != nil {
		i := slices.IndexFunc(snaps, func(sn *snap) bool { return sn.Slot == *slot })
		if i < 0 {
			return nil, nil, invalid("checkpoint %s not found", ID(*slot))
		}
		e := snaps[i].find(path)
		if e != nil && e.absent != "" {
			return nil, nil, failed(errors.New(e.absent), "the snapshot has no copy of the file")
		}
		return snaps[i], e, nil
	}
	for _, sn := range snaps {
		if e := sn.find(path); e != nil && e.absent == "" {
			return sn, e, nil
		}
	}
	return nil, nil, invalid("no snapshot contains this file")
}

func (s *Store) current(ctx context.Context, file *entry, sn *snap, e *entry) (bool, error) {
	l, err := s.openLive()
	if err != nil {
		return false, err
	}
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
		return nil, s.symlinkError(err)
	}
	return nil, failed(err, "failed to read file")
}

func (e *entry) is(kind uint32) bool { return e.kind == kind }

var (
	errLeadsOut = invalid("path resolves outside workspace (symlink escape)")
	errSymlink  = errors.New("a directory in its path is a symbolic link")
)

// A linkError is a symbolic link in place of a directory.
type linkError struct{ path, target string } // below the workspace; of the link

func (e *linkError) Error() string { return path.Base(e.path) + ": " + errSymlink.Error() }

func (e *linkError) Unwrap() error { return errSymlink }

// symlinkError tells a link that leads out of the workspace from one that
// stays within. Neither is followed.
func (s *Store) symlinkError(err error) error {
	var link *linkError
	if errors.As(err, &link) && s.leadsOut(link.path, link.target) {
		return errLeadsOut
	}
	return failed(err, "failed to resolve path")
}

// leadsOut reports whether the target of a link is outside of the workspace by
// its text alone. Looking for it on the host would tell a guest what is there.
func (s *Store) leadsOut(link, target string) bool {
	switch {
	case target+"/" == home:
		return false
	case strings.HasPrefix(target, home):
		target = strings.TrimPrefix(target, home)
	case within(path.Clean(target), s.cfg.Workspace): // as a guest without a VM names it
		target = strings.TrimPrefix(path.Clean(target), s.cfg.Workspace+"/")
	case strings.HasPrefix(target, "/"):
		return true
	default:
		target = path.Join("/", path.Dir(link)) + "/" + target
		depth := 0
		for part := range strings.SplitSeq(target, "/") {
			switch part {
			case "", ".":
			case "..":
				if depth--; depth < 0 {
					return true
				}
			default:
				depth++
			}
		}
		return false
	}
	clean := path.Clean(target)
	return clean == ".." || strings.HasPrefix(clean, "../")
}

// openParent opens the directory of a path, which is clean, below root. No
// component may be a symbolic link. Missing directories are made on demand.
func openParent(root int, name string, create bool) (fd int, base string, err error) {
	fd, err = openDir(root, ".", 0)
	rest, at := name, 0
	for err == nil {
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			return fd, rest, nil
		}
		at += i + 1
		fd, err = descend(fd, name[:at-1], rest[:i], create)
		rest = rest[i+1:]
	}
	return -1, "", err
}

// descend opens a directory in another and closes that; full is its path below
// the workspace.
func descend(dir int, full, name string, create bool) (int, error) {
	defer unix.Close(dir)
	if create {
		if err := unix.Mkdirat(dir, name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return -1, err
		}
	}
	fd, err := openDir(dir, name, unix.O_NOFOLLOW)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		if target, lerr := readlink(dir, name); lerr == nil {
			return -1, &linkError{full, target}
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
		return s.symlinkError(err)
	}
	if err != nil {
		return failed(err, "failed to create parent directory")
	}
	defer unix.Close(dir)
	if file != nil && file.is(unix.S_IFDIR) {
		return failed(unix.EISDIR, "failed to restore file")
	}
	if err := s.replace(ctx, file, dir, name, sn, e); err != nil {
		return failed(err, "failed to restore file")
	}
	return nil
}

// replace makes the file in the store's directory and renames it into its
// place, so that the workspace never has half a file. If the store is on
// another filesystem, it is made in the workspace itself.
func (s *Store) replace(ctx context.Context, file *entry, dir int, name string, sn *snap, e *entry) error {
	tmp, err := os.MkdirTemp(s.cfg.Dir, newPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	at, err := openDir(unix.AT_FDCWD, tmp, 0)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	err = s.moveIn(ctx, file, at, "file", dir, name, sn, e)
	if errors.Is(err, unix.EXDEV) {
		err = s.moveIn(ctx, file, dir, filepath.Base(tmp), dir, name, sn, e)
	}
	return err
}

// moveIn makes the file as one called made in a directory, with the owner of
// the file that is there now, and renames it into its place.
func (s *Store) moveIn(ctx context.Context, file *entry, at int, made string, dir int, name string, sn *snap, e *entry) error {
	if at != dir && onDifferentDisks(at, dir) {
		return unix.EXDEV // before the bytes are copied for nothing
	}
	if err := s.cloner.export(ctx, sn, e, at, made); err != nil {
		return err
	}
	if file != nil && os.Geteuid() == 0 {
		_ = unix.Fchownat(at, made, int(file.owner[0]), int(file.owner[1]), unix.AT_SYMLINK_NOFOLLOW)
	}
	if err := unix.Renameat(at, made, dir, name); err != nil {
		return errors.Join(err, unix.Unlinkat(at, made, 0))
	}
	return nil
}

func onDifferentDisks(a, b int) bool {
	var x, y unix.Stat_t
	return unix.Fstat(a, &x) == nil && unix.Fstat(b, &y) == nil && x.Dev != y.Dev
}

// export makes a new file out of one of a snapshot. Holes stay holes.
func (c *cloner) export(ctx context.Context, sn *snap, e *entry, dir int, name string) error {
	if e.symlink {
		return unix.Symlinkat(e.target, dir, name)
	}
	from, st, err := sn.open(e.path)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	to, err := openAt(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = c.copyBytes(ctx, to, from, st)
	if err == nil {
		err = unix.Fchmod(to, e.mode)
	}
	err = errors.Join(err, unix.Close(to))
	if err != nil {
		_ = unix.Unlinkat(dir, name, 0)
	}
	return err
}
