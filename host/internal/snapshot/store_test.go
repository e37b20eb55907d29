package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A fixture is a store over a workspace.
type fixture struct {
	*Store
	t   *testing.T
	dir string // of the workspace
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	base := t.TempDir()
	dir := filepath.Join(base, "workspace")
	require.NoError(t, os.Mkdir(dir, 0o700))
	f := &fixture{t: t, dir: dir}
	f.open(Config{Workspace: dir, Dir: filepath.Join(base, "store"), AutoMax: 3, ManualMax: 4})
	t.Cleanup(func() { assert.NoError(t, f.Close()) })
	return f
}

func (f *fixture) open(cfg Config) {
	f.t.Helper()
	s, err := Open(f.t.Context(), cfg)
	require.NoError(f.t, err)
	f.Store = s
}

// reopen is what a new process does.
func (f *fixture) reopen() {
	f.t.Helper()
	require.NoError(f.t, f.Close())
	f.open(f.cfg)
}

func (f *fixture) write(path, text string) {
	f.t.Helper()
	full := filepath.Join(f.dir, path)
	require.NoError(f.t, os.MkdirAll(filepath.Dir(full), 0o755))
	require.NoError(f.t, os.WriteFile(full, []byte(text), 0o644))
}

func (f *fixture) read(path string) string {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, path))
	require.NoError(f.t, err)
	return string(text)
}

func (f *fixture) remove(path string) {
	f.t.Helper()
	require.NoError(f.t, os.RemoveAll(filepath.Join(f.dir, path)))
}

func (f *fixture) create(name string) Info {
	f.t.Helper()
	info, _, err := f.Create(f.t.Context(), name)
	require.NoError(f.t, err)
	return info
}

// changed returns the differences as "op path cp-N".
func (f *fixture) changed() []string {
	f.t.Helper()
	rows, err := f.Changes(f.t.Context())
	require.NoError(f.t, err)
	out := []string{}
	for _, d := range rows {
		out = append(out, fmt.Sprintf("%s %s %s", d.Op, d.Path, ID(d.Snapshot.Slot)))
	}
	return out
}

// ids returns the checkpoints, newest first.
func (f *fixture) ids() string {
	f.t.Helper()
	l, err := f.List(f.t.Context())
	require.NoError(f.t, err)
	var ids []string
	for _, sn := range l.Snapshots {
		ids = append(ids, ID(sn.Slot))
	}
	return strings.Join(ids, " ")
}

// file is where a file of the snapshot is.
func (s *snap) file(path string) string { return filepath.Join(s.dir, workspaceDir, path) }

func TestSlots(t *testing.T) {
	f := newFixture(t)
	f.write("a", "1")
	for _, want := range []int{3, 4, 5, 6, 3} { // a slot rests until it is its turn again
		info := f.create("turn")
		assert.Equal(t, want, info.Slot)
		require.NoError(t, f.Delete(t.Context(), info.Slot))
	}
	for want := 3; want >= 0; want-- { // then cp-4, cp-5, cp-6, cp-3
		_, available, err := f.Create(t.Context(), "full")
		require.NoError(t, err)
		assert.Equal(t, want, available)
	}
	_, _, err := f.Create(t.Context(), "more")
	require.EqualError(t, err, "no manual snapshot slots available (max 4)")
	var failure *Error
	require.ErrorAs(t, err, &failure)
	assert.Equal(t, Failed, failure.Kind)
	before, err := os.ReadFile(filepath.Join(f.cfg.Dir, "4", metadataFile))
	require.NoError(t, err)

	require.NoError(t, f.Delete(t.Context(), 5)) // a hole: the next one goes there and nowhere else
	assert.Equal(t, 5, f.create("hole").Slot)
	after, err := os.ReadFile(filepath.Join(f.cfg.Dir, "4", metadataFile))
	require.NoError(t, err)
	assert.Equal(t, before, after)
	assert.Equal(t, "cp-5 cp-3 cp-6 cp-4", f.ids())
}

func TestAutomaticSnapshotsAreARing(t *testing.T) {
	f := newFixture(t)
	for i := range 4 {
		f.write("a", strconv.Itoa(i))
		info, err := f.TakeAuto(t.Context())
		require.NoError(t, err)
		assert.Equal(t, i%3, info.Slot)
		assert.Empty(t, info.Hash)
	}
	assert.Equal(t, "cp-0 cp-2 cp-1", f.ids())
	require.EqualError(t, f.Delete(t.Context(), 0), "cannot delete automatic snapshots (managed by scheduler)")
	f.reopen()
	info, err := f.TakeAuto(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, info.Slot)
}

