package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Bounds on one tree: a guest can make any number of files with names of any
// length. What is too deep or has too long a path is left out; too many files,
// or too many bytes of paths, fail the request.
const (
	maxEntries   = 1 << 20
	maxPathBytes = 64 << 20
	maxDepth     = 200 // each level holds two descriptors open
)

var errTooLarge = errors.New("workspace too large")

// A walk lists a tree. Directories are walked at the same time, entries are
// collected in any order and sorted at the end. What vanishes in the course
// of it is left out; sockets, pipes and devices are left out too.
type walk struct {
	ctx   context.Context
	group errgroup.Group
	// take makes the entry of a regular file or symbolic link called name in
	// the directory src; nil leaves it out. dst is the directory of the copy.
	take   func(src, dst int, name, path string, st *unix.Stat_t) (*entry, error)
	copy   bool // make the directories in dst
	memory *memory

	mu        sync.Mutex
	entries   tree
	seen      int
	pathBytes int64
	taken     int64           // of memory
	closed    map[string]bool // directories that cannot be listed
	left      LeftOut
}

// run walks the directory root; dst is the directory of the copy or -1.
func (w *walk) run(root, dst string) (tree, error) {
	src, err := openDir(unix.AT_FDCWD, root, 0)
	if err != nil {
		return nil, err
	}
	out := -1
	if w.copy {
		if out, err = openDir(unix.AT_FDCWD, dst, 0); err != nil {
			_ = unix.Close(src)
			return nil, err
		}
	}
	w.group.SetLimit(runtime.GOMAXPROCS(0))
	err = w.dir(src, out, "", 0)
	if err := errors.Join(err, w.group.Wait()); err != nil {
		w.memory.give(w.taken)
		return nil, err
	}
	w.entries.sort()
	return w.entries, nil
}

