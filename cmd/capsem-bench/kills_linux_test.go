package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/contract"
)

// More kills: go test ./cmd/capsem-bench -run TestKills -v -kills 60
var (
	kills    = flag.Int("kills", 1, "kill each of run, ab and serve so often, at random moments")
	killSeed = flag.Uint64("kill-seed", 1, "of the moments")
)

// A home is a populated home directory, in which a command is killed.
type home struct {
	*trial
	path   string
	before map[string]string
}

func newHome(t *testing.T, env ...string) *home {
	t.Helper()
	h := &home{trial: newTrial(t, env...), path: t.TempDir()}
	h.dir = filepath.Join(h.path, "src", "project")
	for name, text := range map[string]string{
		".bashrc": "alias x=y\n", ".ssh/id_test": "a key\n", ".cache/other/blob": strings.Repeat("b", 1<<20), ".config/tool/config": "c\n",
		"src/project/main.go": "package main\n", "src/project/results/20200101-000000-abcd/bench.txt": "BenchmarkX 1 5 ns/op\n",
		"src/project/results/mine.txt": "mine\n", "src/project/.capsem-bench-mine/file": "mine\n", "src/project/.sandbox-mine/file": "mine\n",
		"src/project/.boot-mine/file": "mine\n", "work/data/deep/er/file": "d\n", "work/.capsem-bench-keep": "a file\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(h.path, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(h.path, name), []byte(text), 0o640))
	}
	require.NoError(t, os.Symlink("../src", filepath.Join(h.path, "work", "link")))
	require.NoError(t, os.Mkdir(filepath.Join(h.tmp, "capsem-mine"), 0o700)) // which has no lock
	h.env = append(h.env, "HOME="+h.path, "CAPSEM_BENCH_DIR="+filepath.Join(h.path, "work"), marker+h.dir)
	h.before = h.look(t)
	return h
}

// look describes everything below the home: contents, modes, times.
func (h *home) look(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	require.NoError(t, filepath.WalkDir(h.path, func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		what := fmt.Sprint(info.Mode())
		switch {
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			what += fmt.Sprintf(" %x %v", sha256.Sum256(text), info.ModTime())
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			require.NoError(t, err)
			what += " " + to
		}
		name, err := filepath.Rel(h.path, path)
		require.NoError(t, err)
		found[name] = what
		return nil
	}))
	return found
}

// untouched holds the home to what was there before, and what came to it to
// names below the given ones.
func (h *home) untouched(t *testing.T, ours ...string) {
	t.Helper()
	now := h.look(t)
	for name, what := range h.before {
		assert.Equal(t, what, now[name], name)
	}
	for name := range now {
		_, was := h.before[name]
		ok := was
		for _, prefix := range append(ours, ".cache/capsem-bench") {
			ok = ok || name == prefix || strings.HasPrefix(name, prefix+"/")
		}
		assert.True(t, ok, "left in the home: %s", name)
	}
	assert.DirExists(t, filepath.Join(h.tmp, "capsem-mine"))
}

// killAt starts a command and kills it after a while, if it has not ended; all
// that it started must end too.
func (tr *trial) killAt(t *testing.T, after time.Duration, sig syscall.Signal, args ...string) (ended bool) {
	t.Helper()
	tr.stdout.Reset()
	tr.stderr = lockedBuffer{}
	tr.start(t, args...)
	timer := time.AfterFunc(after, func() { _ = tr.cmd.Process.Signal(sig) })
	_ = tr.cmd.Wait()
	ended = timer.Stop()
	tr.nothingRuns(t)
	return ended
}

// swept holds the temporary files to nothing of ours once any command ran.
func (h *home) swept(t *testing.T) {
	t.Helper()
	h.start(t, "version")
	_ = h.cmd.Wait()
	entries, err := os.ReadDir(h.tmp)
	require.NoError(t, err)
	require.Len(t, entries, 1, "temporary files left")
}

// killSignal is how a command ends, mostly without a chance to clean up.
func killSignal(rng *rand.Rand) syscall.Signal {
	return []syscall.Signal{syscall.SIGKILL, syscall.SIGKILL, syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT}[rng.IntN(5)]
}

// moments are random ones of a command that takes so long.
func moments(t *testing.T, number uint64, whole time.Duration, kill func(i int, after time.Duration, sig syscall.Signal)) {
	t.Helper()
	rng := rand.New(rand.NewPCG(*killSeed, number))
	for i := range *kills {
		kill(i, time.Duration(rng.Float64()*1.1*float64(whole)), killSignal(rng))
	}
	t.Logf("%d kills in the first %v", *kills, (whole * 11 / 10).Round(time.Millisecond))
}

