//go:build vmtest

package sandbox

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/capsem/capsem-bench/sandbox/remote"
)

// These tests boot real machines, under TCG so that they are the same
// everywhere. 'just _vm-test' runs them; 'capsem-bench vm setup' installs
// what they need.

// vmTestLimit is the end of one test: a boot takes 8 s on an idle machine and
// a minute on a busy one.
const vmTestLimit = 10 * time.Minute

func startVM(t *testing.T, change ...func(*qemu.Options)) (context.Context, *VM) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), vmTestLimit)
	t.Cleanup(cancel)
	image, err := qemu.Build(ctx, qemu.BuildOptions{Profile: qemu.Minimal, Arch: qemu.HostArch()})
	require.NoError(t, err)
	tools, err := qemu.FindTools()
	require.NoError(t, err)
	guest, err := GuestTools().Find(ctx, func(string) {})
	require.NoError(t, err)
	machine := qemu.Options{Image: image, Accel: qemu.TCG, Guest: guest, Tools: tools}
	for _, c := range change {
		c(&machine)
	}
	v, err := NewVM(ctx, VMConfig{Dir: t.TempDir(), Machine: machine})
	require.NoError(t, err)
	t.Cleanup(func() { _ = v.Close() })
	return ctx, v
}

func inVM(ctx context.Context, t *testing.T, v *VM, argv ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	status, err := v.Exec(ctx, remote.Command{Line: shell.Join(argv...), Stdout: &out, Stderr: &out})
	require.NoError(t, err)
	return out.String(), status
}

func TestVM(t *testing.T) {
	ctx, v := startVM(t)
	out, status := inVM(ctx, t, v, "sh", "-c", "uname -n; ip -o link | cut -d: -f2; exit 7")
	assert.Equal(t, "capsem\n lo\n", out)
	assert.Equal(t, 7, status)

	// curl gets no authority: it finds the session's in the system's bundle.
	out, _ = inVM(ctx, t, v, "sh", "-c", "env | grep -E '^(SSL_CERT|CURL_)' ; cat /root/.curlrc")
	assert.NotContains(t, out, "=")
	out, status = inVM(ctx, t, v, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "https://www.google.com/")
	assert.Equal(t, "200", out)
	assert.Zero(t, status)
	out, _ = inVM(ctx, t, v, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "https://example.org/")
	assert.Equal(t, "403", out)

	_, status = inVM(ctx, t, v, "sh", "-c", "echo kept > /root/file && echo lost | tee /etc/file /usr/bin/file /tmp/file")
	assert.Zero(t, status)
	text, err := os.ReadFile(filepath.Join(v.Dir(), "workspace", "file"))
	require.NoError(t, err)
	assert.Equal(t, "kept\n", string(text))

	out, status = inVM(ctx, t, v, "snapshots", "create", "one", "--json")
	assert.Zero(t, status, out)
	assert.Contains(t, out, `"checkpoint": "cp-10"`)

	// Orphans are adopted and reaped: none stays a zombie.
	_, status = inVM(ctx, t, v, "sh", "-c", "for i in 1 2 3; do (setsid sh -c 'exit 0' &); done; sleep 1; ! ps -eo stat= | grep -q Z")
	assert.Zero(t, status, "zombies remain")
	require.NoError(t, v.PowerOff(ctx))
	assert.NoError(t, v.Machine().Err())
	dir := v.Dir()
	require.NoError(t, v.Close())
	assert.NoDirExists(t, dir)

	// Writes outside the workspace went with the machine.
	ctx, v = startVM(t)
	out, status = inVM(ctx, t, v, "sh", "-c", "ls -d /etc/passwd /etc/file /usr/bin/file /tmp/file 2>/dev/null")
	assert.Equal(t, "/etc/passwd\n", out)
	assert.NotZero(t, status, "ls found all of them")
	require.NoError(t, v.Close())
}

// A panic ends the command at once, and the error shows the console.
// A machine whose processors do not start is not waited for in vain.
func TestVMBootsOnceMore(t *testing.T) {
	program := qemu.Config{Arch: qemu.HostArch()}.Program()
	path, err := exec.LookPath(program)
	require.NoError(t, err)
	dir := t.TempDir()
	script := "#!/bin/sh\nmkdir " + dir + "/first 2>/dev/null && exec " + path + ` "$@" -S` + "\nexec " + path + ` "$@"` + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, program), []byte(script), 0o700))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	ctx, v := startVM(t, func(o *qemu.Options) { o.Patience = time.Minute })
	require.DirExists(t, filepath.Join(dir, "first"))
	out, status := inVM(ctx, t, v, "uname", "-n")
	assert.Zero(t, status)
	assert.Equal(t, "capsem\n", out)
}

func TestVMPanics(t *testing.T) {
	ctx, v := startVM(t)
	_, err := v.Exec(ctx, remote.Command{Line: "echo c > /proc/sysrq-trigger; sleep 600"})
	require.Error(t, err)
	assert.ErrorContains(t, err, "the guest's kernel panicked")
	assert.ErrorContains(t, err, "sysrq")
	require.NoError(t, v.Close())
}

// Without virtiofsd the machine is of no more use; nothing waits for it.
func TestVMLosesVirtiofsd(t *testing.T) {
	ctx, v := startVM(t)
	pids := childrenOf(t, os.Getpid(), "virtiofsd")
	require.NotEmpty(t, pids)
	require.NoError(t, syscall.Kill(pids[0], syscall.SIGKILL))
	select {
	case <-v.Machine().Ended():
	case <-ctx.Done():
		t.Fatal("nobody noticed")
	}
	assert.ErrorContains(t, v.Machine().Err(), "virtiofsd")
	require.NoError(t, v.Close())
	assert.Empty(t, childrenOf(t, os.Getpid(), "qemu-system"))
}

// childrenOf finds a process's children whose command begins with name.
func childrenOf(t *testing.T, parent int, name string) (pids []int) {
	t.Helper()
	out, err := exec.Command("ps", "-eo", "pid=,ppid=,comm=").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) == 3 && f[1] == strconv.Itoa(parent) && strings.HasPrefix(f[2], name) {
			pid, err := strconv.Atoi(f[0])
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}