// The order is kept when the clock is set back.
func TestOrderWithoutClock(t *testing.T) {
	f := newFixture(t)
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	f.now = func() time.Time { at = at.Add(-time.Hour); return at }
	for range 3 {
		f.create("x")
	}
	assert.Equal(t, "cp-5 cp-4 cp-3", f.ids())
	f.reopen()
	assert.Equal(t, "cp-5 cp-4 cp-3", f.ids())
}

func TestHashIsOfPathsAndSizes(t *testing.T) {
	f := newFixture(t)
	f.write("b/x", "12")
	f.write("a", "1")
	one := f.create("one")
	f.write("a", "2")
	two := f.create("two")
	assert.Equal(t, one.Hash, two.Hash)
	f.write("a", "22")
	assert.NotEqual(t, one.Hash, f.create("three").Hash)
	// printf 'a\1\0\0\0\0\0\0\0b/x\2\0\0\0\0\0\0\0' | b3sum
	assert.Equal(t, "2db8cd68f160bb06", one.Hash[:16])
}

func TestReopen(t *testing.T) {
	f := newFixture(t)
	f.write("a", "one")
	f.write("d/b", "two")
	require.NoError(t, os.Symlink("a", filepath.Join(f.dir, "l")))
	_, err := f.TakeAuto(t.Context())
	require.NoError(t, err)
	f.create("named")
	before, err := f.List(t.Context())
	require.NoError(t, err)
	f.reopen()
	after, err := f.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, before, after)
	assert.Empty(t, f.changed(), "decided by content, since nothing is known of the files")
	f.write("a", "eno")
	assert.Equal(t, []string{"modified a cp-3"}, f.changed())
	assert.Equal(t, 4, f.create("next").Slot)
}

func TestOpenClearsAndRefuses(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"whole", "short", "headless", "torn"} {
		f.write("a", name) // so that they share nothing
		f.create(name)
	}
	store := f.cfg.Dir
	require.NoError(t, os.Truncate(filepath.Join(store, "4", workspaceDir, "a"), 1)) // as after a power failure
	require.NoError(t, os.Remove(filepath.Join(store, "5", metadataFile)))
	require.NoError(t, os.Truncate(filepath.Join(store, "6", metadataFile), 20))
	for _, dir := range []string{newPrefix + "1/workspace", gonePrefix + "2/10/workspace"} {
		require.NoError(t, os.MkdirAll(filepath.Join(store, dir), 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(store, "README"), nil, 0o600))

	_, err := Open(t.Context(), f.cfg)
	require.ErrorContains(t, err, "in use by another process")
	require.NoError(t, f.Close())
	cfg := f.cfg
	cfg.AutoMax = 9
	_, err = Open(t.Context(), cfg)
	require.ErrorContains(t, err, "other numbers of slots")

	f.open(f.cfg)
	assert.Equal(t, "cp-3", f.ids())
	names, err := os.ReadDir(store)
	require.NoError(t, err)
	require.Len(t, names, 3)
	assert.Equal(t, lockFile, names[0].Name())
	assert.Equal(t, "3", names[1].Name())
	assert.Equal(t, "README", names[2].Name())
}

func TestStoreAndWorkspaceApart(t *testing.T) {
	base := t.TempDir()
	inner := filepath.Join(base, "inner")
	require.NoError(t, os.Mkdir(inner, 0o700))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(inner, link))
	for _, cfg := range []Config{
		{Workspace: base, Dir: inner},
		{Workspace: inner, Dir: base},
		{Workspace: base, Dir: base},
		{Workspace: base, Dir: link},
		{Workspace: filepath.Join(base, "absent"), Dir: t.TempDir()},
		{Workspace: base, Dir: t.TempDir(), AutoMax: -1},
	} {
		if cfg.AutoMax == 0 {
			cfg.AutoMax, cfg.ManualMax = 1, 1
		}
		_, err := Open(t.Context(), cfg)
		assert.Error(t, err, "%+v", cfg)
	}
}

// Unchanged files have one inode in all snapshots, which the workspace never
// shares.
func TestUnchangedFilesAreShared(t *testing.T) {
	f := newFixture(t)
	f.write("a", "same")
	f.write("b", "one")
	inode := func(path string) uint64 {
		var st unix.Stat_t
		require.NoError(t, unix.Lstat(path, &st))
		return st.Ino
	}
	require.Eventually(t, func() bool { // until the clock of the files has moved on
		return f.settled("a") && f.settled("b")
	}, time.Minute, time.Millisecond)
	one := f.create("one")
	f.write("b", "two")
	two := f.create("two")
	p, q := f.slots[one.Slot], f.slots[two.Slot]
	assert.Equal(t, inode(p.file("a")), inode(q.file("a")))
	assert.NotEqual(t, inode(p.file("b")), inode(q.file("b")))
	assert.NotEqual(t, inode(p.file("a")), inode(filepath.Join(f.dir, "a")))
	require.NoError(t, f.Delete(t.Context(), one.Slot))
	f.write("a", "more")
	_, err := f.Revert(t.Context(), "a", &two.Slot)
	require.NoError(t, err)
	assert.Equal(t, "same", f.read("a"))
}

