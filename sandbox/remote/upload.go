package remote

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Upload copies a local file or directory into the guest as cp -R does: into
// dst if that is a directory, else to that name. Permission bits are kept, and
// symbolic links inside of a directory. A file appears under its name when it
// is complete.
func (c *Client) Upload(ctx context.Context, src, dst string) (Copied, error) {
	var u upload
	err := func() error {
		info, err := os.Stat(src)
		if err != nil {
			return err
		}
		f, done, err := c.files(ctx)
		if err != nil {
			return err
		}
		defer done()
		u.to = f
		if there, err := f.Stat(dst); err == nil && there.IsDir() {
			abs, err := filepath.Abs(src)
			if err != nil {
				return err
			}
			dst = path.Join(dst, filepath.Base(abs))
		}
		return u.copy(src, dst, info, 0)
	}()
	return u.Copied, c.copied(ctx, err)
}

type upload struct {
	Copied
	to *files
}

func (u *upload) copy(src, dst string, info fs.FileInfo, depth int) error {
	switch {
	case depth > maxDepth:
		return fmt.Errorf("%s: more than %d directories deep", src, maxDepth)
	case info.IsDir():
		return u.dir(src, dst, info, depth)
	case info.Mode().IsRegular():
		return u.file(src, dst, info)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(src)
		if err != nil {
			return err
		}
		_ = u.to.Remove(dst) // sftp replaces nothing
		return guestError(u.to.Symlink(target, dst), dst)
	}
	u.warn("%s: left out: neither a file nor a directory", src)
	return nil
}

func (u *upload) dir(src, dst string, info fs.FileInfo, depth int) error {
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	if err := u.to.Mkdir(dst); err != nil {
		if there, statErr := u.to.Stat(dst); statErr != nil || !there.IsDir() {
			return guestError(err, dst)
		}
	}
	for _, e := range entries {
		name := filepath.Join(src, e.Name())
		info, err := os.Lstat(name)
		if err == nil {
			err = u.copy(name, path.Join(dst, e.Name()), info, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return guestError(u.to.Chmod(dst, info.Mode().Perm()), dst)
}

// file writes beside the name first, unless the name is one of a device.
func (u *upload) file(src, dst string, info fs.FileInfo) (err error) {
	from, err := os.Open(src)
	if err != nil {
		return err
	}
	defer from.Close()
	there, statErr := u.to.Stat(dst)
	direct := statErr == nil && !there.Mode().IsRegular()
	name := dst
	if !direct {
		name = path.Join(path.Dir(dst), partName(path.Base(dst)))
		defer func() {
			if err != nil {
				_ = u.to.Remove(name)
			}
		}()
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if direct {
		flags = os.O_WRONLY
	}
	to, err := u.to.OpenFile(name, flags)
	if err != nil {
		return guestError(err, dst)
	}
	n, err := to.ReadFrom(from)
	if cerr := to.Close(); err == nil {
		err = cerr
	}
	if err == nil && !direct {
		if err = u.to.Chmod(name, info.Mode().Perm()); err == nil {
			err = u.to.PosixRename(name, dst)
		}
	}
	u.Files++
	u.Bytes += n
	return guestError(err, dst)
}

// guestError says that the path is one of the guest.
func guestError(err error, name string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("guest:%q: %w", name, err)
}
