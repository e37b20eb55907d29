package guest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSettings(t *testing.T) {
	for _, name := range []string{catalogue.EnvSizeMB, catalogue.EnvRequests, catalogue.EnvConcurrency, catalogue.EnvSeed, catalogue.EnvTimeout, catalogue.EnvCLITimeout, catalogue.EnvSnapshotTimeout, catalogue.EnvCLIs, catalogue.EnvDropped} {
		t.Setenv(name, "")
	}
	s, err := Settings()
	require.NoError(t, err)
	assert.Equal(t, catalogue.Ops(catalogue.Settings{}), catalogue.Ops(s))
	for _, tt := range []struct{ env, value, want string }{
		{catalogue.EnvSizeMB, "0", "want a whole number from 1 to 1048576"},
		{catalogue.EnvSizeMB, "1e3", "want a whole number"},
		{catalogue.EnvRequests, "-1", "want a whole number"},
		{catalogue.EnvConcurrency, "100000", "from 1 to 10000"},
		{catalogue.EnvSeed, "-1", "want a whole number"},
		{catalogue.EnvDropped, "none", "want all or files"},
		{catalogue.EnvTimeout, "90", "want a duration such as 90s"},
		{catalogue.EnvCLITimeout, "0s", "want a duration"},
		{catalogue.EnvCLIs, "node,sh -c 'exit'", `: "sh -c 'exit'": want no quotes`},
	} {
		t.Run(tt.env+"="+tt.value, func(t *testing.T) {
			t.Setenv(tt.env, tt.value)
			_, err := Settings()
			assert.ErrorContains(t, err, tt.env)
			assert.ErrorContains(t, err, tt.want)
		})
	}
	t.Setenv(catalogue.EnvSizeMB, "8")
	s, err = Settings()
	require.NoError(t, err)
	assert.Equal(t, "Disk/op=seq_write/size=8MiB", catalogue.Ops(s)[0].Name)

	t.Setenv(catalogue.EnvCLIs, "node,mytool --help")
	s, err = Settings()
	require.NoError(t, err)
	starts := catalogue.Select(catalogue.Ops(s), catalogue.Startup)
	assert.Equal(t, []catalogue.Op{catalogue.StartupOp("node"), catalogue.StartupOp("mytool_help")}, starts)
}

// Limits of real time are longer under emulation, but not one that was chosen,
// and the text says so.
func TestLimitsUnderEmulation(t *testing.T) {
	limits := func() []time.Duration { return []time.Duration{passTimeout(), CLITimeout(), SnapshotTimeout()} }
	for _, env := range []string{catalogue.EnvTimeout, catalogue.EnvCLITimeout, catalogue.EnvSnapshotTimeout} {
		t.Setenv(env, "")
	}
	t.Setenv(catalogue.EnvAccel, "kvm")
	assert.Equal(t, []time.Duration{5 * time.Minute, time.Minute, 30 * time.Second}, limits())
	assert.Zero(t, runLine(t).LimitScale)

	t.Setenv(catalogue.EnvAccel, "tcg")
	assert.Equal(t, []time.Duration{25 * time.Minute, 5 * time.Minute, 150 * time.Second}, limits())
	assert.Equal(t, emulatedScale, runLine(t).LimitScale)
	t.Setenv(catalogue.EnvCLITimeout, "90s")
	assert.Equal(t, 90*time.Second, CLITimeout())
}

func runLine(t *testing.T) record.Run {
	t.Helper()
	text := silence(t, newRun(nil).header)
	line, err := record.Parse([]byte(text[strings.Index(text, record.Prefix):]))
	require.NoError(t, err)
	return *line.(*record.Run)
}

func TestWorkDir(t *testing.T) {
	home := t.TempDir()
	mine := filepath.Join(home, ".capsem-bench-mine")
	require.NoError(t, os.WriteFile(mine, nil, 0o600))
	dir, remove, err := WorkDirIn(home)
	require.NoError(t, err)
	assert.Equal(t, home, filepath.Dir(dir))
	assert.Regexp(t, `^\.capsem-bench-[0-9a-f]{12}$`, filepath.Base(dir))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), nil, 0o600))
	require.NoError(t, remove())
	require.NoError(t, remove(), "twice is as good as once")
	assert.NoDirExists(t, dir)
	assert.FileExists(t, mine, "only what was made is removed")

	_, _, err = WorkDirIn(mine)
	assert.EqualError(t, err, "cannot work in "+mine+": not a directory; set CAPSEM_BENCH_DIR to a writable directory")
}
