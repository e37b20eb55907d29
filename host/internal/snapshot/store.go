package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/internal/diskroom"
	"golang.org/x/sys/unix"
)

// Config configures a store.
type Config struct {
	Workspace string // directory that snapshots are taken of
	Dir       string // directory of the store, made if it is absent; not in the workspace
	// Slots 0 to AutoMax-1 are a ring of automatic snapshots, the ManualMax
	// slots above them are for those with a name. At least one each.
	AutoMax, ManualMax int
	// MaxMemory bounds the memory that lists of files take, MaxDisk the bytes
	// of the files in the store; 0 is a default.
	MaxMemory, MaxDisk int64
	Log                *slog.Logger // nil drops it
}

// An Origin says who asked for a snapshot.
type Origin string

// The origins.
const (
	Auto   Origin = "auto"
	Manual Origin = "manual"
)

// Info describes a snapshot.
type Info struct {
	Slot   int
	Time   time.Time
	Origin Origin
	Name   string // "" for an automatic one
	Hash   string // "" for an automatic one, as in Capsem; else 64 hex digits
	Files  int    // regular files
	// LeftOut are the files of the workspace that the snapshot lacks; nil is none.
	LeftOut *LeftOut
}

// A Store holds the snapshots of one workspace. Methods that change it take
// turns; those that read it wait for nobody, so a file that takes long to read
// delays only who asked about it. Only one process can have a store open.
// Close it.
type Store struct {
	cfg    Config
	lock   *os.File
	cloner cloner
	memory memory // of all trees: those of slots, and of the workspace while it is read
	now    func() time.Time

	turn   chan struct{} // held by the method that changes the store
	auto   int           // where the next automatic snapshot goes
	manual int           // where the search for a free manual slot begins

	mu     sync.Mutex // of what is below and of contents; never held while a file is read
	slots  []*snap    // by slot; nil is free. A change holds turn and mu.
	seen   map[string]liveSum
	closed bool
}

// A snap is a snapshot in its slot.
type snap struct {
	Info
	dir  string
	root int // descriptor of its copy of the workspace
	tree tree

	// Guarded by Store.mu.
	readers  int    // requests that read it
	gone     string // where it waits to be removed, "" while it is in its slot
	diffBase *snap  // what diffRows were made against
	diffRows []Change
}

// Names in the store. Those that begin with a dot are never a snapshot.
const (
	workspaceDir = "workspace"
	metadataFile = "metadata.json"
	lockFile     = ".lock"
	newPrefix    = ".new-"
	gonePrefix   = ".gone-"
)

// Open opens a store, clears what a killed process left in it and reads the
// snapshots that it has.
func Open(ctx context.Context, cfg Config) (s *Store, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.AutoMax < 1 || cfg.ManualMax < 1 {
		return nil, fmt.Errorf("snapshots: %d automatic and %d manual slots; want at least one each", cfg.AutoMax, cfg.ManualMax)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	if cfg.Workspace, cfg.Dir, err = separate(cfg.Workspace, cfg.Dir); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	s = &Store{
		cfg: cfg, now: time.Now, slots: make([]*snap, cfg.AutoMax+cfg.ManualMax),
		manual: cfg.AutoMax, seen: make(map[string]liveSum), turn: make(chan struct{}, 1),
	}
	s.memory.max = cmp.Or(cfg.MaxMemory, defaultMemory)
	s.cloner.disk = disk{max: cmp.Or(cfg.MaxDisk, defaultDisk), dir: cfg.Dir, free: diskroom.On}
	if s.lock, err = lock(filepath.Join(cfg.Dir, lockFile)); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	if err := s.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("snapshots: %w", err), s.lock.Close())
	}
	return s, nil
}

// separate resolves both directories and refuses one inside the other: the
// guest must not reach the store, and no snapshot be part of the next.
func separate(workspace, dir string) (string, string, error) {
	w, err := real(workspace)
	if err != nil {
		return "", "", err
	}
	d, err := real(dir)
	if err != nil {
		return "", "", err
	}
	if info, err := os.Stat(w); err != nil || !info.IsDir() {
		return "", "", errors.Join(fmt.Errorf("workspace %s is no directory", workspace), err)
	}
	if within(w, d) || within(d, w) {
		return "", "", fmt.Errorf("the workspace %s and the store %s must not be one inside the other", workspace, dir)
	}
	return w, d, nil
}

func real(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// within reports whether path is dir or below it. Both are clean.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// lock keeps a second process out. The lock ends with the process.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("the store %s is in use by another process", filepath.Dir(path)), f.Close())
	}
	return f, nil
}

