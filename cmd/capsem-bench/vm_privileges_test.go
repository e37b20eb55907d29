//go:build vmtest

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Guest to host: a guest makes no device nodes on the host. Who breaks out of
// the emulator or the vsock device is a user that owns nothing, without
// capabilities, and starts no program from the emulator. Who breaks into
// virtiofsd sees the workspace and nothing else. Nobody gets new privileges.
// Limits and disk queues are those of Capsem's guest.
func TestVMPrivileges(t *testing.T) {
	tr := newVMTrial(t)
	tr.start(t, "vm", "exec", "--accel", "tcg", "--tools=false", "--", "sh", "-c",
		"mknod /root/c c 1 3; mknod /root/b b 254 0; ls /root; touch /root/mine; ulimit -n; ulimit -Hn; cat /sys/block/vda/queue/read_ahead_kb /sys/block/vda/queue/nr_requests; cat")
	tr.await(t, "its answer", func() bool { return strings.Contains(tr.stdout.String(), "4096\n256\n") })
	var accounts []string
	for _, program := range []string{"qemu-system", "vhost-device-vsock"} {
		pids := tr.pidsOf(t, program)
		require.Len(t, pids, 1, program)
		status := procStatus(t, pids[0])
		assert.Equal(t, "1", status["NoNewPrivs"], program)
		if program == "qemu-system" {
			assert.Equal(t, "2", status["Seccomp"], program)
		}
		if os.Geteuid() != 0 {
			continue
		}
		assert.Regexp(t, `^6[1-5]\d\d\d$`, strings.Fields(status["Uid"])[0], program)
		for _, ids := range []string{"Uid", "Gid"} {
			id := strings.Fields(status[ids])
			assert.Equal(t, []string{id[0], id[0], id[0], id[0]}, id, "%s: %s", program, ids)
		}
		assert.Empty(t, status["Groups"], program)
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			assert.Equal(t, "0000000000000000", status[set], "%s: %s", program, set)
		}
		accounts = append(accounts, status["Uid"])
	}
	if len(accounts) == 2 {
		assert.Equal(t, accounts[0], accounts[1])
	}
	tr.checkSharing(t)
	require.NoError(t, tr.cmd.Process.Signal(os.Interrupt))
	tr.wait(t)
	assert.Equal(t, "65536\n65536\n4096\n256\n", tr.stdout.String())
	assert.Equal(t, 2, strings.Count(tr.stderr.String(), "Operation not permitted"), tr.stderr.String())
}

// checkSharing holds virtiofsd, and the process that waits for it, to what they
// may have.
func (tr *vmTrial) checkSharing(t *testing.T) {
	t.Helper()
	pids := tr.pidsOf(t, "virtiofsd")
	require.NotEmpty(t, pids)
	sharing := 0
	for _, pid := range pids {
		status := procStatus(t, pid)
		assert.Equal(t, "1", status["NoNewPrivs"])
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/root", pid))
		require.NoError(t, err)
		require.Len(t, entries, 1, "its root directory is the workspace")
		assert.Equal(t, "mine", entries[0].Name())
		if status["CapEff"] == "0000000000000000" {
			continue // it only waits
		}
		sharing++
		assert.Equal(t, "2", status["Seccomp"])
		caps, err := strconv.ParseUint(status["CapEff"], 16, 64)
		require.NoError(t, err)
		// CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID and SETFCAP (capabilities(7)): no MKNOD, nothing of the system's.
		assert.Zero(t, caps&^(1<<0|1<<1|1<<3|1<<4|1<<6|1<<7|1<<31), "%x", caps)
		for _, namespace := range []string{"mnt", "net", "pid"} {
			own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, namespace))
			require.NoError(t, err)
			ours, err := os.Readlink("/proc/self/ns/" + namespace)
			require.NoError(t, err)
			assert.NotEqual(t, ours, own, namespace)
		}
	}
	assert.Equal(t, 1, sharing)
}

// procStatus reads proc_pid_status(5).
func procStatus(t *testing.T, pid int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	out := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		out[key] = strings.TrimSpace(value)
	}
	return out
}
