package guesttest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// populatedHome makes a home directory that a user would miss.
func populatedHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for name, mode := range map[string]fs.FileMode{
		".bashrc": 0o644, ".ssh/id_ed25519": 0o600, "work/main.go": 0o644, "work/run.sh": 0o755, "dir_0/file_0.txt": 0o644,
		".capsem-bench-mine/file_0.txt": 0o644, "empty": 0o444, "ümlaut and space.txt": 0o640,
	} {
		path := filepath.Join(home, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		content := strings.Repeat(name+"\n", 100)
		if name == "empty" {
			content = ""
		}
		require.NoError(t, os.WriteFile(path, []byte(content), mode))
	}
	require.NoError(t, os.Mkdir(filepath.Join(home, "hollow"), 0o700))
	return home
}

// fingerprint lists everything below dir with its bytes, mode and time, but
// for private directories that were not there before.
func fingerprint(t *testing.T, dir string, ignore ...string) []string {
	t.Helper()
	var lines []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir { // its own time changes with each entry
			return err
		}
		if slices.Contains(ignore, path) {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var sum [sha256.Size]byte
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum = sha256.Sum256(data)
		}
		lines = append(lines, fmt.Sprintf("%s %v %d %x", path, info.Mode(), info.ModTime().UnixNano(), sum))
		return nil
	}))
	return lines
}

// privateDirs are the directories of killed runs.
func privateDirs(t *testing.T, home string) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(home, ".capsem-bench-*"))
	require.NoError(t, err)
	return slices.DeleteFunc(dirs, func(d string) bool { return strings.HasSuffix(d, "-mine") })
}

func snapshotOps() []catalogue.Op {
	return catalogue.Select(catalogue.Ops(catalogue.Settings{}), catalogue.Snapshot)
}

func TestSnapshotMeasuresEveryOp(t *testing.T) {
	t.Parallel()
	home, state, env := newStandIn(t, "")
	before := fingerprint(t, home)
	r := runGuest(t, env, "-test.bench=^BenchmarkSnapshot$", "-test.count=2")
	require.Equal(t, 0, r.exit, r.stdout+r.stderr)
	for _, op := range snapshotOps() {
		assert.Equal(t, record.OK, r.status[op.Name].Status, "%s: %s", op.Name, r.status[op.Name].Reason)
		require.Len(t, r.samples[op.Name], 2, op.Name)
		for _, s := range r.samples[op.Name] {
			assert.Positive(t, s.ElapsedNS)
			assert.WithinDuration(t, time.Now(), time.Unix(0, s.StartNS), time.Minute)
			assert.Equal(t, []int64{s.ElapsedNS}, s.Values)
			assert.EqualValues(t, 1, s.Count)
		}
		assert.Contains(t, r.stdout, "Benchmark"+op.Name)
	}
	assert.Equal(t, before, fingerprint(t, home))
	assert.Empty(t, state.names())
}

func TestSnapshotAlone(t *testing.T) {
	t.Parallel()
	home, state, env := newStandIn(t, "")
	before := fingerprint(t, home)
	r := runGuest(t, env, "-test.bench=Snapshot/files=100/op=revert")
	require.Equal(t, 0, r.exit, r.stdout+r.stderr)
	require.Len(t, r.status, 1)
	assert.Equal(t, record.OK, r.status["Snapshot/files=100/op=revert"].Status)
	assert.Equal(t, before, fingerprint(t, home))
	assert.Empty(t, state.names())
}

// Old versions cut list and changes to 5000 bytes and exit with status 0.
func TestSnapshotCutAnswersAreInvalid(t *testing.T) {
	t.Parallel()
	home, state, env := newStandIn(t, "cut")
	before := fingerprint(t, home)
	r := runGuest(t, env, "-test.bench=^BenchmarkSnapshot$")
	for _, op := range snapshotOps() {
		st := r.status[op.Name]
		switch which := op.Key("op"); {
		case op.Key("files") != "10" && (which == "list" || which == "changes"):
			assert.Equal(t, record.Invalid, st.Status, op.Name)
			assert.Regexp(t, `^response truncated to 5000 of \d+ bytes: this Capsem cuts list and changes$`, st.Reason)
			assert.NotContains(t, r.stdout, "Benchmark"+op.Name+"-")
		default:
			assert.Equal(t, record.OK, st.Status, "%s: %s", op.Name, st.Reason)
		}
	}
	assert.Equal(t, before, fingerprint(t, home))
	assert.Empty(t, state.names())
}

func TestSnapshotFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode, op string
		status   record.State
		reason   string
		leak     bool // the fault keeps the checkpoint
	}{
		{"fail:create", "create", record.Failed, `snapshots create: exit status 1: Error: no manual slots \[31mleft`, false},
		{"fail:list", "list", record.Failed, `snapshots list: exit status 1: `, false},
		{"fail:revert", "revert", record.Failed, `snapshots revert: exit status 1: `, false},
		{"fail:delete", "delete", record.Failed, `snapshots delete: exit status 1: `, true},
		{"hang:create", "create", record.Failed, `snapshots create: timed out after 2s`, false},
		{"hang:changes", "changes", record.Failed, `snapshots changes: timed out after 2s`, false},
		{"garbage:create", "create", record.Failed, `snapshots create: output that is no JSON: `, false},
		{"garbage:revert", "revert", record.Failed, `snapshots revert: output that is no JSON: `, false},
		{"words:changes", "changes", record.Failed, `snapshots changes: no checkpoints available yet`, false},
		{"lie:changes", "changes", record.Failed, `changes does not name \.capsem-bench-\w+/dir_0/file_0\.txt, which was modified`, false},
		{"lie:revert", "revert", record.Failed, `dir_0/file_0\.txt has other bytes than before`, false},
		{"lie:delete", "delete", record.Failed, `cp-10 was deleted and is still listed`, true},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			t.Parallel()
			home, state, env := newStandIn(t, tt.mode)
			before := fingerprint(t, home)
			name := "Snapshot/files=10/op=" + tt.op
			if strings.HasPrefix(tt.mode, "hang:") {
				env = append(env, "CAPSEM_BENCH_SNAPSHOT_TIMEOUT=2s")
			}
			r := runGuest(t, env, "-test.bench=Snapshot/files=10$/op="+tt.op)
			assert.Equal(t, 1, r.exit, r.stdout+r.stderr)
			assert.Equal(t, tt.status, r.status[name].Status)
			assert.Regexp(t, tt.reason, r.status[name].Reason)
			assert.NotContains(t, r.stdout, "ns/op")
			assert.Equal(t, before, fingerprint(t, home))
			assert.Equal(t, tt.leak, len(state.names()) > 0)
		})
	}
}

// A delete that was none is found by the create that follows: its answer says
// how many slots are left. The last delete of a run is looked up in a list.
func TestSnapshotDeletionIsVerifiedLater(t *testing.T) {
	t.Parallel()
	home, _, env := newStandIn(t, "lie:delete")
	before := fingerprint(t, home)
	r := runGuest(t, env, "-test.bench=^BenchmarkSnapshot$/files=(10|100)$")
	assert.Equal(t, 1, r.exit, r.stdout+r.stderr)
	st := r.status["Snapshot/files=100/op=create"]
	assert.Equal(t, record.Failed, st.Status)
	assert.Equal(t, "cp-11 was made and 10 manual slots are left; want 11; the deletion of cp-10 may not have been one", st.Reason)
	assert.Regexp(t, `^cp-\d+ was deleted and is still listed$`, r.status["Snapshot/files=100/op=delete"].Reason)
	assert.Equal(t, before, fingerprint(t, home))
}

// In a run of all operations the command is called once for each, once before
// the first and once after the last: what the operations of a size share is not
// made again for each of them.
func TestSnapshotCalls(t *testing.T) {
	t.Parallel()
	_, state, env := newStandIn(t, "")
	r := runGuest(t, env, "-test.bench=^BenchmarkSnapshot$")
	require.Equal(t, 0, r.exit, r.stdout+r.stderr)
	assert.Equal(t, len(snapshotOps())+2, state.calls())
}

