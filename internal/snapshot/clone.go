package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A cloner copies files into the store.
type cloner struct {
	noReflink atomic.Bool // the filesystem has none
	noRange   atomic.Bool // nor copies in the kernel
	buffers   sync.Pool
}

// smallFile is up to where two system calls with a buffer of ours are faster
// than copy_file_range, which sets up a pipe when it cannot share blocks.
const smallFile = 128 << 10

// cloneTree copies the tree below src into dst, which is empty. Files that
// are the same as in the latest snapshot are linked to it; latest may be nil.
func (c *cloner) cloneTree(ctx context.Context, src, dst string, latest *snap) (tree, error) {
	w := walk{ctx: ctx, copy: true}
	slack := int64(coarse)
	if fd, err := openDir(unix.AT_FDCWD, src, 0); err == nil {
		slack = clockSlack(fd)
		_ = unix.Close(fd)
	}
	w.take = func(src, dst int, name, path string, st *unix.Stat_t) (*entry, error) {
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			e, err := newEntry(src, name, path, st)
			if err != nil {
				return nil, err
			}
			return e, unix.Symlinkat(e.target, dst, name)
		}
		if latest != nil {
			if e := latest.linkTo(dst, name, path, st); e != nil {
				return e, nil
			}
		}
		return c.cloneFile(ctx, src, dst, name, path, slack)
	}
	return w.run(src, dst)
}

// linkTo gives an unchanged file a second name in the store. It returns nil
// if the file has changed, or if no link can be made.
func (s *snap) linkTo(dst int, name, path string, st *unix.Stat_t) *entry {
	old := s.tree.find(path)
	if old == nil || old.symlink || !old.id.sameFile(st) || old.mode != uint32(st.Mode)&modeBits {
		return nil
	}
	if unix.Linkat(unix.AT_FDCWD, s.file(path), dst, name, 0) != nil {
		return nil
	}
	e := *old
	return &e
}

// cloneFile copies one regular file.
func (c *cloner) cloneFile(ctx context.Context, src, dst int, name, path string, slack int64) (*entry, error) {
	now := fileClock() // before the file is looked at
	from, st, err := openRegular(src, name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(from)
	to, err := openAt(dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("copying: %w", hideGone(err))
	}
	e := &entry{path: path, mode: uint32(st.Mode) & modeBits, id: identOf(st, now, slack), content: new(content)}
	e.size, err = c.copy(ctx, to, from, st)
	if err == nil && e.mode != 0o600 {
		err = unix.Fchmod(to, e.mode)
	}
	if err = errors.Join(err, unix.Close(to)); err != nil {
		return nil, fmt.Errorf("copying: %w", hideGone(err))
	}
	return e, nil
}

// hideGone keeps an error of the store from being taken for a file that
// vanished from the workspace.
func hideGone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return errors.New("in the store: " + err.Error())
	}
	return err
}

// openRegular opens a regular file without following a link or waiting for
// the other end of a pipe. Files here are descriptors: an [os.File] costs
// several system calls more, which shows with many small files.
func openRegular(dir int, name string, flags int) (int, *unix.Stat_t, error) {
	fd, err := openAt(dir, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, nil, err
	}
	st := new(unix.Stat_t)
	if err = unix.Fstat(fd, st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errNotRegular
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, nil, err
	}
	return fd, st, nil
}

// copy fills an empty file and returns its size. A file that is written to
// meanwhile gives some mixture, at most as long as it was at the beginning.
func (c *cloner) copy(ctx context.Context, to, from int, st *unix.Stat_t) (int64, error) {
	if st.Size == 0 {
		return 0, nil
	}
	if !c.noReflink.Load() {
		err := reflink(to, from)
		if err == nil {
			var made unix.Stat_t
			err = unix.Fstat(to, &made)
			return made.Size, err
		}
		if neverWorks(err) {
			c.noReflink.Store(true)
		}
	}
	if st.Size > smallFile && st.Blocks*512 < st.Size {
		return c.copySparse(ctx, to, from, st.Size)
	}
	return c.copyRange(ctx, to, from, 0, st.Size)
}

// copyStep is how much is copied between two looks at the context.
const copyStep = 64 << 20

// copyRange copies what is between two offsets to the same place. It returns
// where it ended, which is before the end if the file is shorter.
func (c *cloner) copyRange(ctx context.Context, to, from int, at, end int64) (int64, error) {
	for at < end {
		if err := ctx.Err(); err != nil {
			return at, err
		}
		n, err := c.copySome(to, from, at, int(min(end-at, copyStep)))
		at += int64(n)
		if err != nil || n == 0 {
			return at, err
		}
	}
	return at, nil
}

// copySome copies at least one byte, unless the file has ended.
func (c *cloner) copySome(to, from int, at int64, size int) (int, error) {
	if size > smallFile && !c.noRange.Load() {
		n, err := kernelCopy(to, from, at, size)
		if err == nil {
			return n, nil
		}
		if !copyByHand(err) {
			return 0, err
		}
		c.noRange.Store(true)
	}
	buf, _ := c.buffers.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
		*buf = make([]byte, smallFile)
	}
	defer c.buffers.Put(buf)
	n, err := unix.Pread(from, (*buf)[:min(size, smallFile)], at)
	for err == unix.EINTR {
		n, err = unix.Pread(from, (*buf)[:min(size, smallFile)], at)
	}
	if err != nil || n == 0 {
		return 0, err
	}
	return n, pwriteAll(to, (*buf)[:n], at)
}

func pwriteAll(fd int, p []byte, at int64) error {
	for len(p) > 0 {
		n, err := unix.Pwrite(fd, p, at)
		if err != nil && err != unix.EINTR {
			return err
		}
		p, at = p[max(n, 0):], at+int64(max(n, 0))
	}
	return nil
}

// file returns where a file of the snapshot is.
func (s *snap) file(path string) string {
	return filepath.Join(s.dir, workspaceDir, filepath.FromSlash(path))
}
