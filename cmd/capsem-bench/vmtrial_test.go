//go:build vmtest

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests run the command as people do, with real machines under TCG, and
// break something. 'just _vm-test' runs them; 'capsem-bench vm setup' installs
// what they need.

// A vmTrial is a trial with a cache directory of its own, which has the user's
// image in it.
type vmTrial struct {
	*trial
	cache string
	image string // the image's directory in the cache
}

func newVMTrial(t *testing.T, env ...string) *vmTrial {
	t.Helper()
	tr := &vmTrial{trial: newTrial(t, env...)}
	tr.limit = 10 * time.Minute // most take 15 s, and ten times as long on a busy machine
	tr.cache = filepath.Join(t.TempDir(), "cache")
	tr.env = append(tr.env, "XDG_CACHE_HOME="+tr.cache, "PATH="+tr.bin+":"+os.Getenv("PATH"))
	image := userImage(t)
	images := filepath.Join(tr.cache, "capsem-bench", "images")
	tr.image = filepath.Join(images, filepath.Base(image.Dir()))
	linkFiles(t, tr.image, image.Dir())
	tools, err := qemu.CacheDir()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(filepath.Join(tools, "tools"), filepath.Join(tr.cache, "capsem-bench", "tools")))
	// The directories of machines have to be where the trial looks for them.
	tr.tmp, err = os.MkdirTemp("", "vmtest-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(tr.tmp) })
	require.Less(t, len(tr.tmp), 58)
	tr.env = append(tr.env, "TMPDIR="+tr.tmp)
	return tr
}

// userImage is the image that the user has, built if need be.
func userImage(t *testing.T) *qemu.Image {
	t.Helper()
	image, err := builtImage()
	require.NoError(t, err)
	return image
}

var builtImage = sync.OnceValues(func() (*qemu.Image, error) {
	return qemu.Build(context.Background(), qemu.BuildOptions{Profile: qemu.Minimal, Arch: qemu.HostArch()})
})

// linkFiles fills a new directory with another one's files.
func linkFiles(t *testing.T, to, from string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(to, 0o755))
	files, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, f := range files {
		old, name := filepath.Join(from, f.Name()), filepath.Join(to, f.Name())
		if os.Link(old, name) != nil {
			require.NoError(t, os.Symlink(old, name))
		}
	}
}

// measure starts a run in a VM with the arguments.
func (tr *vmTrial) measure(t *testing.T, args ...string) {
	t.Helper()
	tr.start(t, append([]string{"run", "--sandbox", "qemu", "--accel", "tcg"}, args...)...)
}

// wait waits for the command and holds what it leaves to nothing: no process,
// no temporary file, nothing new in the cache, no workspace.
func (tr *vmTrial) wait(t *testing.T) (status int) {
	t.Helper()
	status = tr.trial.wait(t)
	tr.clean(t)
	return status
}

// clean holds cache and results to what may stay in them.
func (tr *vmTrial) clean(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(tr.image), "*"))
	require.NoError(t, err)
	hidden, err := filepath.Glob(filepath.Join(filepath.Dir(tr.image), ".*"))
	require.NoError(t, err)
	for _, f := range append(files, hidden...) {
		assert.Contains(t, []string{tr.image, tr.image + ".lock"}, f, "left in the cache")
	}
	left, err := filepath.Glob(filepath.Join(tr.dir, resultsDir, "*", ".*"))
	require.NoError(t, err)
	assert.Empty(t, left, "left in the results")
	text, err := os.ReadFile("/proc/mounts")
	require.NoError(t, err)
	assert.NotContains(t, string(text), tr.tmp, "a mount is left")
}

// kept holds the results to the files of a measurement that counts.
func (tr *vmTrial) kept(t *testing.T) {
	t.Helper()
	assert.Equal(t, []string{jsonName, textName, sessionName}, tr.results(t))
}

// await waits until something holds while the command runs.
func (tr *vmTrial) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", tr.cmd.Process.Pid))
		if err != nil || strings.Contains(string(stat), ") Z ") || time.Now().After(end) {
			require.FailNow(t, "never seen: "+what, tr.stderr.String())
		}
	}
}

// awaitText waits until the guest has said something.
func (tr *vmTrial) awaitText(t *testing.T, text string) {
	t.Helper()
	tr.await(t, text, func() bool { return strings.Contains(tr.stderr.String(), text) })
}

// pidOf returns a process of the trial that runs a program, 0 if none does.
func (tr *vmTrial) pidOf(t *testing.T, program string) int {
	t.Helper()
	if pids := tr.pidsOf(t, program); len(pids) > 0 {
		return pids[0]
	}
	return 0
}

// pidsOf returns all of them.
func (tr *vmTrial) pidsOf(t *testing.T, program string) (pids []int) {
	t.Helper()
	for _, dir := range tr.processes() {
		exe, err := os.Readlink(filepath.Join(dir, "exe"))
		if err == nil && strings.HasPrefix(filepath.Base(exe), program) {
			pid, err := strconv.Atoi(filepath.Base(dir))
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// kill sends a signal to a program of the trial.
func (tr *vmTrial) kill(t *testing.T, program string, sig syscall.Signal) {
	t.Helper()
	pid := tr.pidOf(t, program)
	require.NotZero(t, pid, program+" does not run")
	require.NoError(t, syscall.Kill(pid, sig))
}

// checkShown holds what people see to what may reach a terminal.
func checkShown(t *testing.T, text string) {
	t.Helper()
	bad := regexp.MustCompile(`[^\n[:print:]\x{a0}-\x{10ffff}]`).FindString(text)
	assert.Empty(t, bad, "control characters are shown: %q", bad)
}

// checkConsole holds the end of a console to 50 lines of bounded length.
func checkConsole(t *testing.T, text string, has string) {
	t.Helper()
	_, console, found := strings.Cut(text, "the console's last lines:\n")
	require.True(t, found, text)
	lines := slices.Collect(strings.Lines(console))
	assert.LessOrEqual(t, len(lines), 51+10, "the console is cut")
	for _, line := range lines {
		assert.Less(t, len(line), 3000)
	}
	assert.Contains(t, console, has)
	checkShown(t, text)
}
