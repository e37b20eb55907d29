package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/shell"
)

// measureByCommand runs disk and startup in the guest that the templates lead
// to, and checks that they were measured there.
func measureByCommand(t *testing.T, tr *trial, args ...string) {
	t.Helper()
	status := tr.run(t, append([]string{"run", "--sandbox", "command", "disk", "startup"}, args...)...)
	assert.Zero(t, status, tr.stderr.String())
	var doc document
	require.NoError(t, json.Unmarshal(tr.stdout.Bytes(), &doc), tr.stdout.String())
	assert.True(t, doc.Additions.Complete)
	text, err := filepath.Glob(filepath.Join(tr.dir, resultsDir, "*", textName))
	require.NoError(t, err)
	require.Len(t, text, 1)
	raw, err := os.ReadFile(text[0])
	require.NoError(t, err)
	for _, want := range []string{`"sandbox":"command"`, "BenchmarkDisk/op=seq_write/size=16MiB", "BenchmarkDisk/op=rand_read_4k", "BenchmarkStartup/cli=python3", `"type":"end"`} {
		assert.Contains(t, string(raw), want)
	}
}

// The real guest binary in a directory of this machine; what was copied there
// is gone afterwards.
func TestCommandDirectory(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	dir := t.TempDir()
	measureByCommand(t, tr, "--exec", "sh -c {}", "--copy", "cp {src} {dst}", "--guest-dir", dir)
	assert.Empty(t, entries(t, dir))
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// The real guest binary in a container: a user, process and mount namespace
// with a /tmp that this machine does not see.
func TestCommandContainer(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"unshare", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("no " + program + "; install util-linux")
		}
	}
	tr := newTrial(t)
	enter := container(t)
	tr.env = append(tr.env, "CAPSEM_BENCH_DIR=/tmp/home")
	measureByCommand(t, tr, "--exec", shell.Join(enter...)+" sh -c {}", "--guest-dir", "/tmp")
	out, err := exec.Command(enter[0], append(enter[1:], "ls", "-A", "/tmp")...).Output()
	require.NoError(t, err)
	assert.Equal(t, "home\n", string(out))
}

// container starts one and returns the words that run a command in it.
func container(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
		"sh", "-c", "mount -t tmpfs none /tmp && mkdir /tmp/home && echo up && exec cat")
	in, err := cmd.StdinPipe() // its end is the container's, however we end
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "up\n", line)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
	require.NoError(t, err)
	return []string{"nsenter", "--target", strings.TrimSpace(string(text)), "--user", "--mount", "--pid", "--preserve-credentials"}
}
