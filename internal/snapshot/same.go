package snapshot

import (
	"context"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"
)

// A liveSum is what the bytes of a file in the workspace hash to.
type liveSum struct {
	id  ident
	sum [32]byte
}

// A live is the workspace as one call sees it.
type live struct {
	tree  tree
	now   int64 // before it was scanned
	slack int64
	root  int // descriptor of the workspace
}

// look scans the workspace. Close the descriptor.
func (s *Store) look(ctx context.Context) (*live, error) {
	root, err := openDir(unix.AT_FDCWD, s.cfg.Workspace, 0)
	if err != nil {
		return nil, err
	}
	l := &live{now: fileClock(), slack: clockSlack(root), root: root}
	if l.tree, err = scan(ctx, s.cfg.Workspace); err != nil {
		_ = unix.Close(root)
		return nil, err
	}
	return l, nil
}

func (l *live) close() { _ = unix.Close(l.root) }

// sameShape reports whether two entries could be the same, and whether that
// is all there is to know.
func sameShape(a, b *entry) (same, known bool) {
	switch {
	case a.symlink != b.symlink || a.size != b.size || a.mode != b.mode:
		return false, true
	case a.symlink:
		return a.target == b.target, true
	case a.size == 0:
		return true, true
	}
	return true, false
}

// unchanged reports whether a file in the workspace is as in a snapshot:
// bytes, mode and kind. A file that vanishes meanwhile has changed.
func (s *Store) unchanged(ctx context.Context, l *live, file *entry, sn *snap, e *entry) (bool, error) {
	if same, known := sameShape(file, e); known {
		return same, nil
	}
	if e.id.sameFile(&file.stat) {
		return true, nil
	}
	sum, ok, err := s.liveSum(ctx, l, file)
	if !ok || err != nil {
		return false, err
	}
	stored, err := sn.sum(ctx, e)
	return sum == stored, err
}

// liveSum hashes a file of the workspace, once for each version of it.
func (s *Store) liveSum(ctx context.Context, l *live, file *entry) (sum [32]byte, ok bool, err error) {
	if known, ok := s.seen[file.path]; ok && known.id.sameFile(&file.stat) {
		return known.sum, true, nil
	}
	dir, name, err := openParent(l.root, file.path, false)
	if err != nil {
		return sum, false, ignoreGone(err, file.path)
	}
	defer unix.Close(dir)
	f, st, err := openRegular(dir, name, unix.O_RDONLY)
	if err != nil {
		return sum, false, ignoreGone(err, file.path)
	}
	defer unix.Close(f)
	if sum, err = hashFile(ctx, f, st.Size); err != nil {
		return sum, false, err
	}
	s.seen[file.path] = liveSum{id: identOf(st, l.now, l.slack), sum: sum}
	return sum, true, nil
}

// forget drops the hashes of files that are gone.
func (s *Store) forget(t tree) {
	if len(s.seen) <= 2*len(t)+64 {
		return
	}
	for path := range s.seen {
		if t.find(path) == nil {
			delete(s.seen, path)
		}
	}
}

// sum hashes a file of a snapshot, once.
func (sn *snap) sum(ctx context.Context, e *entry) ([32]byte, error) {
	c := e.content
	if c.known {
		return c.sum, nil
	}
	f, st, err := openRegular(unix.AT_FDCWD, sn.file(e.path), unix.O_RDONLY)
	if err != nil {
		return c.sum, err
	}
	defer unix.Close(f)
	if c.sum, err = hashFile(ctx, f, st.Size); err == nil {
		c.known = true
	}
	return c.sum, err
}

// hashFile hashes at most size bytes: a file may grow faster than it is read.
func hashFile(ctx context.Context, fd int, size int64) (sum [32]byte, err error) {
	h := blake3.New()
	buf := make([]byte, min(size, 256<<10))
	for size > 0 {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		n, err := unix.Read(fd, buf[:min(size, int64(len(buf)))])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return sum, err
		}
		if n == 0 {
			break
		}
		_, _ = h.Write(buf[:n])
		size -= int64(n)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// equal reports whether a file is the same in two snapshots.
func equal(ctx context.Context, a *snap, x *entry, b *snap, y *entry) (bool, error) {
	if same, known := sameShape(x, y); known {
		return same, nil
	}
	if x.content == y.content || (x.id != ident{} && x.id == y.id) {
		return true, nil
	}
	p, err := a.sum(ctx, x)
	if err != nil {
		return false, err
	}
	q, err := b.sum(ctx, y)
	return p == q, err
}
