package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/capsem/capsem-bench/internal/diskroom"
)

// Download copies a file or directory of the guest here, as cp -R does: into
// dst if that is a directory, else to that name. Permission bits are kept as
// far as the umask allows; what would run as another user (setuid) is not.
//
// The guest may send any name and change its files meanwhile. Everything is
// written through an os.Root, so nothing lands outside of the destination;
// a symbolic link is kept only if it stays inside the copied tree, and left out
// with a warning if not. A file appears under its name when it is complete. The
// copy ends where it would fill the disk (package diskroom), or has more than
// maxFiles files.
func (c *Client) Download(ctx context.Context, src, dst string) (Copied, error) {
	var d download
	err := func() error {
		f, done, err := c.files(ctx)
		if err != nil {
			return err
		}
		defer done()
		d.from = f
		info, err := f.Stat(src)
		if err != nil {
			return guestError(err, src)
		}
		dir, name, err := d.place(src, dst)
		if err != nil {
			return err
		}
		d.root, err = os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer d.root.Close()
		d.top, d.room = name, diskroom.NewMeter(dir)
		return d.copy(src, name, info, 0)
	}()
	return d.Copied, c.copied(ctx, err)
}

type download struct {
	Copied
	from *files
	root *os.Root // what is written lies below it
	top  string   // name of the copy in root
	room *diskroom.Meter
	made int // files and directories
}

// place splits the destination into a directory that exists and a name in it.
func (d *download) place(src, dst string) (dir, name string, err error) {
	if info, err := os.Stat(dst); err == nil && info.IsDir() {
		full := path.Clean(src)
		if base := path.Base(full); base == "." || base == ".." {
			if full, err = d.from.RealPath(src); err != nil {
				return "", "", guestError(err, src)
			}
		}
		name = path.Base(full)
		if !plain(name) {
			return "", "", fmt.Errorf("%s has no name of its own; give the copy one: %s", src, filepath.Join(dst, "NAME"))
		}
		return dst, name, nil
	}
	if strings.HasSuffix(dst, string(filepath.Separator)) {
		return "", "", fmt.Errorf("%s is no directory", dst)
	}
	abs, err := filepath.Abs(dst)
	return filepath.Dir(abs), filepath.Base(abs), err
}

// plain reports a name that is one element of a path.
func plain(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\\\x00") && filepath.IsLocal(name)
}

func (d *download) copy(src, dst string, info fs.FileInfo, depth int) error {
	d.made++
	switch {
	case d.made > maxFiles:
		return fmt.Errorf("guest:%q: more than %d files", src, maxFiles)
	case depth > maxDepth:
		return fmt.Errorf("guest:%q: more than %d directories deep", src, maxDepth)
	case info.IsDir():
		return d.dir(src, dst, info.Mode().Perm(), depth)
	case info.Mode().IsRegular():
		return d.file(src, dst, info.Mode().Perm())
	case info.Mode()&fs.ModeSymlink != 0:
		return d.link(src, dst, depth)
	}
	d.warn("guest:%q: left out: neither a file nor a directory", src)
	return nil
}

func (d *download) dir(src, dst string, mode fs.FileMode, depth int) error {
	var entries []os.FileInfo
	err := d.from.meter.limited(maxListing, func() (err error) {
		entries, err = d.from.ReadDir(src)
		return err
	})
	if err != nil {
		return guestError(err, src)
	}
	made := true
	if err := d.root.Mkdir(dst, mode|0o700); errors.Is(err, fs.ErrExist) {
		made = false // a file in the way is found when something is put into it
	} else if err != nil {
		return err
	}
	if info, err := d.root.Lstat(dst); err != nil || !info.IsDir() && depth > 0 {
		return fmt.Errorf("%s is there already, and is no directory", dst)
	}
	for _, e := range entries {
		if !plain(e.Name()) {
			return fmt.Errorf("guest:%q: the guest sent %q as the name of a file", src, e.Name())
		}
		if err := d.copy(path.Join(src, e.Name()), filepath.Join(dst, e.Name()), e, depth+1); err != nil {
			return err
		}
	}
	if made && mode&0o700 != 0o700 {
		return d.narrow(dst, mode)
	}
	return nil
}

// narrow takes away what the owner needed while the directory was filled.
func (d *download) narrow(dst string, mode fs.FileMode) error {
	info, err := d.root.Lstat(dst)
	if err != nil {
		return err
	}
	return d.root.Chmod(dst, info.Mode().Perm()&(mode|0o077))
}

// file writes beside the name first, then gives it the name.
func (d *download) file(src, dst string, mode fs.FileMode) (err error) {
	if info, err := d.root.Lstat(dst); err == nil && info.IsDir() {
		return fmt.Errorf("%s is there already, and is a directory", dst)
	}
	from, err := d.from.Open(src)
	if err != nil {
		return guestError(err, src)
	}
	defer from.Close()
	part := filepath.Join(filepath.Dir(dst), partName(filepath.Base(dst)))
	to, err := d.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = d.root.Remove(part)
		}
	}()
	w, err := d.room.Writer(to)
	if err != nil {
		_ = to.Close()
		return err
	}
	n, err := from.WriteTo(w)
	d.Files++
	d.Bytes += n
	if cerr := to.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return guestError(err, src)
	}
	return d.root.Rename(part, dst)
}

// link keeps a symbolic link that stays in the copied tree.
func (d *download) link(src, dst string, depth int) error {
	target, err := d.from.ReadLink(src)
	if err != nil {
		return guestError(err, src)
	}
	if !stays(target, depth-1) {
		d.warn("guest:%q: left out: a link to %q, which is outside of what is copied", src, target)
		return nil
	}
	if info, err := d.root.Lstat(dst); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		_ = d.root.Remove(dst)
	}
	return d.root.Symlink(target, dst)
}

// stays reports whether a link's target is inside the copied tree, when the
// link lies the given number of directories below its top. It may climb only at
// its start, where the directories are real: after another link, .. leads
// elsewhere than the text says.
func stays(target string, depth int) bool {
	if target == "" || path.IsAbs(target) || strings.ContainsAny(target, "\\\x00") {
		return false
	}
	elems := strings.Split(target, "/")
	for len(elems) > 0 && (elems[0] == ".." || elems[0] == "." || elems[0] == "") {
		if elems[0] == ".." {
			depth--
		}
		elems = elems[1:]
	}
	for _, e := range elems {
		if e == ".." {
			return false
		}
	}
	return depth >= 0
}