// Close waits for the method that changes the store and unlocks it. The
// snapshots stay.
func (s *Store) Close() error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for _, sn := range s.slots {
		if sn != nil && sn.readers == 0 {
			_ = unix.Close(sn.root)
		}
	}
	return s.lock.Close()
}

var errClosed = errors.New("the store is closed")

// beginChange starts a method that changes the store.
func (s *Store) beginChange(ctx context.Context) (end func(), err error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, failed(context.Cause(ctx), "gave up")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		<-s.turn
		return nil, errClosed
	}
	return func() { <-s.turn }, nil
}

// beginRead starts a method that reads the store. The snapshots, newest first,
// stay readable until end, also when they are deleted meanwhile.
func (s *Store) beginRead() (snaps []*snap, end func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, errClosed
	}
	snaps = s.newestFirst()
	for _, sn := range snaps {
		sn.readers++
	}
	return snaps, func() { s.endRead(snaps) }, nil
}

func (s *Store) endRead(snaps []*snap) {
	s.mu.Lock()
	var gone []*snap
	for _, sn := range snaps {
		sn.readers--
		if sn.readers == 0 && (sn.gone != "" || s.closed) {
			gone = append(gone, sn)
		}
	}
	s.mu.Unlock()
	for _, sn := range gone {
		if err := sn.bury(); err != nil {
			s.cfg.Log.Warn("removing a snapshot", "checkpoint", ID(sn.Slot), "error", err)
		}
	}
}

// bury closes a snapshot that nobody reads, and removes it if it is deleted.
func (sn *snap) bury() error {
	err := unix.Close(sn.root)
	if sn.gone != "" {
		err = errors.Join(err, os.RemoveAll(sn.gone))
	}
	return err
}

// load reads what is in the store.
func (s *Store) load(ctx context.Context) error {
	list, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	known := &loaded{files: make(map[[2]uint64]*entry), links: make(map[string]*entry)}
	for _, d := range list {
		path := filepath.Join(s.cfg.Dir, d.Name())
		if strings.HasPrefix(d.Name(), newPrefix) || strings.HasPrefix(d.Name(), gonePrefix) {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
			continue
		}
		slot, ok := slotOf(d.Name())
		if !ok {
			continue // not ours
		}
		sn, err := s.readSnap(ctx, path, slot, known)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errTooLarge):
			return fmt.Errorf("%s: %w", ID(slot), err)
		case err != nil:
			s.cfg.Log.Warn("a snapshot is not whole and is dropped", "checkpoint", ID(slot), "error", err)
			if err := s.remove(path); err != nil {
				return err
			}
		case slot >= len(s.slots) || (sn.Origin == Auto) != (slot < s.cfg.AutoMax):
			_ = unix.Close(sn.root)
			return fmt.Errorf("%s holds %s snapshot %s: the store was made with other numbers of slots", s.cfg.Dir, sn.Origin, ID(slot))
		default:
			s.slots[slot] = sn
		}
	}
	s.resume()
	return nil
}

// resume goes on numbering after the latest snapshot of each kind.
func (s *Store) resume() {
	for _, sn := range s.newestFirst() {
		if sn.Origin == Auto {
			s.auto = (sn.Slot + 1) % s.cfg.AutoMax
			break
		}
	}
	for _, sn := range s.newestFirst() {
		if sn.Origin == Manual {
			s.manual = s.nextManual(sn.Slot)
			break
		}
	}
}

func (s *Store) nextManual(slot int) int {
	return s.cfg.AutoMax + (slot+1-s.cfg.AutoMax)%s.cfg.ManualMax
}

// newestFirst returns the snapshots.
func (s *Store) newestFirst() []*snap {
	var list []*snap
	for _, sn := range s.slots {
		if sn != nil {
			list = append(list, sn)
		}
	}
	slices.SortFunc(list, func(a, b *snap) int { return b.Time.Compare(a.Time) })
	return list
}

// newest returns the latest snapshot, or nil.
func (s *Store) newest() *snap {
	var latest *snap
	for _, sn := range s.slots {
		if sn != nil && (latest == nil || sn.Time.After(latest.Time)) {
			latest = sn
		}
	}
	return latest
}

// available counts the free manual slots.
func (s *Store) available() (n int) {
	for _, sn := range s.slots[s.cfg.AutoMax:] {
		if sn == nil {
			n++
		}
	}
	return n
}

// freeManual finds a free slot, looking from the given one on.
func (s *Store) freeManual(from int) (int, error) {
	for range s.cfg.ManualMax {
		if s.slots[from] == nil {
			return from, nil
		}
		from = s.nextManual(from)
	}
	return 0, failed(nil, "no manual snapshot slots available (max %d)", s.cfg.ManualMax)
}
