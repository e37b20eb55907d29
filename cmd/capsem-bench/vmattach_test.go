package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/internal/sshd"
	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/capsem/capsem-bench/sandbox/remote"
)

// attachLimit is how long anything here may take on a busy machine.
const attachLimit = 2 * time.Minute

// A standIn is a running VM as other commands find it, named dev, without
// QEMU: our guest's SSH server behind a socket that speaks as the vsock
// device does.
type standIn struct {
	qemu.Running
	home string // where sessions start
	bin  string // has capsem-bench and capsem-bench-hasty
	env  []string
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	tmp, err := os.MkdirTemp("/tmp", "capsem-test-") // a short path, for sockets
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	t.Setenv("TMPDIR", tmp)
	t.Setenv("XDG_RUNTIME_DIR", "")
	s := &standIn{home: t.TempDir(), bin: t.TempDir()}
	self, err := os.Executable()
	require.NoError(t, err)
	for _, name := range []string{"capsem-bench", "capsem-bench-hasty"} {
		require.NoError(t, os.Symlink(self, filepath.Join(s.bin, name)))
	}
	s.env = []string{"PATH=" + s.bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + tmp, "TERM=xterm"}

	vm, err := qemu.New(qemu.Options{
		Name: "dev", Accel: qemu.TCG, Tools: qemu.Tools{Vsock: qemu.VhostUser},
		ProxyCommand: shell.Join(filepath.Join(s.bin, "capsem-bench"), "vm", "proxy"),
		Image:        &qemu.Image{Manifest: qemu.Manifest{Profile: "minimal", Arch: qemu.AMD64}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = vm.Close() })
	key, public, err := remote.NewKey()
	require.NoError(t, err)
	hostKey, hostPublic, err := remote.NewKey()
	require.NoError(t, err)
	require.NoError(t, vm.Publish(key, hostPublic))
	s.Running, err = qemu.Find("dev")
	require.NoError(t, err)

	ln, err := net.Listen("unix", filepath.Join(s.Dir, "s", "v"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- sshd.Serve(ctx, deviceListener{ln}, sshd.Config{
			AuthorizedKey: public, HostKey: hostKey, Dir: s.home,
			Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "PS1=$ "},
		})
	}()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	return s
}

// deviceListener answers the line with which vhost-device-vsock is asked for a port.
type deviceListener struct{ net.Listener }

func (l deviceListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	_, _ = io.ReadFull(c, make([]byte, len("CONNECT 22\n")))
	_, _ = io.WriteString(c, "OK 1024\n")
	return c, nil
}

// command is a program of the host's side, to be run.
func (s *standIn) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), attachLimit)
	t.Cleanup(cancel)
	path := filepath.Join(s.bin, name)
	if !strings.HasPrefix(name, "capsem-bench") {
		var err error
		if path, err = exec.LookPath(name); err != nil {
			t.Skip("no " + name + "; install openssh-client")
		}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir = s.env, t.TempDir()
	return cmd
}

