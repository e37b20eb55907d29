package scratch

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ownerVariable makes the test binary a process that owns a directory in the
// place it names, until it is killed.
const ownerVariable = "SCRATCH_TEST_OWNER"

func TestMain(m *testing.M) {
	parent := os.Getenv(ownerVariable)
	if parent == "" {
		os.Exit(m.Run())
	}
	d, err := New(parent, ".own-")
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(filepath.Join(d.Path(), "file"), nil, 0o600); err != nil {
		panic(err)
	}
	os.Stdout.WriteString(d.Path() + "\n")
	select {} // until it is killed
}

// owner starts such a process and returns its directory.
func owner(t *testing.T, parent string) (path string, kill func()) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), ownerVariable+"="+parent)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "the owner said nothing")
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	return lines.Text(), kill
}

func TestClose(t *testing.T) {
	parent := t.TempDir()
	d, err := New(parent, ".own-")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(d.Path(), "a", "b"), 0o700))
	require.NoError(t, d.Close())
	require.NoError(t, d.Close(), "a second time is no error")
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

// A killed owner's directory goes, that of a living one stays.
func TestSweep(t *testing.T) {
	parent := t.TempDir()
	left, kill := owner(t, parent)
	live, killLive := owner(t, parent)
	mine, err := New(parent, ".own-")
	require.NoError(t, err)

	Sweep(parent, ".own-")
	for _, dir := range []string{left, live, mine.Path()} {
		assert.FileExists(t, filepath.Join(dir, lockName), "in use")
	}
	kill()
	Sweep(parent, ".own-")
	assert.NoDirExists(t, left)
	assert.FileExists(t, filepath.Join(live, "file"))
	assert.DirExists(t, mine.Path())
	require.NoError(t, mine.Close())
	killLive()
	Sweep(parent, ".own-")
	assert.NoDirExists(t, live)
}

// A name is no proof: what has no lock file of ours stays.
func TestSweepLeavesOthers(t *testing.T) {
	parent, elsewhere := t.TempDir(), t.TempDir()
	dir := func(name string) string {
		path := filepath.Join(parent, name)
		require.NoError(t, os.Mkdir(path, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(path, "precious"), nil, 0o600))
		return filepath.Join(path, "precious")
	}
	precious := []string{
		dir(".own-plain"), dir(".own-lock"), dir(".own-linked"), dir(".own-unfinished"), dir(".own-directory"), dir("other"),
		filepath.Join(elsewhere, "precious"), filepath.Join(elsewhere, lockName), filepath.Join(parent, ".own-file"),
	}
	for _, name := range []string{
		precious[6], precious[7], precious[8],
		filepath.Join(parent, ".own-lock", "lock"), filepath.Join(parent, ".own-unfinished", lockName+".new"), filepath.Join(parent, "other", lockName),
	} {
		require.NoError(t, os.WriteFile(name, nil, 0o600))
	}
	require.NoError(t, os.Symlink(filepath.Join(elsewhere, lockName), filepath.Join(parent, ".own-linked", lockName)))
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(parent, ".own-link")))
	require.NoError(t, os.Mkdir(filepath.Join(parent, ".own-directory", lockName), 0o700))
	Sweep(parent, ".own-")
	for _, name := range precious {
		assert.FileExists(t, name)
	}
	if os.Geteuid() == 0 {
		require.NoError(t, os.WriteFile(filepath.Join(parent, ".own-plain", lockName), nil, 0o600))
		require.NoError(t, os.Chown(filepath.Join(parent, ".own-plain"), 12345, 12345))
		Sweep(parent, ".own-")
		assert.FileExists(t, precious[0], "another user's")
	}
}

// What could not be removed wholly is there for the next sweep.
func TestSweepIsResumed(t *testing.T) {
	parent := t.TempDir()
	left, kill := owner(t, parent)
	kill()
	require.NoError(t, os.Remove(filepath.Join(left, "file"))) // as far as a sweep had come
	Sweep(parent, "")
	assert.NoDirExists(t, left)
}

// Sweeps at the same moment, with owners coming and going, take nothing that
// is in use.
func TestSweepWhileOthersWork(t *testing.T) {
	parent := t.TempDir()
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 50 {
				d, err := New(parent, ".own-")
				if !assert.NoError(t, err) {
					return
				}
				Sweep(parent, ".own-")
				assert.NoError(t, os.WriteFile(filepath.Join(d.Path(), "file"), nil, 0o600))
				assert.NoError(t, d.Close())
			}
		})
	}
	work.Wait()
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestTemp(t *testing.T) {
	t.Setenv("TMPDIR", "/short")
	assert.Equal(t, "/short", Temp())
	t.Setenv("TMPDIR", "/so/"+strings.Repeat("long", 20))
	assert.Equal(t, "/tmp", Temp())
}
