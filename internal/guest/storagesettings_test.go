package guest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStorageSettings(t *testing.T) {
	s, err := StorageSettings()
	require.NoError(t, err)
	assert.Equal(t, []string{"root", "tmp", "var_tmp", "var_log", "run"}, s.Dirs)
	assert.Equal(t, "/var/tmp", s.Path["var_tmp"])
	assert.EqualValues(t, 64<<20, s.Size)
	assert.Len(t, s.Ops(), 55)

	t.Setenv("CAPSEM_BENCH_STORAGE_DIRS", "/a/, /a,/b/c")
	t.Setenv("CAPSEM_BENCH_STORAGE_MB", "2")
	s, err = StorageSettings()
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b_c"}, s.Dirs)
	assert.EqualValues(t, 2<<20, s.Size)

	for env, bad := range map[string][]string{
		"CAPSEM_BENCH_STORAGE_DIRS": {"a", "/", "/a,", "/a b", "/a=b", "/a/b,/a_b", "/\u00e4"}, "CAPSEM_BENCH_STORAGE_MB": {"0", "-1", "x", "1e3", "99999999"},
	} {
		for _, value := range bad {
			t.Run(env+"="+value, func(t *testing.T) {
				t.Setenv(env, value)
				_, err := StorageSettings()
				assert.ErrorContains(t, err, env)
			})
		}
	}
}
