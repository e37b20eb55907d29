package sandbox

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The services answer the real guest binary, note what it asked, and leave
// nothing when they are closed: no file, no goroutine.
func TestLocal(t *testing.T) {
	dir, tmp := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", tmp)
	db, err := session.Create(filepath.Join(dir, "session.db"))
	require.NoError(t, err)
	l, err := NewLocal(LocalConfig{
		Dir:        dir,
		Binary:     testbuild.Guest(t),
		GuestTools: testbuild.Tools(t),
		// Nothing of these may lead the guest past the sandbox.
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "https_proxy=http://127.0.0.1:1", "NO_PROXY=*",
			"SSL_CERT_FILE=/nonexistent", "CAPSEM_GATEWAY=tcp:127.0.0.1:1", "CAPSEM_BENCH_HTTP_N=20", "CAPSEM_BENCH_DROPPED=files",
		},
		Session: db,
	})
	require.NoError(t, err)
	var stdout, stderr bytes.Buffer
	status, err := l.Run(t.Context(), []string{"-test.bench=HTTP|Throughput|Snapshot/files=10$", "-test.count=2"}, &stdout, &stderr)
	require.NoError(t, err)
	assert.Equal(t, 0, status, stdout.String()+stderr.String())
	rep, err := convert.Read(&stdout, "stdout")
	require.NoError(t, err)
	assert.True(t, rep.OK())
	assert.Equal(t, "local", rep.Run.Sandbox)
	assert.Len(t, rep.Ops, 7)
	for _, res := range rep.Ops {
		assert.Equal(t, record.OK, res.Status, "%s: %s", res.Op.Name, res.Reason)
		assert.Equal(t, 2, res.Rounds)
	}
	require.NoError(t, l.Close())
	require.NoError(t, db.Close())
	assert.Equal(t, []string{"session.db"}, names(t, dir))
	assert.Empty(t, names(t, tmp))
	checkRows(t, filepath.Join(dir, "session.db"))
}

func checkRows(t *testing.T, path string) {
	db, err := session.Open(path)
	require.NoError(t, err)
	defer db.Close()
	sum, err := db.Inspect(t.Context())
	require.NoError(t, err)
	domains := make(map[string]int64)
	for _, d := range sum.Domains {
		domains[d.Domain] = d.Allowed
	}
	assert.Equal(t, map[string]int64{"www.google.com": 40, "ash-speed.hetzner.com": 2}, domains)
	tools := make(map[string]bool)
	for _, u := range sum.Tools {
		tools[u.Tool] = true
		assert.Equal(t, "allowed", u.Decision)
	}
	assert.Len(t, tools, 5)
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// A sandbox that cannot be opened says why and leaves nothing.
func TestLocalCannotOpen(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	l, err := NewLocal(LocalConfig{Dir: filepath.Join(tmp, "no", "such", "dir")})
	require.Error(t, err)
	assert.Nil(t, l)
	assert.True(t, strings.HasPrefix(err.Error(), "local sandbox: "), err.Error())
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.Empty(t, names(t, tmp))
}

// Only what was asked for is reached: names that are allowed, and of those
// this machine alone.
func TestAllow(t *testing.T) {
	l := &Services{cfg: ServicesConfig{URLs: []string{"https://Example.com:8443/x", "", "::no url"}}}
	assert.Equal(t, []string{"www.google.com", "google.com", "ash-speed.hetzner.com", "example.com"}, l.allow())
}