// A command that is killed at any moment touches nothing that is not its own.
// What it had measured is there, and what it was in the middle of goes by
// itself or with the next command.
func TestKills(t *testing.T) {
	t.Parallel()
	t.Run("run", func(t *testing.T) {
		t.Parallel()
		h := newHome(t, "CAPSEM_BENCH_SIZE_MB=1")
		begin := time.Now()
		args := []string{"run", "--out", "results/new", "disk", "startup", "snapshot"}
		require.True(t, h.killAt(t, time.Hour, syscall.SIGKILL, args...))
		whole := time.Since(begin)
		require.NoError(t, os.RemoveAll(filepath.Join(h.dir, "results", "new")))
		moments(t, 1, whole, func(i int, after time.Duration, sig syscall.Signal) {
			h.killAt(t, after, sig, args...)
			h.swept(t)
			h.untouched(t, "src/project/results/new")
			text := filepath.Join(h.dir, "results", "new", textName)
			if info, err := os.Stat(text); err == nil && info.Size() > 0 {
				h.killAt(t, time.Hour, sig, "convert", text)
				assert.NotEqual(t, exitUnfit, h.cmd.ProcessState.ExitCode(), "what was measured is read: %s", h.stderr.String())
			}
			// The next run beside it removes the workspace that was left.
			h.killAt(t, time.Hour, sig, "run", "--out", "results/next", "-q", "startup")
			left, err := filepath.Glob(filepath.Join(h.dir, "results", "*", ".sandbox-*"))
			require.NoError(t, err)
			assert.Empty(t, left, "kill %d after %v by %v", i, after, sig)
			for _, name := range []string{"new", "next"} {
				require.NoError(t, os.RemoveAll(filepath.Join(h.dir, "results", name)))
			}
			h.untouched(t)
		})
	})
	t.Run("ab", func(t *testing.T) {
		t.Parallel()
		h := newHome(t, "FAKE_DELAY=0.1")
		fit := filepath.Join(h.bin, "fit.json")
		require.NoError(t, os.WriteFile(fit, []byte(fitMachine), 0o600))
		build := filepath.Join(h.bin, "fake")
		require.NoError(t, fakeBuild(build))
		h.env = append(h.env, "TEST_MACHINE="+fit)
		args := []string{"ab", "--quiet", "--base", build, "--cand", build, "--looks", "6", "--count", "1", "--out", "results/new", "snapshot"}
		begin := time.Now()
		h.killAt(t, time.Hour, syscall.SIGKILL, args...)
		whole := time.Since(begin)
		require.NoError(t, os.RemoveAll(filepath.Join(h.dir, "results", "new")))
		moments(t, 2, whole, func(i int, after time.Duration, sig syscall.Signal) {
			h.killAt(t, after, sig, args...)
			h.swept(t)
			h.untouched(t, "src/project/results/new")
			h.killAt(t, time.Hour, sig, args...) // it goes on
			require.Contains(t, []int{exitOK, exitFailed}, h.cmd.ProcessState.ExitCode(), "kill %d after %v by %v: %s", i, after, sig, h.stderr.String())
			for _, side := range []string{"base", "cand"} {
				boots, err := filepath.Glob(filepath.Join(h.dir, "results", "new", side, "boot-*.txt"))
				require.NoError(t, err)
				assert.Len(t, boots, 6)
			}
			left, err := filepath.Glob(filepath.Join(h.dir, "results", "new", ".*"))
			require.NoError(t, err)
			assert.Equal(t, []string{filepath.Join(h.dir, "results", "new", ".lock")}, left)
			require.NoError(t, os.RemoveAll(filepath.Join(h.dir, "results", "new")))
			h.untouched(t)
		})
	})
	t.Run("serve", func(t *testing.T) {
		t.Parallel()
		h := newHome(t)
		socket := filepath.Join(h.bin, "g")
		args := []string{"serve", "--workspace", filepath.Join(h.path, "work"), "--db", "session.db", "--gateway", "unix:" + socket}
		moments(t, 3, time.Second, func(i int, after time.Duration, sig syscall.Signal) {
			done := make(chan struct{})
			talked := make(chan struct{})
			go func() {
				defer close(talked)
				talk(socket, done)
			}()
			h.killAt(t, after, sig, args...)
			close(done)
			<-talked
			_ = os.Remove(socket)
			h.swept(t)
			h.untouched(t, "src/project/session.db", "src/project/session.db-wal", "src/project/session.db-shm")
			db := filepath.Join(h.dir, "session.db")
			if info, err := os.Stat(db); err == nil && info.Size() > 0 {
				d, err := session.Open(db)
				require.NoError(t, err, "kill %d after %v by %v", i, after, sig)
				require.NoError(t, d.Close())
			}
			for _, end := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(db + end)
			}
			h.untouched(t)
		})
	})
}

// talk makes and deletes snapshots until done is closed.
func talk(socket string, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
		}
		c, err := net.Dial("unix", socket)
		if err != nil {
			continue
		}
		_, _ = fmt.Fprint(c, contract.MetaLine("test"),
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"snapshots_create","arguments":{"name":"s"}}}`+"\n",
			`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"snapshots_delete","arguments":{"checkpoint":"cp-10"}}}`+"\n")
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = c.Read(make([]byte, 1<<12))
		_ = c.Close()
	}
}