func (s *standIn) run(t *testing.T, stdin, name string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	cmd := s.command(t, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestAttachList(t *testing.T) {
	s := newStandIn(t)
	status, out, errs := s.run(t, "", "capsem-bench", "vm", "list")
	assert.Zero(t, status, errs)
	assert.Regexp(t, `^NAME +PID +UP +IMAGE +ARCH +ACCEL +DIRECTORY\ndev +\d+ +\d+s +minimal +amd64 +tcg +/tmp/.*/capsem-vm-dev\n$`, out)
	status, out, errs = s.run(t, "", "capsem-bench", "vm", "list", "--json")
	assert.Zero(t, status, errs)
	var list []qemu.Running
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	assert.Equal(t, []qemu.Running{s.Running}, list)
	assert.NotContains(t, out, "PRIVATE")
	assert.Contains(t, out, `"cid": 3,`) // of every guest of vhost-device-vsock
}

func TestAttachExec(t *testing.T) {
	s := newStandIn(t)
	for _, tt := range []struct {
		stdin          string
		argv           []string
		status         int
		stdout, stderr string
	}{
		{"", []string{"sh", "-c", "echo out; echo err >&2; exit 7"}, 7, "out\n", "err\n"},
		{"in\x00\xff", []string{"cat"}, 0, "in\x00\xff", ""},
		{"", []string{"printf", "%s|", "a b", "", "ü'\"$x\n", "--vm"}, 0, "a b||ü'\"$x\n|--vm|", ""},
		{"", []string{"sh", "-c", "kill -KILL $$"}, 137, "", ""},
		{"", []string{"pwd"}, 0, s.home + "\n", ""},
	} {
		status, out, errs := s.run(t, tt.stdin, "capsem-bench", append([]string{"vm", "exec", "--vm", "dev", "--"}, tt.argv...)...)
		assert.Equal(t, tt.status, status, tt.argv)
		assert.Equal(t, tt.stdout, out)
		assert.Equal(t, tt.stderr, errs)
	}
	status, _, errs := s.run(t, "", "capsem-bench", "vm", "exec", "--vm", "other", "--", "true")
	assert.Equal(t, exitUnfit, status)
	assert.Equal(t, "capsem-bench: no such VM runs: other; 'capsem-bench vm list' shows those that do\n", errs)
	status, _, errs = s.run(t, "", "capsem-bench", "vm", "shell", "--vm", "dev")
	assert.Equal(t, exitUsage, status)
	assert.Contains(t, errs, "no terminal")
}

// Signals are the command's, and what it makes of them is the status.
func TestAttachSignals(t *testing.T) {
	s := newStandIn(t)
	for name, sig := range map[string]syscall.Signal{
		"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
	} {
		line := "trap 'echo got " + name + "; exit 9' " + name + "; echo ready; while :; do read -r x; done"
		status, out := s.signal(t, sig, "sh", "-c", line)
		assert.Equal(t, 9, status, name)
		assert.Equal(t, "ready\ngot "+name+"\n", out)
	}
	status, out := s.signal(t, syscall.SIGTERM, "sh", "-c", "echo ready; exec cat")
	assert.Equal(t, 143, status)
	assert.Equal(t, "ready\n", out)
}

// signal sends a signal when the command says that it is ready.
func (s *standIn) signal(t *testing.T, sig syscall.Signal, argv ...string) (status int, out string) {
	t.Helper()
	cmd := s.command(t, "capsem-bench", append([]string{"vm", "exec", "--vm", "dev", "--"}, argv...)...)
	stdin, err := cmd.StdinPipe() // stays open
	require.NoError(t, err)
	defer stdin.Close()
	var text lockedBuffer
	cmd.Stdout, cmd.Stderr = &text, &text
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return text.String() == "ready\n" }, attachLimit, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(sig))
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), text.String()
}

// A command that does not end when it is asked to is killed.
func TestAttachDeafCommand(t *testing.T) {
	s := newStandIn(t)
	cmd := s.command(t, "capsem-bench-hasty", "vm", "exec", "--vm", "dev", "--", "sh", "-c", "trap '' INT TERM; echo $$; while :; do sleep 0.2; done")
	var out, errs lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Start())
	assert.Eventually(t, func() bool { return strings.HasSuffix(out.String(), "\n") }, attachLimit, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	_ = cmd.Wait()
	assert.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode())
	assert.Equal(t, "capsem-bench: interrupted\n", errs.String())
	proc := "/proc/" + strings.TrimSpace(out.String())
	assert.Eventually(t, func() bool {
		_, err := os.Stat(proc)
		return os.IsNotExist(err)
	}, attachLimit, 10*time.Millisecond, "it lives on")
}

// usualUmask is what the modes in a test, which is not parallel, are those of.
func usualUmask(t *testing.T) {
	t.Helper()
	old := syscall.Umask(0o022)
	t.Cleanup(func() { syscall.Umask(old) })
}

