package snapshot

import (
	"context"

	"golang.org/x/sys/unix"
)

// A liveSum is what the bytes of a file in the workspace hash to.
type liveSum struct {
	id  ident
	sum [32]byte
}

// maxSeen bounds the hashes of live files that are kept.
const maxSeen = 1 << 16

// A live is the workspace as one call sees it.
type live struct {
	tree   tree
	closed map[string]bool // directories that cannot be listed
	now    int64           // before it was scanned
	slack  int64
	root   int // descriptor of the workspace
	close  func()
}

// openLive opens the workspace without listing it. Close it.
func (s *Store) openLive() (*live, error) {
	root, err := openDir(unix.AT_FDCWD, s.cfg.Workspace, 0)
	if err != nil {
		return nil, err
	}
	return &live{now: fileClock(), slack: clockSlack(root), root: root, close: func() { _ = unix.Close(root) }}, nil
}

// look lists the workspace. Close it.
func (s *Store) look(ctx context.Context) (*live, error) {
	l, err := s.openLive()
	if err != nil {
		return nil, err
	}
	w, t, err := scan(ctx, s.cfg.Workspace, &s.memory)
	if err != nil {
		l.close()
		return nil, err
	}
	l.tree, l.closed = t, w.closed
	root := l.root
	l.close = func() {
		s.memory.give(w.taken)
		_ = unix.Close(root)
	}
	return l, nil
}

// hides reports whether a file that was not found may be in a directory that
// cannot be listed.
func (l *live) hides(path string) (hidden bool) {
	if len(l.closed) == 0 {
		return false
	}
	parents(path, func(dir string) bool {
		hidden = l.closed[dir]
		return !hidden
	})
	return hidden
}

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
// bytes, mode and kind. A file that vanishes meanwhile, or cannot be read, has
// changed.
func (s *Store) unchanged(ctx context.Context, l *live, file *entry, sn *snap, e *entry) (bool, error) {
	if same, known := sameShape(file, e); known {
		return same, nil
	}
	if e.id.proves(file.id) {
		return true, nil
	}
	sum, ok, err := s.liveSum(ctx, l, file)
	if !ok || err != nil {
		return false, err
	}
	stored, err := s.sum(ctx, sn, e)
	return sum == stored, err
}

// liveSum hashes a file of the workspace, once for each version of it.
func (s *Store) liveSum(ctx context.Context, l *live, file *entry) (sum [32]byte, ok bool, err error) {
	s.mu.Lock()
	known, ok := s.seen[file.path]
	s.mu.Unlock()
	if ok && known.id.proves(file.id) {
		return known.sum, true, nil
	}
	dir, name, err := openParent(l.root, file.path, false)
	if err != nil {
		return sum, false, ignoreUnreadable(err, file.path)
	}
	defer unix.Close(dir)
	f, st, err := openRegular(dir, name, unix.O_RDONLY)
	if err != nil {
		return sum, false, ignoreUnreadable(err, file.path)
	}
	defer unix.Close(f)
	if sum, err = hashFile(ctx, f, st.Size); err != nil {
		return sum, false, ignoreUnreadable(err, file.path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) >= maxSeen {
		clear(s.seen)
	}
	s.seen[file.path] = liveSum{id: identOf(st, l.now, l.slack), sum: sum}
	return sum, true, nil
}

func ignoreUnreadable(err error, path string) error {
	if unreadable(err) != "" {
		return nil
	}
	return ignoreGone(err, path)
}

// forget drops the hashes of files that are gone.
func (s *Store) forget(t tree) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) <= 2*len(t)+64 {
		return
	}
	for path := range s.seen {
		if t.find(path) == nil {
			delete(s.seen, path)
		}
	}
}

// sum hashes a file of a snapshot, once. Two requests at a time may both do it.
func (s *Store) sum(ctx context.Context, sn *snap, e *entry) ([32]byte, error) {
	s.mu.Lock()
	sum, known := e.content.sum, e.content.known
	s.mu.Unlock()
	if known {
		return sum, nil
	}
	f, st, err := sn.open(e.path)
	if err != nil {
		return sum, err
	}
	defer unix.Close(f)
	if sum, err = hashFile(ctx, f, st.Size); err != nil {
		return sum, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.content.sum, e.content.known = sum, true
	return sum, nil
}

// equal reports whether a file is the same in two snapshots.
func (s *Store) equal(ctx context.Context, a *snap, x *entry, b *snap, y *entry) (bool, error) {
	if x == y {
		return true, nil
	}
	if same, known := sameShape(x, y); known {
		return same, nil
	}
	if x.content == y.content || (x.id != ident{} && x.id == y.id) {
		return true, nil
	}
	p, err := s.sum(ctx, a, x)
	if err != nil {
		return false, err
	}
	q, err := s.sum(ctx, b, y)
	return p == q, err
}
