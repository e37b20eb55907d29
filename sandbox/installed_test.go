package sandbox

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What was installed with the command is found beside it, in lib of a package,
// and through a link in somebody's bin.
func TestInstalledParts(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	exe := filepath.Join(root, "opt", "bin", "capsem-bench")
	link := filepath.Join(root, "bin", "capsem-bench")
	require.NoError(t, os.MkdirAll(filepath.Dir(exe), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o755))
	require.NoError(t, os.WriteFile(exe, nil, 0o755))
	require.NoError(t, os.Symlink(exe, link))
	a := GuestBinary()
	assert.Equal(t, []string{
		filepath.Join(root, "bin", a.Name), filepath.Join(root, "lib", "capsem-bench", a.Name),
		filepath.Join(root, "opt", "bin", a.Name), filepath.Join(root, "opt", "lib", "capsem-bench", a.Name),
	}, a.installed(link))
}

// Only a build from the module cache knows its sum: one of a checkout has a
// version too, of a commit that nobody may have.
func TestInstalledVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		main debug.Module
		ok   bool
		want string
	}{
		{debug.Module{Path: Module, Version: "v0.1.0", Sum: "h1:x"}, true, "v0.1.0"},
		{debug.Module{Path: Module, Version: "v0.0.0-20261130120000-1a2b3c4d5e6f+dirty"}, true, ""},
		{debug.Module{Path: Module, Version: "(devel)"}, true, ""},
		{debug.Module{Path: "example.com/fork", Version: "v0.1.0", Sum: "h1:x"}, true, ""},
		{debug.Module{Path: Module, Version: "v0.1.0", Sum: "h1:x"}, false, ""},
	} {
		assert.Equal(t, c.want, installedVersion(&debug.BuildInfo{Main: c.main}, c.ok), "%+v", c)
	}
}

// The message of an installation without parts says which archive has them.
func TestMissingPart(t *testing.T) {
	t.Parallel()
	err := GuestBinary().missing()
	require.ErrorIs(t, err, ErrNoArtifact)
	assert.Regexp(t, `^capsem-bench\.test: not found beside this command or in PATH, .*; capsem-bench_[0-9.]+_[a-z]+_[a-z0-9]+\.tar\.gz of https://github\.com/capsem/capsem-bench/releases has it, or set CAPSEM_BENCH_TEST$`, err.Error())
	if runtime.GOOS == "linux" {
		assert.ErrorContains(t, GuestBinary().For("arm64").missing(), "_linux_arm64.tar.gz")
		assert.ErrorContains(t, GuestBinary().For("amd64").missing(), "_linux_amd64.tar.gz")
	}
}
