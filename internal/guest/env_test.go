package guest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSettings(t *testing.T) {
	for _, name := range []string{EnvSizeMB, EnvRequests, EnvConcurrency, EnvSeed, EnvTimeout, EnvCLITimeout, EnvSnapshotTimeout} {
		t.Setenv(name, "")
	}
	s, err := Settings()
	require.NoError(t, err)
	assert.Equal(t, catalogue.Ops(catalogue.Settings{}), catalogue.Ops(s))
	for _, tt := range []struct{ env, value, want string }{
		{EnvSizeMB, "0", "want a whole number from 1 to 1048576"},
		{EnvSizeMB, "1e3", "want a whole number"},
		{EnvRequests, "-1", "want a whole number"},
		{EnvConcurrency, "100000", "from 1 to 10000"},
		{EnvSeed, "-1", "want a whole number"},
		{EnvTimeout, "90", "want a duration such as 90s"},
		{EnvCLITimeout, "0s", "want a duration"},
	} {
		t.Run(tt.env+"="+tt.value, func(t *testing.T) {
			t.Setenv(tt.env, tt.value)
			_, err := Settings()
			assert.ErrorContains(t, err, tt.env)
			assert.ErrorContains(t, err, tt.want)
		})
	}
	t.Setenv(EnvSizeMB, "8")
	s, err = Settings()
	require.NoError(t, err)
	assert.Equal(t, "Disk/op=seq_write/size=8MiB", catalogue.Ops(s)[0].Name)
}

func TestWorkDir(t *testing.T) {
	home := t.TempDir()
	mine := filepath.Join(home, ".capsem-bench-mine")
	require.NoError(t, os.WriteFile(mine, nil, 0o600))
	t.Setenv(EnvDir, home)
	dir, remove, err := WorkDir()
	require.NoError(t, err)
	assert.Equal(t, home, filepath.Dir(dir))
	assert.Regexp(t, `^\.capsem-bench-[0-9a-f]{12}$`, filepath.Base(dir))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), nil, 0o600))
	require.NoError(t, remove())
	require.NoError(t, remove(), "twice is as good as once")
	assert.NoDirExists(t, dir)
	assert.FileExists(t, mine, "only what was made is removed")

	t.Setenv(EnvDir, mine)
	_, _, err = WorkDir()
	assert.EqualError(t, err, "cannot work in "+mine+": not a directory; set CAPSEM_BENCH_DIR to a writable directory")
}
