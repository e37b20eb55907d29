package guesttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A disk that cannot be used fails with what to set, and the other
// categories still run.
func TestUnusableDisk(t *testing.T) {
	t.Parallel()
	readOnly := filepath.Join(t.TempDir(), "read-only")
	require.NoError(t, os.Mkdir(readOnly, 0o500))
	if os.Geteuid() == 0 { // to whom a mode says nothing
		readOnly = "/proc"
	}
	for _, tt := range []struct{ name, dir, size, reason string }{
		{"no room", memoryDir(t), "1048576", `^\S+ has room for \S+ [KMGT]iB, the benchmark needs 1\.0 TiB; set CAPSEM_BENCH_DIR or CAPSEM_BENCH_SIZE_MB$`},
		{"read-only", readOnly, "1", `^cannot work in \S+: .*; set CAPSEM_BENCH_DIR to a writable directory$`},
		{"missing", "/no/such/dir", "1", `^cannot work in /no/such/dir: no such file or directory; set CAPSEM_BENCH_DIR`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := runGuest(t, baseEnv(t.TempDir(), t.TempDir(), "CAPSEM_BENCH_DIR="+tt.dir, "CAPSEM_BENCH_SIZE_MB="+tt.size),
				"-test.bench=Disk/op=seq|Startup")
			assert.Equal(t, 1, r.exit)
			require.NotNil(t, r.end)
			assert.Equal(t, "failed", r.end.Status)
			for _, op := range []string{"seq_write", "seq_read"} {
				st := r.status["Disk/op="+op+"/size="+tt.size+"MiB"]
				assert.Equal(t, record.Failed, st.Status)
				assert.Regexp(t, tt.reason, st.Reason)
			}
			assert.Equal(t, record.Skipped, r.status["Startup/cli=codex"].Status)
			assert.Empty(t, results(t, strings.ReplaceAll(r.stdout, "--- FAIL", "")))
		})
	}
}

// A write that fails in the middle is a failure and leaves nothing. A limit of
// the file size does it without a full disk.
func TestWriteFailsInTheMiddle(t *testing.T) {
	t.Parallel()
	dir := memoryDir(t)
	cmd := exec.Command("/bin/sh", "-c", "ulimit -f 64 && exec \"$0\" \"$@\"", guestBinary(t), "-test.bench=Disk")
	cmd.Env = baseEnv(t.TempDir(), t.TempDir(), "CAPSEM_BENCH_DIR="+dir, "CAPSEM_BENCH_SIZE_MB=1")
	out, err := cmd.Output()
	require.Error(t, err)
	r := &guestRun{stdout: string(out)}
	r.parse(t)
	for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{SizeMB: 1}), catalogue.Disk) {
		assert.Equal(t, record.Failed, r.status[op.Name].Status)
		assert.Regexp(t, `writing at 0: (file too large|wrote \d+ of 1048576 bytes: short write)`, r.status[op.Name].Reason)
	}
	assert.Empty(t, entries(t, dir))
}

// The first round of seq_read takes the file over that the last of seq_write
// made; the others make their own, and so does seq_read alone.
func TestSeqReadTakesTheFileOver(t *testing.T) {
	t.Parallel()
	const size = 64
	for _, tt := range []struct {
		pattern, count string
		files          int64
	}{
		{"Disk/op=seq_", "1", 1},
		{"Disk/op=seq_", "2", 3},
		{"Disk/op=seq_read", "1", 1},
		{"Disk/op=(seq_write|rand_read)", "1", 2}, // rand_read_4k has its own, of 64 MiB too
	} {
		t.Run(tt.pattern+" "+tt.count, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			cmd := exec.Command(guestBinary(t), "-test.bench="+tt.pattern, "-test.count="+tt.count)
			cmd.Env = baseEnv(home, t.TempDir(), "CAPSEM_BENCH_SIZE_MB=64")
			out, err := cmd.Output()
			require.NoError(t, err, string(out))
			usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			require.True(t, ok)
			if usage.Oublock > 0 { // a file system in memory writes none
				assert.InDelta(t, tt.files*size, usage.Oublock>>11, size/4, "MiB written")
			}
			assert.Empty(t, entries(t, home))
			r := &guestRun{stdout: string(out)}
			r.parse(t)
			for op, st := range r.status {
				assert.Equal(t, record.OK, st.Status, op)
			}
		})
	}
}

// A failure in a later round is a failure of the run, of which testing knows
// nothing.
func TestLaterRoundFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := fakeCLI(t, dir, "codex", "test ! -e "+dir+"/second || exit 7; test ! -e "+dir+"/first || : >"+dir+"/second; : >"+dir+"/first; echo 1.0")
	r := runGuest(t, baseEnv(t.TempDir(), path), "-test.bench=Startup/cli=codex", "-test.count=3")
	assert.Equal(t, 1, r.exit, r.stdout)
	assert.Equal(t, "failed", r.end.Status)
	assert.Equal(t, record.Failed, r.status["Startup/cli=codex"].Status)
}

// What root's runs call cold is cold; without root it is, or says it is not.
func TestColdReads(t *testing.T) {
	t.Parallel()
	for _, reach := range []string{catalogue.DroppedAll, catalogue.DroppedFiles} {
		t.Run(reach, func(t *testing.T) {
			t.Parallel()
			env := baseEnv(t.TempDir(), t.TempDir(), "CAPSEM_BENCH_SIZE_MB=4", catalogue.EnvDropped+"="+reach)
			r := runGuest(t, env, "-test.bench=Disk/op=(seq_read|rand_read)")
			require.Equal(t, 0, r.exit, r.stdout)
			require.Len(t, r.status, 2)
			for _, st := range r.status {
				assert.Positive(t, st.Pages)
				if st.Cache == record.CacheCold {
					assert.LessOrEqual(t, float64(st.Resident), 0.01*float64(st.Pages))
				} else {
					assert.Contains(t, r.stdout, `"tmpfs"`, "a file of our own on a disk can be dropped")
				}
				if reach == catalogue.DroppedFiles || os.Geteuid() != 0 {
					assert.Equal(t, "fadvise", st.Dropped)
				}
			}
		})
	}
}

// The file set and the places are the same in every run on one image.
func TestRootfs(t *testing.T) {
	t.Parallel()
	for _, st := range runGuest(t, baseEnv(t.TempDir(), t.TempDir()), "-test.bench=Rootfs").status {
		assert.Equal(t, record.OK, st.Status, st.Reason)
		assert.Contains(t, []string{record.CacheCold, record.CacheWarm, record.CacheUnverified}, st.Cache)
	}
}
