package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A reader that has seen enough, as head has, ends the command of a VM quietly
// and with status 0, whatever that one makes of it.
func TestExecReaderLeaves(t *testing.T) {
	s := newStandIn(t)
	for name, tt := range map[string]struct {
		line  string
		reads int // lines
	}{
		"in the midst":            {"echo $$; exec yes", 1},
		"before anything":         {"echo $$; exec yes", 0},
		"of a deaf command":       {"trap '' PIPE; echo $$; while echo y 2>/dev/null; do :; done; exit 9", 1},
		"with complaints as well": {"echo $$; yes; echo gone >&2; exit 7", 1},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := s.command(t, "capsem-bench", "vm", "exec", "--vm", "dev", "--", "sh", "-c", tt.line)
			r, w, err := os.Pipe()
			require.NoError(t, err)
			var errs lockedBuffer
			cmd.Stdout, cmd.Stderr = w, &errs
			require.NoError(t, cmd.Start())
			require.NoError(t, w.Close())
			lines := bufio.NewReader(r)
			pid := ""
			for range tt.reads {
				pid, err = lines.ReadString('\n')
				require.NoError(t, err)
			}
			require.NoError(t, r.Close())
			_ = cmd.Wait()
			assert.Zero(t, cmd.ProcessState.ExitCode())
			assert.Empty(t, errs.String())
			if pid != "" {
				assert.Eventually(t, func() bool { return gone(strings.TrimSpace(pid)) }, attachLimit, 10*time.Millisecond, "the command goes on")
			}
		})
	}
}

// An unprivileged user without uidmap is told which package to install, by
// exec as by doctor, before anything is built.
func TestUnprivilegedWithoutUidmap(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root becomes another user; CI runs this as root")
	}
	dir, err := os.MkdirTemp("/tmp", "capsem-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	self, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	program := filepath.Join(dir, "capsem-bench")
	require.NoError(t, os.WriteFile(program, self, 0o755))
	require.NoError(t, os.Chmod(program, 0o755))                                              // whatever the umask
	for _, name := range []string{"qemu-system-x86_64", "qemu-system-aarch64", "virtiofsd"} { // which are there
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755))
		require.NoError(t, os.Chmod(filepath.Join(dir, name), 0o755))
	}
	run := func(args ...string) (int, string) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + dir}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			require.NoError(t, err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	for _, args := range [][]string{{"vm", "exec", "--", "true"}, {"run", "--sandbox", "qemu", "startup"}} {
		status, out := run(args...)
		assert.Equal(t, exitUnfit, status, out)
		assert.Contains(t, out, "newuidmap, by which virtiofsd works without root (Debian package uidmap): not found")
		assert.Contains(t, out, "'capsem-bench vm setup' installs what is missing")
	}
	status, out := run("vm", "doctor")
	assert.Equal(t, exitUnfit, status, out)
	assert.Regexp(t, `newuidmap +│ missing │ Debian package uidmap`, out)
}

// What an operation took last time is remembered on a machine of the user's,
// and never in a guest, whose cache directory is in the workspace whose
// snapshots are measured.
func TestDurationsAreNotWrittenInAGuest(t *testing.T) {
	t.Parallel()
	for env, written := range map[string]bool{"NOTHING=": true, "CAPSEM_BENCH_SANDBOX=qemu": false, "CAPSEM_BENCH_SANDBOX=command": false} {
		t.Run(env, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			tr := newTrial(t, env, "HOME="+home, "XDG_CACHE_HOME=")
			assert.Equal(t, exitOK, tr.run(t, "startup"), tr.stderr.String())
			found, err := filepath.Glob(filepath.Join(home, ".cache", "*", "durations.json"))
			require.NoError(t, err)
			assert.Equal(t, written, len(found) == 1)
			if !written {
				assert.NoDirExists(t, filepath.Join(home, ".cache"))
			}
		})
	}
}

func gone(pid string) bool {
	_, err := os.Stat(filepath.Join("/proc", pid))
	return os.IsNotExist(err)
}
