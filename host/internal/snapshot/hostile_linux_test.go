package snapshot

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Guest to host: a node that takes a file's place at any moment is never
// opened. A pipe shows it: it can be opened for writing only while somebody
// has it open for reading.
func TestGuestNodesAreNeverOpened(t *testing.T) {
	f := newFixture(t)
	f.write("a", "one")
	info := f.create("s")
	pipe, file := filepath.Join(f.dir, "pipe"), filepath.Join(f.dir, "a")
	require.NoError(t, unix.Mkfifo(pipe, 0o666))
	stop := make(chan struct{})
	var guest sync.WaitGroup
	var opened, swaps atomic.Int64
	loop := func(step func()) {
		guest.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					step()
				}
			}
		})
	}
	loop(func() {
		if unix.Renameat2(unix.AT_FDCWD, pipe, unix.AT_FDCWD, file, unix.RENAME_EXCHANGE) == nil {
			swaps.Add(1)
		}
	})
	loop(func() {
		for _, path := range []string{pipe, file} {
			fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK, 0)
			if err != nil {
				continue
			}
			var st unix.Stat_t
			if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
				opened.Add(1)
			}
			_ = unix.Close(fd)
		}
	})
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		_, _ = f.Changes(t.Context())
		if made, _, err := f.Create(t.Context(), "t"); err == nil {
			require.NoError(t, f.Delete(t.Context(), made.Slot))
		}
		_, _ = f.History(t.Context(), "a")
		_, _ = f.Revert(t.Context(), "a", &info.Slot)
		if _, err := os.Lstat(pipe); err != nil { // a revert took its place
			_ = unix.Mkfifo(pipe, 0o666)
		}
	}
	close(stop)
	guest.Wait()
	assert.Positive(t, swaps.Load())
	assert.Zero(t, opened.Load(), "opens of the pipe")
}

// tmpfs mounts a filesystem of a size.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("no filesystem to fill up: %v; run the test as root", err)
	}
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// On a full disk a revert leaves the old file or the new one, whole.
func TestRevertOnAFullDisk(t *testing.T) {
	for _, storeToo := range []bool{false, true} {
		base := tmpfs(t, "4m")
		f := newFixture(t)
		require.NoError(t, f.Close())
		cfg := f.cfg
		cfg.Workspace = filepath.Join(base, "w")
		require.NoError(t, os.Mkdir(cfg.Workspace, 0o700))
		if storeToo {
			cfg.Dir = filepath.Join(base, "store")
		}
		f.dir = cfg.Workspace
		f.open(cfg)
		big := strings.Repeat("0123456789abcdef", 100<<10) // 1.6 MB
		f.write("a", big)
		f.create("s")
		f.write("a", "small")
		fill := filepath.Join(base, "fill")
		file, err := os.Create(fill)
		require.NoError(t, err)
		_, err = io.Copy(file, io.LimitReader(zeroReader{}, 8<<20))
		require.ErrorIs(t, err, unix.ENOSPC)
		require.NoError(t, file.Close())
		_, err = f.Revert(t.Context(), "a", nil)
		require.ErrorContains(t, err, "no space left on device")
		assert.Equal(t, "small", f.read("a"))
		require.NoError(t, os.Remove(fill))
		names, err := os.ReadDir(f.dir)
		require.NoError(t, err)
		assert.Len(t, names, 1, "nothing is left of the attempt")
		_, err = f.Revert(t.Context(), "a", nil)
		require.NoError(t, err)
		assert.Equal(t, big, f.read("a"))
		require.NoError(t, f.Close())
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { return len(p), nil }

// A program that runs is replaced, not refused as busy.
func TestRevertOfARunningProgram(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	text, err := os.ReadFile(sleep)
	require.NoError(t, err)
	f := newFixture(t)
	f.write("program", "#!/bin/sh\n")
	require.NoError(t, os.Chmod(filepath.Join(f.dir, "program"), 0o755))
	f.create("s")
	f.write("program", string(text))
	cmd := exec.Command(filepath.Join(f.dir, "program"), "60")
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	_, err = f.Revert(t.Context(), "program", nil)
	require.NoError(t, err)
	assert.Equal(t, "#!/bin/sh\n", f.read("program"))
	require.NoError(t, cmd.Process.Signal(syscall.Signal(0)), "it runs on")
}

// One unreadable file or directory is left out and reported; it is neither an
// error nor a change. Root reads everything, so another user does this.
func TestUnreadableIsLeftOut(t *testing.T) {
	const variable = "SNAPSHOT_TEST_UNREADABLE"
	if os.Geteuid() == 0 {
		dir, err := os.MkdirTemp("", "nobody")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		require.NoError(t, os.Chmod(dir, 0o777))
		self, err := os.ReadFile(os.Args[0])
		require.NoError(t, err)
		program := filepath.Join(dir, "test")
		require.NoError(t, os.WriteFile(program, self, 0o755))
		require.NoError(t, os.Chmod(program, 0o755)) // whatever the umask
		cmd := exec.Command(program, "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir, "HOME="+dir, variable+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: "+t.Name())
		return
	}
	f := newFixture(t)
	f.write("a", "x")
	f.write("secret", "y")
	f.write("d/in", "z")
	f.create("before")
	require.NoError(t, os.Chmod(filepath.Join(f.dir, "secret"), 0))
	require.NoError(t, os.Chmod(filepath.Join(f.dir, "d"), 0))
	defer func() { _ = os.Chmod(filepath.Join(f.dir, "d"), 0o700) }()
	info := f.create("s")
	require.NotNil(t, info.LeftOut)
	assert.ElementsMatch(t, []LeftOutRow{{"secret", "permission denied"}, {"d", "permission denied"}}, info.LeftOut.First)
	assert.Equal(t, 1, info.Files)
	assert.Equal(t, []string{"modified secret cp-3"}, f.changed(), "its mode")
	f.write("a", "w")
	assert.Equal(t, []string{"modified a cp-4", "modified secret cp-3"}, f.changed())
	_, err := f.Revert(t.Context(), "secret", &info.Slot)
	require.EqualError(t, err, "the snapshot has no copy of the file: permission denied")
	_, err = f.Compact(t.Context(), []int{info.Slot}, "t")
	require.NoError(t, err)
	f.reopen()
	l, err := f.List(t.Context())
	require.NoError(t, err)
	assert.Len(t, l.Snapshots, 2)
}
