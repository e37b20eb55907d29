package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestChanges(t *testing.T) {
	f := newFixture(t)
	rows, err := f.Changes(t.Context())
	require.NoError(t, err)
	assert.Nil(t, rows, "no snapshot")

	f.write("boot", "here at boot")
	f.write("kept", "never changed")
	_, err = f.TakeAuto(t.Context())
	require.NoError(t, err)
	f.remove("boot")
	f.write("d/edited", "before")
	f.write("d/replaced", "a file")
	f.write("d/mode", "x")
	f.write("gone", "soon")
	f.create("one")
	f.write("d/edited", "after it")
	f.remove("d/replaced")
	require.NoError(t, os.Symlink("edited", filepath.Join(f.dir, "d/replaced")))
	require.NoError(t, os.Chmod(filepath.Join(f.dir, "d/mode"), 0o755))
	f.remove("gone")
	f.write("fresh", "new")
	assert.Equal(t, []string{
		"deleted boot cp-0",
		"modified d/edited cp-3",
		"modified d/mode cp-3",
		"modified d/replaced cp-3",
		"created fresh cp-3",
		"deleted gone cp-3",
	}, f.changed())

	f.create("two")
	assert.Equal(t, []string{ // as they are in the newest, and are not in an older one
		"deleted boot cp-0",
		"modified d/edited cp-3",
		"modified d/mode cp-3",
		"modified d/replaced cp-3",
		"created fresh cp-3",
		"deleted gone cp-3",
	}, f.changed())

	l, err := f.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []Change{
		{Modified, "d/edited", 8},
		{Modified, "d/mode", 1},
		{Modified, "d/replaced", 6},
		{New, "fresh", 3},
		{Deleted, "gone", 0},
	}, l.Snapshots[0].Changes)
	assert.Equal(t, []Change{{New, "boot", 12}, {New, "kept", 13}}, l.Snapshots[2].Changes)

	require.NoError(t, f.Delete(t.Context(), 3)) // what the next one is compared with
	l, err = f.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []Change{
		{Deleted, "boot", 0},
		{New, "d/edited", 8},
		{New, "d/mode", 1},
		{New, "d/replaced", 6},
		{New, "fresh", 3},
	}, l.Snapshots[0].Changes)
}

// Whatever moment an edit comes at, it is seen: mostly it is within one tick
// of the clock that files are stamped with, so that no time tells it.
func TestEditsOfTheSameSize(t *testing.T) {
	f := newFixture(t)
	path := filepath.Join(f.dir, "a")
	for i := range 500 {
		f.write("a", fmt.Sprintf("%08d", i))
		info := f.create("x")
		fd, err := unix.Open(path, unix.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = unix.Write(fd, []byte("edited"))
		require.NoError(t, err)
		require.NoError(t, unix.Close(fd))
		require.Equal(t, []string{"modified a " + ID(info.Slot)}, f.changed(), "edit %d", i)
		// The hash of the edited file is known now, and the next edit is seen too.
		f.write("a", fmt.Sprintf("%08d", i))
		require.Empty(t, f.changed(), "edit %d undone", i)
		require.NoError(t, f.Delete(t.Context(), info.Slot))
	}
}

// An edit whose mtime is set back is one.
func TestEditsThatHide(t *testing.T) {
	f := newFixture(t)
	f.write("a", "before")
	require.Eventually(t, func() bool { return f.settled("a") }, time.Minute, time.Millisecond)
	f.create("x")
	info, err := os.Stat(filepath.Join(f.dir, "a"))
	require.NoError(t, err)
	f.write("a", "behind")
	require.NoError(t, os.Chtimes(filepath.Join(f.dir, "a"), info.ModTime(), info.ModTime()))
	assert.Equal(t, []string{"modified a cp-3"}, f.changed())
}

func TestTouchIsNoChange(t *testing.T) {
	f := newFixture(t)
	f.write("a", "same")
	f.write("b", "same too")
	f.create("x")
	now := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(f.dir, "a"), now, now))
	f.remove("b") // and another file in its place
	f.write("b", "same too")
	assert.Empty(t, f.changed())
}

// Files that look unchanged are not read: those of a snapshot could be gone.
func TestUnchangedIsNotRead(t *testing.T) {
	f := newFixture(t)
	f.write("a", "same")
	require.Eventually(t, func() bool { return f.settled("a") }, time.Minute, time.Millisecond)
	f.create("x")
	require.NoError(t, os.Remove(f.slots[3].file("a")))
	assert.Empty(t, f.changed())
}

func TestHistory(t *testing.T) {
	f := newFixture(t)
	f.write("other", "x")
	f.create("before")
	f.write("a", "one")
	f.create("new")
	f.create("unchanged")
	f.write("a", "eno")
	f.create("modified")
	h, err := f.History(t.Context(), "/root/a")
	require.NoError(t, err)
	assert.Equal(t, "a", h.Path)
	var got []string
	for _, v := range h.Versions {
		assert.Equal(t, v.Snapshot.Name, string(v.Status))
		got = append(got, string(v.Status))
	}
	assert.Equal(t, []string{"modified", "unchanged", "new"}, got)

	require.NoError(t, f.Delete(t.Context(), 3))
	f.remove("a")
	f.create("deleted")
	h, err = f.History(t.Context(), "a")
	require.NoError(t, err)
	assert.False(t, h.Exists)
	require.Len(t, h.Versions, 4)
	assert.Equal(t, StatusDeleted, h.Versions[0].Status)
	h, err = f.History(t.Context(), "never")
	require.NoError(t, err)
	assert.Empty(t, h.Versions)
}

func TestCompact(t *testing.T) {
	f := newFixture(t)
	f.write("a", "one")
	f.write("d", "a file")
	f.write("gone", "soon")
	f.create("one")
	f.write("a", "two")
	f.remove("d")
	f.write("d/x", "now a directory")
	f.remove("gone")
	require.NoError(t, os.Symlink("a", filepath.Join(f.dir, "l")))
	f.create("two")
	f.write("a", "three")
	f.create("three")

	_, err := f.Compact(t.Context(), []int{3, 9}, "x")
	require.EqualError(t, err, "checkpoint cp-9 not found")
	_, err = f.Compact(t.Context(), nil, "x")
	require.EqualError(t, err, "no snapshots to compact")
	assert.Equal(t, "cp-5 cp-4 cp-3", f.ids())

	c, err := f.Compact(t.Context(), []int{3, 4, 3}, "both")
	require.NoError(t, err)
	assert.Equal(t, []int{3, 4}, c.Deleted)
	assert.Equal(t, 6, c.Slot)
	assert.Equal(t, 3, c.Files)
	assert.Equal(t, "cp-6 cp-5", f.ids())
	f.reopen()
	for path, want := range map[string]string{"a": "two", "d/x": "now a directory", "gone": "soon"} {
		text, err := os.ReadFile(f.slots[6].file(path))
		require.NoError(t, err)
		assert.Equal(t, want, string(text))
	}
	target, err := os.Readlink(f.slots[6].file("l"))
	require.NoError(t, err)
	assert.Equal(t, "a", target)

	f.create("x")
	f.create("y")
	_, err = f.Compact(t.Context(), []int{6}, "z")
	require.EqualError(t, err, "no manual snapshot slots available (max 4)")
}
