package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

func TestHanded(t *testing.T) {
	env := []string{
		"HOME=/root", "CAPSEM_BENCH_SIZE_MB=16", "CAPSEM_BENCH_DIR=/mnt", "CAPSEM_BENCH_WORKSPACE=/w", "CAPSEM_BENCH_TEST=/x",
		"CAPSEM_BENCH_NEWER=1", "CAPSEM_SNAPSHOTS_TIMEOUT=5s", "CAPSEM_GATEWAY=tcp:evil:1",
	}
	assert.Equal(t, []string{"CAPSEM_BENCH_SIZE_MB=16", "CAPSEM_BENCH_DIR=/mnt", "CAPSEM_BENCH_NEWER=1", "CAPSEM_SNAPSHOTS_TIMEOUT=5s"},
		Handed(env, Decides()...))
	assert.Contains(t, Handed(env, catalogue.EnvSandbox), "CAPSEM_BENCH_WORKSPACE=/w")
	assert.Equal(t, []string{"CAPSEM_BENCH_WORKSPACE has no effect: sandbox qemu does not pass it on"}, Kept(env, "qemu", Decides()...))
	assert.Empty(t, Kept([]string{"CAPSEM_BENCH_WORKSPACE="}, "qemu", Decides()...))
}

// Pull request to CI: code that is measured gets neither a token nor the files
// by which a step speaks to its runner.
func TestWithoutSecrets(t *testing.T) {
	for _, name := range []string{
		"GITHUB_TOKEN", "GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "github_output", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL",
		"RUNNER_TEMP", "NPM_TOKEN", "MY_TOKEN", "CI_JOB_TOKEN", "CI_REGISTRY_PASSWORD", "AWS_SECRET_ACCESS_KEY", "ANTHROPIC_API_KEY", "INPUT_TOKEN",
	} {
		assert.Empty(t, WithoutSecrets([]string{name + "=x"}), name)
	}
	kept := []string{"PATH=/bin", "HOME=/root", "CI=true", "LANG=C", "GOFLAGS=-x", "CAPSEM_BENCH_SIZE_MB=1", "TMPDIR=/tmp"}
	assert.Equal(t, kept, WithoutSecrets(kept))
}

func TestLocalGuestHasNoSecrets(t *testing.T) {
	env := cleanEnv([]string{"GITHUB_OUTPUT=/f", "X_TOKEN=1", "HOME=/root", "https_proxy=http://evil", "CAPSEM_BENCH_DIR=/", "CAPSEM_GATEWAY=x", "LANG=C"})
	assert.Equal(t, []string{"LANG=C"}, env)
}

func TestDirectoryToWorkIn(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	t.Chdir(dir)
	require.NoError(t, os.Mkdir("sub", 0o755))
	for _, tt := range []struct{ value, want, err string }{
		{"", "", ""},
		{dir, dir, ""},
		{"sub", filepath.Join(dir, "sub"), ""},
		{file, "", "the directory to work in: CAPSEM_BENCH_DIR=" + file + ": not a directory"},
		{"/no/such", "", "the directory to work in: CAPSEM_BENCH_DIR=/no/such: no such file or directory"},
	} {
		got, err := localDir([]string{"CAPSEM_BENCH_DIR=" + tt.value})
		assert.Equal(t, tt.want, got)
		if tt.err == "" {
			assert.NoError(t, err)
			continue
		}
		assert.EqualError(t, err, tt.err)
		assert.ErrorIs(t, err, ErrDir)
	}
	_, err := guestDir([]string{"CAPSEM_BENCH_DIR=sub"})
	require.EqualError(t, err, "the directory to work in: CAPSEM_BENCH_DIR=sub: want an absolute path, for it is a directory of the guest")
	got, err := guestDir([]string{"CAPSEM_BENCH_DIR=/run"})
	require.NoError(t, err)
	assert.Equal(t, "/run", got)
}