func TestSnapshotSkips(t *testing.T) {
	t.Parallel()
	t.Run("no command", func(t *testing.T) {
		t.Parallel()
		r := runGuest(t, baseEnv(populatedHome(t), t.TempDir()), "-test.bench=^BenchmarkSnapshot$")
		assert.Equal(t, 0, r.exit)
		require.Len(t, r.status, len(snapshotOps()))
		for _, st := range r.status {
			assert.Equal(t, record.Skipped, st.Status)
			assert.Contains(t, st.Reason, "no snapshots command in PATH")
		}
	})
	t.Run("the user's own snapshots", func(t *testing.T) {
		t.Parallel()
		_, state, env := newStandIn(t, "")
		_, err := state.create("precious")
		require.NoError(t, err)
		r := runGuest(t, env, "-test.bench=Snapshot/files=10/op=create")
		st := r.status["Snapshot/files=10/op=create"]
		assert.Equal(t, record.Skipped, st.Status)
		assert.Contains(t, st.Reason, "CAPSEM_BENCH_SNAPSHOT_SHARED=1")

		r = runGuest(t, append(env, "CAPSEM_BENCH_SNAPSHOT_SHARED=1"), "-test.bench=Snapshot/files=10")
		assert.Equal(t, 0, r.exit, r.stdout)
		assert.Equal(t, map[int]string{firstManual: "precious"}, state.names())
	})
}

// The private directory is in the workspace wherever the others work.
func TestSnapshotWorkspaceElsewhere(t *testing.T) {
	t.Parallel()
	home, state, env := newStandIn(t, "")
	before := fingerprint(t, home)
	for _, dir := range []string{t.TempDir(), filepath.Join(home, "work")} {
		r := runGuest(t, append(env, "CAPSEM_BENCH_DIR="+dir), "-test.bench=Snapshot/files=10/op=changes")
		assert.Equal(t, 0, r.exit, r.stdout)
	}
	assert.Equal(t, withoutDirTimes(before), withoutDirTimes(fingerprint(t, home)))
	assert.Empty(t, state.names())
}

// withoutDirTimes drops directories, whose times change with their entries.
func withoutDirTimes(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.Contains(l, " drwx") })
}

// Whenever a run ends, nothing but its own directory has changed; and if it
// was asked to end, that and its checkpoint are gone too.
func TestSnapshotKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, verb := range catalogue.SnapshotOps() {
		t.Run("interrupt/"+verb, func(t *testing.T) { killAt(t, verb, syscall.SIGINT) })
		t.Run("terminate/"+verb, func(t *testing.T) { killAt(t, verb, syscall.SIGTERM) })
		t.Run("kill/"+verb, func(t *testing.T) { killAt(t, verb, syscall.SIGKILL) })
	}
}

func killAt(t *testing.T, verb string, sig syscall.Signal) {
	t.Parallel()
	home, state, env := newStandIn(t, "pause:"+verb)
	before := fingerprint(t, home)
	name := "Snapshot/files=10/op=" + verb
	cmd, wait := startGuest(t, env, "-test.bench="+name)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(state.dir, "reached"))
		return err == nil
	}, time.Minute, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(sig))
	// A create that is under way is waited for, so let it end, but not before
	// the signal has arrived; other calls end with the signal.
	letGo := time.AfterFunc(time.Second, func() { _ = os.WriteFile(filepath.Join(state.dir, "go"), nil, 0o600) })
	defer letGo.Stop()
	r := wait()
	assert.Equal(t, before, fingerprint(t, home, privateDirs(t, home)...))
	if sig == syscall.SIGKILL {
		return
	}
	assert.Equal(t, 130, r.exit, r.stdout+r.stderr)
	assert.Empty(t, privateDirs(t, home))
	assert.Empty(t, state.names())
	require.NotNil(t, r.end)
	assert.Equal(t, "interrupted", r.end.Status)
	assert.NotEqual(t, record.OK, r.status[name].Status)
}
