package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// deepDir makes a directory whose path below the workspace has about so many
// bytes, and returns its descriptor.
func (f *fixture) deepDir(bytes int) int {
	f.t.Helper()
	fd, err := openDir(unix.AT_FDCWD, f.dir, 0)
	require.NoError(f.t, err)
	for range bytes / 200 {
		name := strings.Repeat("d", 199)
		require.NoError(f.t, unix.Mkdirat(fd, name, 0o700))
		next, err := openDir(fd, name, 0)
		require.NoError(f.t, err)
		require.NoError(f.t, unix.Close(fd))
		fd = next
	}
	f.t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// Guest to host: files with long paths make the host use a bounded amount of
// memory, and nothing stays behind of a request that is refused.
func TestGuestCannotExhaustMemory(t *testing.T) {
	f := newFixture(t)
	dir := f.deepDir(3800)
	for i := range 20_000 { // 76 MB of paths
		require.NoError(t, unix.Symlinkat("x", dir, fmt.Sprintf("l%d", i)))
	}
	used := f.memory.used.Load()
	room := f.cloner.disk.used.Load()
	for range 3 {
		_, _, err := f.Create(t.Context(), "s")
		require.ErrorContains(t, err, "workspace too large: its paths have more than 64 MiB")
		_, err = f.Changes(t.Context())
		require.NoError(t, err, "there is no snapshot to compare with")
	}
	assert.Equal(t, used, f.memory.used.Load())
	assert.Equal(t, room, f.cloner.disk.used.Load())
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	assert.Less(t, m.HeapAlloc, uint64(64<<20))
}

// All slots together are bounded; what does not change costs a slot next to
// nothing, and deleted snapshots give back what they took.
func TestGuestCannotExhaustMemoryBySlots(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.Close())
	cfg := f.cfg
	cfg.MaxMemory = 256 << 10
	f.open(cfg)
	links := func(round int) {
		for i := range 400 {
			path := filepath.Join(f.dir, fmt.Sprintf("l%d", i))
			_ = os.Remove(path)
			require.NoError(t, os.Symlink(fmt.Sprintf("target-%d", round), path))
		}
	}
	links(0)
	first := f.create("s")
	taken := f.memory.used.Load()
	for range 2 { // nothing changed
		f.create("t")
	}
	assert.Less(t, f.memory.used.Load()-taken, int64(2*401*pointerSize))
	var err error
	for round := 1; err == nil; round++ {
		require.Less(t, round, 5)
		links(round)
		_, err = f.TakeAuto(t.Context())
	}
	require.ErrorContains(t, err, "workspace too large: its snapshots would need more than 0 MiB of memory")
	assert.LessOrEqual(t, f.memory.used.Load(), cfg.MaxMemory)
	before := f.ids()
	f.reopen()
	assert.Equal(t, before, f.ids(), "a store within its bounds is read again")
	require.NoError(t, f.Delete(t.Context(), first.Slot))
	for _, sn := range f.slots {
		if sn != nil {
			require.NoError(t, f.discard(sn))
		}
	}
	assert.Zero(t, f.memory.used.Load())
	assert.Zero(t, f.cloner.disk.used.Load())
}

// Guest to host: the files of the store are bounded, and a floor of the disk
// stays free.
func TestGuestCannotFillTheDisk(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.Close())
	cfg := f.cfg
	cfg.MaxDisk = 1 << 20
	f.open(cfg)
	var err error
	for i := 0; err == nil; i++ {
		require.Less(t, i, 5, "each takes 300 KiB")
		f.write("big", strings.Repeat(fmt.Sprint(i), 300<<10))
		_, err = f.TakeAuto(t.Context())
	}
	require.ErrorContains(t, err, "no room for the snapshot: the snapshots would take more than 1 MiB")
	assert.LessOrEqual(t, f.cloner.disk.used.Load(), cfg.MaxDisk)
	names, err := filepath.Glob(filepath.Join(f.cfg.Dir, ".*-*"))
	require.NoError(t, err)
	assert.Empty(t, names, "what was begun is removed")

	f.cloner.disk.free = func(string) (int64, int64, error) { return 100 << 20, 100 << 30, nil }
	_, _, err = f.Create(t.Context(), "s")
	require.EqualError(t, err, "failed to create snapshot: no room for the snapshot: the host's disk has 100 MiB left, and 512 MiB stay free")
	_, err = f.Revert(t.Context(), "big", nil)
	require.NoError(t, err, "bringing back is no snapshot")
}

// Guest to host: what lies outside of the workspace does not show in an answer,
// not even whether it is there.
func TestGuestLearnsNothingOfHostPaths(t *testing.T) {
	f := newFixture(t)
	f.write("file", "x")
	f.create("s")
	for _, target := range []string{"/etc", "/nope", "/etc/shadow", "/proc/1", "../..", "../nope", "a/../../b", "/root/../etc", "/root/../nope"} {
		require.NoError(t, os.Symlink(target, filepath.Join(f.dir, "a")))
		for _, path := range []string{"a/x", "a/passwd", "a/x/y"} {
			_, err := f.History(t.Context(), path)
			require.EqualError(t, err, "path resolves outside workspace (symlink escape)", "%s, %s", target, path)
			_, err = f.Revert(t.Context(), path, nil)
			require.EqualError(t, err, "path resolves outside workspace (symlink escape)", "%s, %s", target, path)
		}
		f.remove("a")
	}
	for _, target := range []string{"file", "/root/file", "/root", "x/../y", "nope", ".", filepath.Join(f.dir, "nope")} {
		require.NoError(t, os.Symlink(target, filepath.Join(f.dir, "a")))
		_, err := f.History(t.Context(), "a/x")
		require.EqualError(t, err, "failed to resolve path: a: a directory in its path is a symbolic link", target)
		f.remove("a")
	}
}

// Guest to host: errors name no path of the host.
func TestErrorsNameNoHostPath(t *testing.T) {
	f := newFixture(t)
	f.write("a", "x")
	f.create("s")
	f.write("a", "y")
	require.NoError(t, os.Rename(f.cfg.Dir, f.cfg.Dir+"-away"))
	_, _, err := f.Create(t.Context(), "t")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), filepath.Dir(f.cfg.Dir))
	_, err = f.Revert(t.Context(), "a", nil)
	require.EqualError(t, err, "failed to restore file: no such file or directory")
	require.NoError(t, os.Rename(f.cfg.Dir+"-away", f.cfg.Dir))
}