// dir walks a directory and closes its descriptors.
func (w *walk) dir(src, dst int, path string, depth int) error {
	f := os.NewFile(uintptr(src), path)
	defer f.Close()
	if dst >= 0 {
		defer unix.Close(dst)
	}
	if depth > maxDepth {
		w.leave(path, fmt.Sprintf("directories more than %d deep", maxDepth))
		return nil
	}
	var found tree
	for {
		names, err := f.Readdirnames(1024)
		if err == io.EOF || isGone(err) { // the directory was removed
			break
		}
		if reason := unreadable(err); reason != "" {
			w.leave(path, reason)
			break
		}
		if err != nil {
			return err
		}
		if err := w.count(len(names)); err != nil {
			return err
		}
		slices.Sort(names)
		for _, name := range names {
			e, err := w.name(src, dst, name, join(path, name), depth)
			if err != nil {
				return err
			}
			if e != nil {
				found = append(found, e)
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries = append(w.entries, found...)
	return nil
}

func (w *walk) count(n int) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen += n; w.seen > maxEntries {
		return fmt.Errorf("%w: more than %d files", errTooLarge, maxEntries)
	}
	return nil
}

// keep counts what an entry takes. Entries that another tree holds already
// take a pointer.
func (w *walk) keep(e *entry) error {
	cost := int64(pointerSize)
	if e.refs == 0 {
		cost += e.cost()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pathBytes += int64(len(e.path) + len(e.target)); w.pathBytes > maxPathBytes {
		return fmt.Errorf("%w: its paths have more than %d MiB", errTooLarge, maxPathBytes>>20)
	}
	if e.absent != "" {
		w.left.add(e.path, e.absent)
	}
	if !w.memory.take(cost) {
		return fmt.Errorf("%w: its snapshots would need more than %d MiB of memory", errTooLarge, w.memory.max>>20)
	}
	w.taken += cost
	return nil
}

// leave notes a directory, or a path that is too long, that is left out.
func (w *walk) leave(path, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left.add(path, reason)
	if len(path) <= maxPath && len(w.closed) < maxClosed {
		if w.closed == nil {
			w.closed = make(map[string]bool)
		}
		w.closed[path] = true
	}
}

// maxClosed bounds the directories that are remembered as not listed.
const maxClosed = 10_000

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// name handles one name of a directory.
func (w *walk) name(src, dst int, name, path string, depth int) (*entry, error) {
	if len(path) > maxPath {
		w.leave(path, fmt.Sprintf("its path is longer than %d bytes", maxPath))
		return nil, nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(src, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, ignoreGone(err, path)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return nil, w.subdir(src, dst, name, path, depth)
	case unix.S_IFREG, unix.S_IFLNK:
		e, err := w.take(src, dst, name, path, &st)
		if reason := unreadable(err); reason != "" {
			e, err = &entry{path: path, absent: reason}, nil
		}
		if e == nil || err != nil {
			return nil, ignoreGone(err, path)
		}
		return e, w.keep(e)
	}
	return nil, nil
}

func (w *walk) subdir(src, dst int, name, path string, depth int) error {
	sub, err := openDir(src, name, unix.O_NOFOLLOW)
	if reason := unreadable(err); reason != "" {
		w.leave(path, reason)
		return nil
	}
	if err != nil {
		return ignoreGone(err, path)
	}
	out := -1
	if w.copy {
		if err := unix.Mkdirat(dst, name, 0o700); err != nil {
			_ = unix.Close(sub)
			return fmt.Errorf("%s: %w", path, err)
		}
		if out, err = openDir(dst, name, unix.O_NOFOLLOW); err != nil {
			_ = unix.Close(sub)
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	walk := func() error { return w.dir(sub, out, path, depth+1) }
	if w.group.TryGo(walk) {
		return nil
	}
	return walk()
}

// ignoreGone drops the error of a name that vanished or became something else
// after it was listed.
func ignoreGone(err error, path string) error {
	if err == nil || isGone(err) {
		return nil
	}
	return fmt.Errorf("%s: %w", path, err)
}

func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, errNotRegular) || errors.Is(err, errSymlink) ||
		errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// unreadable returns the reason if an error is about one file of the workspace
// that cannot be read, and "" for all others. The rest of the workspace can
// still be worked with.
func unreadable(err error) string {
	if err == nil || errors.Is(err, errStore) {
		return ""
	}
	for _, e := range []unix.Errno{unix.EACCES, unix.EPERM, unix.EIO, unix.ESTALE, unix.EBADMSG, unix.EOVERFLOW, unix.ENAMETOOLONG} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return ""
}

var errNotRegular = errors.New("not a regular file")

func openDir(dir int, name string, flags int) (int, error) {
	return openAt(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|flags, 0)
}

// openAt opens a name. A signal may break off an open on a network filesystem.
func openAt(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// readlink returns the target of a symbolic link.
func readlink(dir int, name string) (string, error) {
	buf := make([]byte, 256)
	for {
		n, err := unix.Readlinkat(dir, name, buf)
		if err == unix.EINVAL { // not a link any more
			return "", errNotRegular
		}
		if err != nil {
			return "", err
		}
		if n < len(buf) {
			return string(buf[:n]), nil
		}
		buf = make([]byte, 2*len(buf))
	}
}

// scan lists a tree without reading its files.
func scan(ctx context.Context, root string, m *memory) (*walk, tree, error) {
	w := &walk{ctx: ctx, memory: m, take: func(src, _ int, name, path string, st *unix.Stat_t) (*entry, error) {
		return newEntry(src, name, path, st)
	}}
	t, err := w.run(root, "")
	return w, t, err
}

// newEntry describes a file as it is on the disk.
func newEntry(dir int, name, path string, st *unix.Stat_t) (*entry, error) {
	e := &entry{
		path: path, id: rawIdent(st), kind: uint32(st.Mode) & unix.S_IFMT, mode: uint32(st.Mode) & modeBits, size: st.Size,
		owner: [2]int64{int64(st.Uid), int64(st.Gid)}, disk: st.Blocks * 512,
	}
	if e.kind != unix.S_IFLNK {
		return e, nil
	}
	var err error
	e.symlink, e.mode = true, 0
	e.target, err = readlink(dir, name)
	e.size = int64(len(e.target))
	return e, err
}
