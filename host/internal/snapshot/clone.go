package snapshot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A cloner copies files into the store.
type cloner struct {
	noReflink atomic.Bool // the filesystem has none
	noRange   atomic.Bool // nor copies in the kernel
	buffers   sync.Pool
	disk      disk
}

// smallFile is up to where two system calls with a buffer of ours are faster
// than copy_file_range, which sets up a pipe when it cannot share blocks.
const smallFile = 128 << 10

// sparseFile is from where a file is looked through for holes.
const sparseFile = 16 << 10

// cloneTree copies the tree below src into dst, which is empty. Files that
// are the same as in the latest snapshot are linked to it; latest may be nil.
func (c *cloner) cloneTree(ctx context.Context, src, dst string, latest *snap, m *memory) (tree, LeftOut, error) {
	w := walk{ctx: ctx, copy: true, memory: m}
	var copied atomic.Int64
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
			if err := unix.Symlinkat(e.target, dst, name); err != nil {
				return nil, inStore(err)
			}
			if old := latest.find(path); old != nil && old.symlink && old.target == e.target {
				return old, nil
			}
			e.kind, e.id, e.disk = 0, ident{}, 0
			return e, nil
		}
		if latest != nil {
			if e := latest.linkTo(dst, name, path, st); e != nil {
				return e, nil
			}
		}
		e, err := c.cloneFile(ctx, src, dst, name, path, slack)
		if e != nil {
			copied.Add(e.disk)
		}
		return e, err
	}
	t, err := w.run(src, dst)
	if err != nil {
		c.disk.give(copied.Load())
	}
	return t, w.left, err
}

// find returns the entry of a path; a nil snapshot has none.
func (s *snap) find(path string) *entry {
	if s == nil {
		return nil
	}
	return s.tree.find(path)
}

// linkTo gives an unchanged file a second name in the store. It returns nil
// if the file has changed, or if no link can be made.
func (s *snap) linkTo(dst int, name, path string, st *unix.Stat_t) *entry {
	old := s.tree.find(path)
	if old == nil || old.symlink || old.absent != "" || !old.id.proves(rawIdent(st)) || old.mode != uint32(st.Mode)&modeBits {
		return nil
	}
	if unix.Linkat(s.root, path, dst, name, 0) != nil {
		return nil
	}
	return old
}

// cloneFile copies one regular file.
func (c *cloner) cloneFile(ctx context.Context, src, dst int, name, path string, slack int64) (e *entry, err error) {
	now := fileClock() // before the file is looked at
	from, st, err := openRegular(src, name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(from)
	room := st.Blocks * 512
	if err := c.disk.take(room); err != nil {
		return nil, err
	}
	defer func() {
		if e == nil || e.absent != "" {
			c.disk.give(room)
		}
	}()
	to, err := openAt(dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, inStore(err)
	}
	made := &entry{
		path: path, mode: uint32(st.Mode) & modeBits, id: identOf(st, now, slack), disk: room, content: new(content),
	}
	made.size, err = c.copy(ctx, to, from, st)
	if err == nil && made.mode != 0o600 {
		err = unix.Fchmod(to, made.mode)
	}
	if err = errors.Join(err, unix.Close(to)); err != nil {
		if reason := unreadable(err); reason != "" { // a read that failed
			return &entry{path: path, absent: reason}, inStore(unix.Unlinkat(dst, name, 0))
		}
		return nil, inStore(err)
	}
	return made, nil
}

// errStore marks an error of the store, which no error of a file in the
// workspace must be taken for.
var errStore = errors.New("copying")

func inStore(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errStore, hideGone(err))
}

// hideGone keeps an error of the store from being taken for a file that
// vanished from the workspace.
func hideGone(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return errors.New("in the store: " + err.Error())
	}
	return err
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
	return c.copyBytes(ctx, to, from, st)
}

// copyBytes is copy without sharing blocks: a file that a guest works with is
// on disk like one that it wrote.
func (c *cloner) copyBytes(ctx context.Context, to, from int, st *unix.Stat_t) (int64, error) {
	if st.Size > sparseFile && st.Blocks*512 < st.Size {
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

// open opens a regular file of the snapshot. Its path fits one system call
// from the snapshot's own directory, whatever that is called.
func (s *snap) open(path string) (int, *unix.Stat_t, error) {
	fd, st, err := openRegular(s.root, path, unix.O_RDONLY)
	return fd, st, hideGone(err)
}
