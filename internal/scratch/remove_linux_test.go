package scratch

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// deepen makes a chain of directories below an open one, each with a file.
func deepen(t *testing.T, path string, levels int) {
	t.Helper()
	at, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	for range levels {
		require.NoError(t, unix.Mkdirat(at, "d", 0o700))
		fd, err := unix.Openat(at, "file", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		require.NoError(t, err)
		unix.Close(fd)
		next, err := unix.Openat(at, "d", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		unix.Close(at)
		at = next
	}
	unix.Close(at)
}

// Guest to host: a tree deeper than there are descriptors, or than a path is
// long, is removed, by its owner and by a sweep.
func TestRemoveDeepTree(t *testing.T) {
	const levels = 3_000 // a path has 2,048 at most (PATH_MAX)
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	few := limit
	few.Cur = 256
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	t.Cleanup(func() { assert.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) })
	d, err := New(t.TempDir(), ".own-")
	require.NoError(t, err)
	deepen(t, d.Path(), levels)
	require.NoError(t, d.Close())
	assert.NoDirExists(t, d.Path())

	parent := t.TempDir()
	left, kill := owner(t, parent)
	deepen(t, left, levels)
	kill()
	Sweep(parent, ".own-")
	assert.NoDirExists(t, left)
}

func TestRemoveWideAndOddTree(t *testing.T) {
	d, err := New(t.TempDir(), ".own-")
	require.NoError(t, err)
	outside := t.TempDir()
	precious := filepath.Join(outside, "precious")
	require.NoError(t, os.WriteFile(precious, nil, 0o600))
	for i := range 3 {
		dir := filepath.Join(d.Path(), "d"+strconv.Itoa(i), "sub")
		require.NoError(t, os.MkdirAll(dir, 0o700))
		for n := range 3 * batch {
			require.NoError(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(n)), nil, 0o600))
		}
		require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
		require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
		require.NoError(t, os.Mkdir(filepath.Join(dir, lockName), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, ".removed-"+strconv.Itoa(i)), nil, 0o600))
		require.NoError(t, os.Mkdir(filepath.Join(dir, "closed"), 0))
		require.NoError(t, os.Chmod(dir, 0))
	}
	for i := 1; i < 5; i++ { // names that moved directories would take
		require.NoError(t, os.WriteFile(filepath.Join(d.Path(), ".removed-"+strconv.Itoa(i)), nil, 0o600))
		require.NoError(t, os.MkdirAll(filepath.Join(d.Path(), ".removed-"+strconv.Itoa(i+5), "full"), 0o700))
	}
	require.NoError(t, d.Close())
	assert.NoDirExists(t, d.Path())
	assert.FileExists(t, precious)
}

// An error names no path of the guest's at full length.
func TestRemoveErrorIsShort(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes a file immutable; CI runs this as root")
	}
	d, err := New(t.TempDir(), ".own-")
	require.NoError(t, err)
	name := filepath.Join(d.Path(), fmt.Sprintf("%0255d", 7))
	f, err := os.Create(name)
	require.NoError(t, err)
	defer f.Close()
	const immutable = 0x10 // FS_IMMUTABLE_FL
	if unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, immutable) != nil {
		t.Skip("this filesystem has no immutable files; CI's has")
	}
	err = d.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0))
	require.Error(t, err)
	assert.Less(t, len(err.Error()), 500)
}

// Local user to root: whoever may rename in the parent puts a link, or another
// directory, in the place of one that a sweep is about to remove. What is
// elsewhere stays.
func TestSweepFollowsNoSwappedName(t *testing.T) {
	parent, elsewhere := t.TempDir(), t.TempDir()
	var precious []string
	for _, name := range []string{"a", lockName, filepath.Join("sub", "b")} {
		precious = append(precious, filepath.Join(elsewhere, name))
		require.NoError(t, os.MkdirAll(filepath.Dir(precious[len(precious)-1]), 0o700))
		require.NoError(t, os.WriteFile(precious[len(precious)-1], nil, 0o600))
	}
	dead, aside, link := filepath.Join(parent, ".own-dead"), filepath.Join(parent, "aside"), filepath.Join(parent, "link")
	restore := func() {
		require.NoError(t, os.MkdirAll(filepath.Join(dead, "sub"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dead, lockName), nil, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dead, "a"), nil, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dead, "sub", "b"), nil, 0o600))
	}
	done := beside(func(stop <-chan struct{}) {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Rename(dead, aside)
			_ = os.Symlink(elsewhere, link)
			_ = os.Rename(link, dead)
			_ = os.Remove(dead)
			_ = os.Rename(aside, dead)
		}
	})
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		if _, err := os.Lstat(dead); err != nil {
			_ = os.RemoveAll(aside)
			_ = os.MkdirAll(filepath.Join(dead, "sub"), 0o700)
			_ = os.WriteFile(filepath.Join(dead, lockName), nil, 0o600)
		}
		Sweep(parent, ".own-")
		for _, name := range precious {
			require.FileExists(t, name)
		}
	}
	done()
	restore()
	Sweep(parent, ".own-")
	assert.NoDirExists(t, dead)
}

// beside runs a function beside the test until the returned one is called.
func beside(f func(stop <-chan struct{})) (done func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); f(stop) }()
	return func() { close(stop); <-ended }
}