// A tree is copied into a VM and out of it as it was.
func TestAttachCopy(t *testing.T) {
	usualUmask(t)
	s := newStandIn(t)
	src := filepath.Join(t.TempDir(), "tree")
	require.NoError(t, os.MkdirAll(filepath.Join(src, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(src, "sub", "run"), []byte("#!/bin/sh\n"), 0o751))
	require.NoError(t, os.Chmod(filepath.Join(src, "sub", "run"), 0o751))
	require.NoError(t, os.Symlink("sub/run", filepath.Join(src, "link")))
	back := t.TempDir()
	vmcp := func(from, to string) (int, string) {
		t.Helper()
		status, out, errs := s.run(t, "", "capsem-bench", "vm", "cp", from, to)
		assert.Empty(t, out)
		return status, errs
	}
	status, errs := vmcp(src, "dev:"+s.home)
	assert.Zero(t, status, errs)
	status, errs = vmcp("dev:"+s.home+"/tree", back)
	assert.Zero(t, status, errs)
	for _, dir := range []string{s.home, back} {
		info, err := os.Stat(filepath.Join(dir, "tree", "link"))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o751), info.Mode(), dir)
	}
	status, errs = vmcp("dev:"+s.home+"/tree/sub/run", filepath.Join(back, "a:b"))
	assert.Zero(t, status, errs)
	assert.FileExists(t, filepath.Join(back, "a:b"))

	// A link that leads out is left out, and that is no success.
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(s.home, "tree", "\x1b[31mout")))
	status, errs = vmcp("dev:"+s.home+"/tree", filepath.Join(back, "second"))
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, errs, "left out: a link to \"/etc/passwd\"")
	assert.Contains(t, errs, "not everything was copied")
	assert.NotContains(t, errs, "\x1b")
	assert.FileExists(t, filepath.Join(back, "second", "sub", "run"))

	for _, tt := range []struct {
		from, to string
		status   int
		want     string
	}{
		{"a", "b", exitUsage, "want one of the two in a VM"},
		{"dev:a", "dev:b", exitUsage, "want one of the two in a VM"},
		{filepath.Join(back, "none"), "dev:", exitUsage, "no such file"},
		{"dev:none", ".", exitUsage, `guest:"none"`},
		{"other:a", ".", exitUnfit, "no such VM runs: other"},
		{"UP:a", ".", exitUsage, "unfit name"},
	} {
		status, errs := vmcp(tt.from, tt.to)
		assert.Equal(t, tt.status, status, errs)
		assert.Contains(t, errs, tt.want)
		assert.Equal(t, 1, strings.Count(errs, "\n"), errs)
	}
}

// OpenSSH's programs reach the VM by its name, with its key and no other
// host's.
func TestAttachOpenSSH(t *testing.T) {
	s := newStandIn(t)
	status, out, errs := s.run(t, "", "capsem-bench", "vm", "ssh-config", "dev")
	assert.Zero(t, status, errs)
	assert.Equal(t, s.SSHConfig+"\n", out)
	status, out, errs = s.run(t, "in", "ssh", "-F", s.SSHConfig, "dev", "cat; echo; exit 5")
	assert.Equal(t, 5, status, errs)
	assert.Equal(t, "in\n", out)

	// Without the file, as the help has it.
	known := filepath.Join(s.Dir, "known_hosts")
	status, out, errs = s.run(t, "", "ssh", "-F", "none", "-o", "ProxyCommand=capsem-bench vm proxy %h", "-i", s.Key,
		"-o", "UserKnownHostsFile="+known, "-o", "StrictHostKeyChecking=yes", "root@dev", "echo hello")
	assert.Zero(t, status, errs)
	assert.Equal(t, "hello\n", out)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("content"), 0o600))
	status, _, errs = s.run(t, "", "scp", "-F", s.SSHConfig, file, "dev:"+s.home+"/there")
	assert.Zero(t, status, errs)
	status, _, errs = s.run(t, "", "scp", "-F", s.SSHConfig, "dev:"+s.home+"/there", file+"2")
	assert.Zero(t, status, errs)
	text, err := os.ReadFile(file + "2")
	require.NoError(t, err)
	assert.Equal(t, "content", string(text))

	// A guest that has another key is not spoken to.
	_, other, err := remote.NewKey()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(known, append([]byte("dev "), other...), 0o600))
	status, out, errs = s.run(t, "", "ssh", "-F", s.SSHConfig, "dev", "echo hello")
	assert.Equal(t, 255, status)
	assert.Empty(t, out)
	assert.Contains(t, errs, "Host key verification failed")
}

// The proxy ends when either side does.
func TestAttachProxy(t *testing.T) {
	s := newStandIn(t)
	status, out, errs := s.run(t, "SSH-2.0-x\r\n", "capsem-bench", "vm", "proxy", "dev")
	assert.Zero(t, status, errs)
	assert.True(t, strings.HasPrefix(out, "SSH-2.0-capsem-guest\r\n"), out)
	status, _, errs = s.run(t, "", "capsem-bench", "vm", "proxy", "other")
	assert.Equal(t, exitUnfit, status)
	assert.Contains(t, errs, "no such VM runs: other")
}
