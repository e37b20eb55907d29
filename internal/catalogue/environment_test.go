package catalogue

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEnvironment(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range Environment() {
		assert.False(t, seen[s.Env], "%s twice", s.Env)
		seen[s.Env] = true
		assert.Contains(t, []Scope{ForWork, ForPlace, ForHost}, s.Scope, s.Env)
		assert.NotEmpty(t, s.Doc, s.Env)
		assert.False(t, strings.HasSuffix(s.Doc, "."), s.Env)
		assert.True(t, strings.HasPrefix(s.Env, envPrefix) || s.Env == EnvGuest, s.Env)
	}
	s, ok := LookupSetting(EnvDir)
	assert.True(t, ok)
	assert.Equal(t, ForPlace, s.Scope)
	_, ok = LookupSetting("CAPSEM_BENCH_")
	assert.False(t, ok)
}

func TestSettingsOf(t *testing.T) {
	env := []string{"HOME=/root", EnvSizeMB + "=16", EnvDir + "=/mnt", EnvTest + "=/x", "CAPSEM_BENCH_NEWER=1", "CAPSEM_BENCHES=1", "X"}
	assert.Equal(t, []string{EnvSizeMB + "=16", "CAPSEM_BENCH_NEWER=1"}, SettingsOf(env, ForWork))
	assert.Equal(t, []string{EnvSizeMB + "=16", EnvDir + "=/mnt", "CAPSEM_BENCH_NEWER=1"}, SettingsOf(env, ForWork, ForPlace))
	assert.Equal(t, []string{EnvTest + "=/x"}, SettingsOf(env, ForHost))
	assert.Empty(t, SettingsOf(nil, ForWork, ForPlace, ForHost))
}

func TestUnknownSettings(t *testing.T) {
	for _, tt := range []struct{ env, want string }{
		{EnvSizeMB + "=1", ""},
		{"CAPSEM_BENCH_SIZE=1", `"CAPSEM_BENCH_SIZE" in the environment is no setting; did you mean CAPSEM_BENCH_SIZE_MB?`},
		{"CAPSEM_BENCH_HTTP_URLS=", `"CAPSEM_BENCH_HTTP_URLS" in the environment is no setting; did you mean CAPSEM_BENCH_HTTP_URL?`},
		{"CAPSEM_BENCH_Dir=/", `"CAPSEM_BENCH_Dir" in the environment is no setting; did you mean CAPSEM_BENCH_DIR?`},
		{"CAPSEM_BENCH_=", `"CAPSEM_BENCH_" in the environment is no setting`},
		{"CAPSEM_BENCH_COMPLETELY_DIFFERENT=1", `"CAPSEM_BENCH_COMPLETELY_DIFFERENT" in the environment is no setting`},
		{"CAPSEM_BENCH_\x1b[31m=1", `"CAPSEM_BENCH_\x1b[31m" in the environment is no setting`},
		{"OTHER=1", ""},
	} {
		assert.Equal(t, tt.want, strings.Join(UnknownSettings([]string{tt.env, tt.env}), "\n"))
	}
}