// settled reports whether a change of the file would show in its ctime.
func (f *fixture) settled(path string) bool {
	now := fileClock()
	var st unix.Stat_t
	require.NoError(f.t, unix.Lstat(filepath.Join(f.dir, path), &st))
	fd, err := openDir(unix.AT_FDCWD, f.dir, 0)
	require.NoError(f.t, err)
	defer unix.Close(fd)
	return identOf(&st, now, clockSlack(fd)) != ident{}
}

func TestWhatIsNotCopied(t *testing.T) {
	f := newFixture(t)
	f.write("a", "1")
	require.NoError(t, unix.Mkfifo(filepath.Join(f.dir, "pipe"), 0o600))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(f.dir, "out")))
	require.NoError(t, os.Symlink(".", filepath.Join(f.dir, "loop")))
	sparse := filepath.Join(f.dir, "sparse")
	require.NoError(t, os.WriteFile(sparse, []byte("begin"), 0o600))
	require.NoError(t, os.Truncate(sparse, 1<<40))
	info := f.create("x")
	assert.Equal(t, 2, info.Files)
	sn := f.slots[info.Slot]
	var st unix.Stat_t
	require.NoError(t, unix.Lstat(sn.file("sparse"), &st))
	assert.EqualValues(t, 1<<40, st.Size)
	assert.Less(t, st.Blocks*512, int64(1<<20), "holes stay holes")
	target, err := os.Readlink(sn.file("out"))
	require.NoError(t, err)
	assert.Equal(t, "/etc/passwd", target)
	assert.NoFileExists(t, sn.file("pipe"))
}

// What cannot be named, or is too deep, is left out and reported; the rest of
// the workspace works.
func TestTooDeepIsLeftOut(t *testing.T) {
	for _, length := range []int{1, 200} { // more levels than are walked; a longer path than the kernel takes
		f := newFixture(t)
		f.write("a", "beside")
		fd, err := openDir(unix.AT_FDCWD, f.dir, 0)
		require.NoError(t, err)
		for range maxDepth + 2 {
			name := strings.Repeat("d", length)
			file, err := openAt(fd, strings.Repeat("f", length), unix.O_CREAT|unix.O_WRONLY, 0o600)
			require.NoError(t, err)
			require.NoError(t, unix.Close(file))
			require.NoError(t, unix.Mkdirat(fd, name, 0o700))
			next, err := openDir(fd, name, 0)
			require.NoError(t, err)
			require.NoError(t, unix.Close(fd))
			fd = next
		}
		require.NoError(t, unix.Close(fd))
		info := f.create("x")
		require.NotNil(t, info.LeftOut)
		assert.LessOrEqual(t, info.LeftOut.Count, 2)
		assert.LessOrEqual(t, len(info.LeftOut.First[0].Path), maxLeftOutPath+3)
		assert.Regexp(t, "deep|longer", info.LeftOut.First[0].Reason)
		f.write("a", "edited")
		assert.Equal(t, []string{"modified a cp-3"}, f.changed())
		_, err = f.Compact(t.Context(), []int{info.Slot}, "y")
		require.NoError(t, err)
		f.reopen()
		assert.Equal(t, []string{"modified a cp-4"}, f.changed())
		_, err = f.Revert(t.Context(), "a", nil)
		require.NoError(t, err)
		assert.Equal(t, "beside", f.read("a"))
	}
}

func BenchmarkCreate(b *testing.B) {
	base := b.TempDir()
	dir := filepath.Join(base, "workspace")
	for i := range 500 {
		path := filepath.Join(dir, fmt.Sprintf("dir_%d/file_%d", i/50, i))
		require.NoError(b, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(b, os.WriteFile(path, []byte(strings.Repeat("x", 4096)), 0o644))
	}
	s, err := Open(b.Context(), Config{Workspace: dir, Dir: filepath.Join(base, "store"), AutoMax: 1, ManualMax: 1})
	require.NoError(b, err)
	defer s.Close()
	for b.Loop() {
		info, _, err := s.Create(b.Context(), "x")
		require.NoError(b, err)
		b.StopTimer()
		require.NoError(b, s.Delete(b.Context(), info.Slot))
		b.StartTimer()
	}
}
