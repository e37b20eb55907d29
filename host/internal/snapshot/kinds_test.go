package snapshot

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Update in place where replace by rename is needed: another name of the live
// file, and another file behind the name, keep what they have.
func TestRevertLeavesOtherNamesAlone(t *testing.T) {
	for name, prepare := range map[string]func(f *fixture) error{
		"hard link of another file": func(f *fixture) error {
			f.remove("a")
			return os.Link(filepath.Join(f.dir, "b"), filepath.Join(f.dir, "a"))
		},
		"hard link in another directory": func(f *fixture) error {
			f.remove("a")
			return os.Link(filepath.Join(f.dir, "d/c"), filepath.Join(f.dir, "a"))
		},
		"symbolic link": func(f *fixture) error {
			f.remove("a")
			return os.Symlink("b", filepath.Join(f.dir, "a"))
		},
		"read-only file": func(f *fixture) error {
			f.write("a", "new")
			return os.Chmod(filepath.Join(f.dir, "a"), 0o400)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.write("a", "one")
			f.write("b", "precious")
			f.write("d/c", "precious")
			require.NoError(t, os.Chmod(filepath.Join(f.dir, "a"), 0o640))
			f.create("s")
			require.NoError(t, prepare(f))
			_, err := f.Revert(t.Context(), "a", nil)
			require.NoError(t, err)
			assert.Equal(t, "one", f.read("a"))
			assert.Equal(t, "precious", f.read("b"))
			assert.Equal(t, "precious", f.read("d/c"))
			info, err := os.Lstat(filepath.Join(f.dir, "a"))
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o640), info.Mode())
		})
	}
}

// Apparent instead of allocated size: holes stay holes in the store and in
// what comes back, and take no time to compare.
func TestHolesStayHoles(t *testing.T) {
	f := newFixture(t)
	path := filepath.Join(f.dir, "sparse")
	write := func(text string, at int64) {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		require.NoError(t, err)
		require.NoError(t, file.Truncate(1<<36))
		_, err = file.WriteAt([]byte(text), at)
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	allocated := func(path string) int64 {
		var st unix.Stat_t
		require.NoError(t, unix.Lstat(path, &st))
		assert.EqualValues(t, 1<<36, st.Size)
		return st.Blocks * 512
	}
	write("x", 1<<35)
	info := f.create("s")
	assert.Less(t, allocated(f.slots[info.Slot].file("sparse")), int64(1<<20))
	begin := time.Now()
	assert.Empty(t, f.changed())
	write("y", 1<<35)
	assert.Equal(t, []string{"modified sparse cp-3"}, f.changed())
	f.create("t")
	_, err := f.Revert(t.Context(), "sparse", &info.Slot)
	require.NoError(t, err)
	assert.Less(t, time.Since(begin), time.Minute, "64 GiB of zeros are not read")
	assert.Less(t, allocated(path), int64(1<<20))
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	got := make([]byte, 3)
	_, err = file.ReadAt(got, 1<<35-1)
	require.NoError(t, err)
	assert.Equal(t, "\x00x\x00", string(got))
}

// A file with zeros and one with holes are the same; one byte elsewhere is a
// change.
func TestHashKnowsZerosFromPlaces(t *testing.T) {
	hash := func(size int64, at map[int64]string) [32]byte {
		file, err := os.CreateTemp(t.TempDir(), "f")
		require.NoError(t, err)
		defer file.Close()
		require.NoError(t, file.Truncate(size))
		for off, text := range at {
			_, err = file.WriteAt([]byte(text), off)
			require.NoError(t, err)
		}
		sum, err := hashFile(t.Context(), int(file.Fd()), size)
		require.NoError(t, err)
		return sum
	}
	zeros := strings.Repeat("\x00", 3*hashBlock)
	assert.Equal(t, hash(1<<20, nil), hash(1<<20, map[int64]string{100: zeros}))
	assert.Equal(t, hash(1<<20, map[int64]string{1 << 19: "x"}), hash(1<<20, map[int64]string{1<<19 - 3*hashBlock: zeros + "x"}))
	assert.NotEqual(t, hash(1<<20, map[int64]string{1 << 19: "x"}), hash(1<<20, map[int64]string{1<<19 + hashBlock: "x"}))
	assert.NotEqual(t, hash(1<<20, map[int64]string{1 << 19: "x"}), hash(1<<20, map[int64]string{1<<19 + 1: "x"}))
}

// heldContext stands still where it is asked for an error, as a request does
// that reads a large file.
type heldContext struct {
	context.Context
	calls         atomic.Int64
	after         int64 // calls that pass
	entered, free chan struct{}
}

func (c *heldContext) Err() error {
	if c.calls.Add(1) == c.after {
		close(c.entered)
		<-c.free
	}
	return nil
}

// No request waits for another that lists or reads files, and a snapshot that
// is deleted meanwhile stays readable to its end.
func TestNoRequestWaitsForAnothersReading(t *testing.T) {
	for after := range int64(3) { // in the listing, in the file, in its copy
		f := newFixture(t)
		f.write("a", "one")
		f.write("b", "bee")
		old := f.create("old")
		f.write("a", "two") // as long: only its bytes tell
		held := &heldContext{Context: t.Context(), after: after + 1, entered: make(chan struct{}), free: make(chan struct{})}
		rows := make(chan []Difference, 1)
		go func() {
			got, _ := f.Changes(held)
			rows <- got
		}()
		<-held.entered
		f.create("new")
		_, err := f.List(t.Context())
		require.NoError(t, err)
		_, err = f.Changes(t.Context())
		require.NoError(t, err)
		_, err = f.History(t.Context(), "a")
		require.NoError(t, err)
		_, err = f.Revert(t.Context(), "a", &old.Slot)
		require.NoError(t, err)
		require.NoError(t, f.Delete(t.Context(), old.Slot))
		close(held.free)
		assert.NotNil(t, <-rows)
		assert.Equal(t, "cp-4", f.ids())
		gone, err := filepath.Glob(filepath.Join(f.cfg.Dir, gonePrefix+"*"))
		require.NoError(t, err)
		assert.Empty(t, gone, "the last reader removes it")
	}
}

func TestRequestEndsWithItsContext(t *testing.T) {
	f := newFixture(t)
	f.write("a", "one")
	f.create("s")
	f.write("a", "two")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Changes(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, _, err = f.Create(ctx, "t")
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, "cp-3", f.ids())
	f.turn <- struct{}{} // another request changes the store
	_, _, err = f.Create(ctx, "t")
	require.ErrorIs(t, err, context.Canceled)
	<-f.turn
}

// Directories that come and go do not break a snapshot off.
func TestDirectoriesThatVanish(t *testing.T) {
	f := newFixture(t)
	f.write("stays", "x")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, name := range []string{"p", "q", "r"} {
				_ = os.MkdirAll(filepath.Join(f.dir, name, "s/t"), 0o700)
				_ = os.RemoveAll(filepath.Join(f.dir, name))
			}
		}
	}()
	for range 200 {
		info := f.create("s")
		assert.Equal(t, 1, info.Files)
		_, err := f.Changes(t.Context())
		require.NoError(t, err)
		require.NoError(t, f.Delete(t.Context(), info.Slot))
	}
	close(stop)
	<-done
}
