//go:build vmtest

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/sandbox/qemu"
)

// These tests boot real machines, under TCG so that they are the same
// everywhere. 'just _vm-test' runs them; 'capsem-bench vm setup' installs
// what they need.

// bootLimit is the end of a boot: it takes 8 s on an idle machine.
const bootLimit = 5 * time.Minute

// A vmUse is a directory for temporary files of its own, so that the VMs of
// others are out of sight, and the command built as people have it.
type vmUse struct {
	tmp, binary string
	env         []string
}

func newVMUse(t *testing.T) *vmUse {
	t.Helper()
	binary := testbuild.Command(t)
	guest, tools := guestBinary(t), guestTools(t)
	tmp, err := os.MkdirTemp("/tmp", "capsem,test-") // a short path, for sockets; the comma is QEMU's own
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	t.Setenv("TMPDIR", tmp) // not before: what is built is for all tests
	return &vmUse{tmp: tmp, binary: binary, env: append(os.Environ(), "CAPSEM_BENCH_SIZE_MB=4",
		"CAPSEM_BENCH_TEST="+guest, "CAPSEM_GUEST="+tools, "CAPSEM_BENCH_COMMAND="+binary)}
}

func (v *vmUse) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	if name == "capsem-bench" {
		name = v.binary
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env, cmd.Dir = v.env, t.TempDir()
	return cmd
}

func (v *vmUse) run(t *testing.T, name string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	cmd := v.command(t, name, args...)
	var out, errs lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// boot boots a VM of that name in the background.
func (v *vmUse) boot(t *testing.T, name string) (*exec.Cmd, qemu.Running) {
	t.Helper()
	cmd := v.command(t, "capsem-bench", "vm", "exec", "--accel", "tcg", "--name", name, "--", "sleep", "3600")
	var errs lockedBuffer
	cmd.Stderr = &errs
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	var r qemu.Running
	require.Eventually(t, func() bool {
		var err error
		r, err = qemu.Find(name)
		return err == nil
	}, bootLimit, 50*time.Millisecond, "it does not come up: %s", &errs)
	return cmd, r
}

// localCID prints what a guest is known by, IOCTL_VM_SOCKETS_GET_LOCAL_CID of
// vsock(7).
const localCID = `import fcntl, struct
with open("/dev/vsock", "rb") as f:
    print(struct.unpack("I", fcntl.ioctl(f, 0x7b9, bytes(4)))[0])`

// A running VM is found and used by other commands, ours and OpenSSH's.
func TestVMAttach(t *testing.T) {
	v := newVMUse(t)
	_, r := v.boot(t, "dev")
	status, out, errs := v.run(t, "capsem-bench", "vm", "list", "--json")
	require.Zero(t, status, errs)
	var list []qemu.Running
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	assert.Equal(t, []qemu.Running{r}, list)
	status, out, errs = v.run(t, "capsem-bench", "vm", "exec", "--vm", "dev", "--", "python3", "-c", localCID)
	require.Zero(t, status, errs)
	assert.Equal(t, strconv.Itoa(int(r.CID))+"\n", out, "the guest's own")
	status, out, errs = v.run(t, "bash", "-o", "pipefail", "-c", shell.Quote(v.binary)+" vm exec --vm dev -- yes | head -n 1")
	assert.Zero(t, status)
	assert.Equal(t, "y\n", out)
	assert.Empty(t, errs)

	status, out, errs = v.run(t, "capsem-bench", "vm", "exec", "--vm", "dev", "--", "sh", "-c", "uname -n; pwd; exit 7")
	assert.Equal(t, 7, status, errs)
	assert.Equal(t, "capsem\n/root\n", out)

	// Copies, relative to the workspace.
	src := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(src, "tree", "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(src, "tree", "sub", "file"), []byte("content"), 0o640))
	status, _, errs = v.run(t, "capsem-bench", "vm", "cp", filepath.Join(src, "tree"), "dev:")
	assert.Zero(t, status, errs)
	status, out, _ = v.run(t, "capsem-bench", "vm", "exec", "--vm", "dev", "--", "stat", "-c", "%a %s", "tree/sub/file")
	assert.Zero(t, status)
	assert.Equal(t, "640 7\n", out)
	status, _, errs = v.run(t, "capsem-bench", "vm", "cp", "dev:tree", filepath.Join(src, "back"))
	assert.Zero(t, status, errs)
	text, err := os.ReadFile(filepath.Join(src, "back", "sub", "file"))
	require.NoError(t, err)
	assert.Equal(t, "content", string(text))

	// What the guest makes of a tree leads nowhere.
	status, _, errs = v.run(t, "capsem-bench", "vm", "exec", "--vm", "dev", "--", "ln", "-s", "/etc/passwd", "tree/out")
	assert.Zero(t, status, errs)
	status, _, errs = v.run(t, "capsem-bench", "vm", "cp", "dev:tree", filepath.Join(src, "again"))
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, errs, "left out")
	assert.NoFileExists(t, filepath.Join(src, "again", "out"))

	for _, program := range []string{"ssh", "scp"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("no " + program + "; install openssh-client")
		}
	}
	status, out, errs = v.run(t, "ssh", "-F", r.SSHConfig, "dev", "echo hello; exit 5")
	assert.Equal(t, 5, status, errs)
	assert.Equal(t, "hello\n", out)
	status, out, errs = v.run(t, "ssh", "-F", "none", "-o", "ProxyCommand="+shell.Quote(v.binary)+" vm proxy %h", "-i", r.Key,
		"-o", "UserKnownHostsFile="+filepath.Join(r.Dir, "known_hosts"), "-o", "StrictHostKeyChecking=yes", "root@dev", "id -u")
	assert.Zero(t, status, errs)
	assert.Equal(t, "0\n", out)
	status, _, errs = v.run(t, "scp", "-r", "-F", r.SSHConfig, "dev:tree/sub", filepath.Join(src, "scp"))
	assert.Zero(t, status, errs)
	assert.FileExists(t, filepath.Join(src, "scp", "file"))

	// The command sandbox measures in it, and leaves nothing there.
	cmd := v.command(t, "capsem-bench", "run", "--sandbox", "command", "--exec", shell.Join("ssh", "-F", r.SSHConfig, "dev")+" {}",
		"--copy", shell.Join("scp", "-q", "-F", r.SSHConfig)+" {src} dev:{dst}", "disk", "startup")
	var errsBuf lockedBuffer
	cmd.Stderr = &errsBuf
	_, err = cmd.Output()
	assert.NoError(t, err, errsBuf.String())
	texts, err := filepath.Glob(filepath.Join(cmd.Dir, resultsDir, "*", textName))
	require.NoError(t, err)
	require.Len(t, texts, 1)
	text, err = os.ReadFile(texts[0])
	require.NoError(t, err)
	for _, want := range []string{`"sandbox":"command"`, `"hostname":"capsem"`, "BenchmarkDisk/op=seq_write/size=4MiB", "BenchmarkStartup/cli=python3"} {
		assert.Contains(t, string(text), want)
	}
	status, out, errs = v.run(t, "ssh", "-F", r.SSHConfig, "dev", "ls -A /tmp /var/tmp; ls -A | grep capsem")
	assert.Equal(t, 1, status, errs)
	assert.Equal(t, "/tmp:\n\n/var/tmp:\n", out)
}

