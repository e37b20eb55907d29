package qemu

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shortTemp is a new temporary directory with a path short enough for sockets.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "capsem-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	return dir
}

// idle is a machine of which nothing runs.
func idle(t *testing.T, name string) *VM {
	t.Helper()
	vm, err := New(Options{
		Name: name, Tools: Tools{Vsock: VhostUser}, Accel: TCG, ProxyCommand: "'/a dir/capsem-bench 100%' vm proxy",
		Image: &Image{Manifest: Manifest{Profile: string(Minimal), Arch: AMD64, Digest: "sha256:1"}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = vm.Close() })
	return vm
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "vm1", "0", "a-b_c", strings.Repeat("x", 28)} {
		assert.NoError(t, CheckName(name), name)
	}
	for _, name := range []string{"", "-a", "_a", ".", "..", ".probe", "a/b", "A", "a b", "a:b", "a*", "é", "a\n", strings.Repeat("x", 29)} {
		assert.ErrorIs(t, CheckName(name), ErrName, name)
	}
}

// Each machine has a name of its own, and a directory that is the user's alone.
func TestNames(t *testing.T) {
	shortTemp(t)
	var names []string
	for range 3 {
		vm := idle(t, "")
		names = append(names, vm.name)
		info, err := os.Stat(vm.dir)
		require.NoError(t, err)
		assert.Equal(t, os.ModeDir|0o700, info.Mode())
	}
	assert.Equal(t, []string{"vm1", "vm2", "vm3"}, names)
	dev := idle(t, "dev")
	_, err := New(Options{Name: "dev", Tools: Tools{Vsock: VhostUser}})
	assert.ErrorIs(t, err, ErrName)
	assert.ErrorContains(t, err, "in use")
	_, err = New(Options{Name: "../dev", Tools: Tools{Vsock: VhostUser}})
	assert.ErrorIs(t, err, ErrName)
	require.NoError(t, dev.Close())
	assert.NoDirExists(t, dev.dir)
	idle(t, "dev")
}

func TestPublish(t *testing.T) {
	base := shortTemp(t)
	list, err := List()
	require.NoError(t, err)
	assert.Equal(t, []Running{}, list)
	b, a := idle(t, "b"), idle(t, "a")
	_, err = Find("a")
	assert.ErrorIs(t, err, ErrNotRunning)
	assert.ErrorContains(t, err, "booting")
	for _, vm := range []*VM{b, a} {
		require.NoError(t, vm.Publish([]byte("key of "+vm.name), []byte("ssh-ed25519 AAAA\n")))
	}
	idle(t, "") // boots still
	list, err = List()
	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.Equal(t, "a", list[0].Name)
	assert.Equal(t, "b", list[1].Name)

	r, err := Find("a")
	require.NoError(t, err)
	assert.Equal(t, list[0], r)
	assert.Equal(t, filepath.Join(base, "capsem-vm-a"), r.Dir)
	assert.Equal(t, os.Getpid(), r.PID)
	assert.Equal(t, TCG, r.Accel)
	assert.WithinDuration(t, time.Now(), r.Started, time.Minute)
	for name, want := range map[string]string{"key": "key of a", "known_hosts": "a ssh-ed25519 AAAA\n"} {
		text, err := os.ReadFile(filepath.Join(r.Dir, name))
		require.NoError(t, err)
		assert.Equal(t, want, string(text))
		info, err := os.Stat(filepath.Join(r.Dir, name))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode())
	}
	require.NoError(t, a.Close())
	_, err = Find("a")
	assert.ErrorIs(t, err, ErrNotRunning)
	_, err = Find("../a")
	assert.ErrorIs(t, err, ErrName)
}

// What a killed process left is removed by the next one that looks, and its
// name is free; what belongs to a live one, or to somebody else, stays.
func TestLeftOver(t *testing.T) {
	base := shortTemp(t)
	alive := idle(t, "alive")
	require.NoError(t, alive.Publish(nil, nil))
	dead, open, fresh := filepath.Join(base, dirPrefix+"dead"), filepath.Join(base, dirPrefix+"open"), filepath.Join(base, dirPrefix+"fresh")
	for _, dir := range []string{dead, open, fresh} {
		require.NoError(t, os.Mkdir(dir, 0o700))
	}
	locks, err := filepath.Glob(filepath.Join(alive.dir, ".*lock"))
	require.NoError(t, err)
	require.Len(t, locks, 1)
	require.NoError(t, os.WriteFile(filepath.Join(dead, filepath.Base(locks[0])), nil, 0o600)) // no process has it locked
	require.NoError(t, os.WriteFile(filepath.Join(dead, runningFile), []byte(`{"name":"dead"}`), 0o600))
	require.NoError(t, os.Chmod(open, 0o755)) // others may have written to it
	require.NoError(t, os.WriteFile(filepath.Join(open, runningFile), []byte(`{"name":"open"}`), 0o600))
	require.NoError(t, os.Symlink(alive.dir, filepath.Join(base, dirPrefix+"link")))

	list, err := List()
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, "alive", list[0].Name)
	assert.NoDirExists(t, dead)
	assert.DirExists(t, open)
	assert.DirExists(t, fresh)
	_, err = Find("open")
	assert.ErrorContains(t, err, "others may have written to it")
	assert.Equal(t, "dead", idle(t, "dead").name)
}

// OpenSSH understands the configuration, whatever the names are.
func TestSSHConfig(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("no ssh; install openssh-client")
	}
	odd := filepath.Join(shortTemp(t), `a "b" %h \c`)
	require.NoError(t, os.Mkdir(odd, 0o700))
	t.Setenv("TMPDIR", odd)
	vm := idle(t, "dev")
	require.NoError(t, vm.Publish([]byte("k"), []byte("ssh-ed25519 AAAA")))
	r, err := Find("dev")
	require.NoError(t, err)
	out, err := exec.Command("ssh", "-G", "-F", r.SSHConfig, "dev").Output()
	require.NoError(t, err)
	text := string(out)
	for _, want := range []string{
		"user root\n", "identitiesonly yes\n", "stricthostkeychecking true\n",
		"proxycommand '/a dir/capsem-bench 100%%' vm proxy %h\n", // expanded when it is run
	} {
		assert.Contains(t, text, want)
	}
	assert.Contains(t, text, "identityfile "+strings.ReplaceAll(r.Key, "%", "%%")+"\n") // so is this
	assert.Contains(t, text, "userknownhostsfile "+filepath.Join(r.Dir, knownHostsFile)+"\n")
	out, err = exec.Command("ssh", "-G", "-F", r.SSHConfig, "other").Output()
	require.NoError(t, err)
	assert.NotContains(t, string(out), "proxycommand")
}

// Another process reaches the guest's ports through the device's socket.
func TestRunningDial(t *testing.T) {
	shortTemp(t)
	vm := idle(t, "")
	require.NoError(t, vm.Publish(nil, nil))
	r, err := Find(vm.name)
	require.NoError(t, err)
	_, err = r.Dial(t.Context(), 22)
	require.Error(t, err, "nothing listens")
	ln, err := net.Listen("unix", filepath.Join(r.Dir, "s", "v"))
	require.NoError(t, err)
	defer ln.Close()
	asked := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		line := make([]byte, len("CONNECT 22\n"))
		_, _ = c.Read(line)
		asked <- string(line)
		_, _ = c.Write([]byte("OK 1024\nhello"))
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := r.Dial(ctx, 22)
	require.NoError(t, err)
	defer c.Close()
	assert.Equal(t, "CONNECT 22\n", <-asked)
	b := make([]byte, 5)
	_, err = c.Read(b)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(b))
}