// A VM whose command is killed is not found any more, and its directory goes.
func TestVMUseKilled(t *testing.T) {
	v := newVMUse(t)
	cmd, r := v.boot(t, "dev")
	require.NoError(t, cmd.Process.Kill())
	assert.Eventually(t, func() bool {
		status, out, _ := v.run(t, "capsem-bench", "vm", "list")
		return status == 0 && out == ""
	}, time.Minute, 100*time.Millisecond)
	assert.NoDirExists(t, r.Dir)
	out, err := exec.Command("ps", "-eo", "args=").Output()
	require.NoError(t, err)
	assert.NotContains(t, string(out), r.Dir, "a process lives on")
}

// VMs at once do not get in each other's way.
func TestVMAtOnce(t *testing.T) {
	v := newVMUse(t)
	results := filepath.Join(t.TempDir(), "results")
	type end struct {
		status    int
		out, errs string
	}
	ends := make([]end, 3)
	var running sync.WaitGroup
	for i, args := range [][]string{
		{"vm", "exec", "--accel", "tcg", "--", "sh", "-c", "echo one >mark; sleep 5; cat mark; curl -sS -o /dev/null -w '%{http_code}' https://www.google.com/ && curl -sS -o /dev/null -w ' %{http_code} %{remote_port}' http://www.google.com/ && curl -sS --http1.0 -o /dev/null -w ' %{http_code} %{http_version}' https://www.google.com/"},
		{"vm", "exec", "--accel", "tcg", "--", "sh", "-c", "echo two >mark; sleep 5; cat mark; snapshots create x --json | grep -c checkpoint"},
		{"run", "--sandbox", "qemu", "--accel", "tcg", "--out", results, "--quiet", "snapshot"},
	} {
		running.Go(func() { ends[i].status, ends[i].out, ends[i].errs = v.run(t, "capsem-bench", args...) })
	}
	together := 0
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-tick.C:
			list, err := qemu.List()
			assert.NoError(t, err)
			together = max(together, len(list))
			continue
		case <-done:
			tick.Stop()
		}
		break
	}
	assert.GreaterOrEqual(t, together, 2, "they did not run at once")
	for _, e := range ends {
		assert.Zero(t, e.status, e.errs)
	}
	assert.Equal(t, "one\n200 200 80 200 1", ends[0].out)
	assert.Equal(t, "two\n1\n", ends[1].out)
	text, err := os.ReadFile(filepath.Join(results, textName))
	require.NoError(t, err)
	assert.Equal(t, 15, strings.Count(string(text), "\nBenchmarkSnapshot/"))
	left, err := filepath.Glob(filepath.Join(v.tmp, "capsem-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}
