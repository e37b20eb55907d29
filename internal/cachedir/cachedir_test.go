package cachedir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Local user to root: without a home there is no directory that others can
// predict.
func TestNoFallback(t *testing.T) {
	for _, tt := range []struct{ home, xdg, want string }{
		{"", "", "set HOME or XDG_CACHE_HOME to a directory of your own"},
		{"relative", "", `$HOME is the relative path "relative"`},
		{"/root", "relative", "XDG_CACHE_HOME"},
		{"", "./x", "XDG_CACHE_HOME"},
	} {
		t.Setenv("HOME", tt.home)
		t.Setenv("XDG_CACHE_HOME", tt.xdg)
		t.Setenv("TMPDIR", t.TempDir())
		_, err := Make("bin")
		require.ErrorContains(t, err, tt.want, "HOME=%q XDG_CACHE_HOME=%q", tt.home, tt.xdg)
		left, err := os.ReadDir(os.TempDir())
		require.NoError(t, err)
		assert.Empty(t, left)
	}
}

func TestMake(t *testing.T) {
	base := filepath.Join(t.TempDir(), "cache")
	t.Setenv("XDG_CACHE_HOME", base)
	for range 2 {
		dir, err := Make("builds", "one")
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(base, "capsem-bench", "builds", "one"), dir)
		assert.DirExists(t, dir)
	}
}

// Local user to root: what somebody else made or may write to is refused.
func TestForeignIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, base, dir string)
		want   string
	}{
		"everybody writes to ours":     {func(t *testing.T, _, dir string) { require.NoError(t, os.Chmod(dir, 0o777)) }, "everybody may write to it"},
		"sticky does not help there":   {func(t *testing.T, _, dir string) { require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky)) }, "everybody may write to it"},
		"everybody writes to one more": {func(t *testing.T, _, dir string) { require.NoError(t, os.Chmod(filepath.Join(dir, "builds"), 0o777)) }, "builds: everybody"},
		"everybody renames ours":       {func(t *testing.T, base, _ string) { require.NoError(t, os.Chmod(base, 0o777)) }, "cache: everybody"},
		"a link": {func(t *testing.T, base, dir string) {
			require.NoError(t, os.Rename(dir, dir+"2"))
			require.NoError(t, os.Symlink(dir+"2", dir))
		}, "it is not a directory"},
		"a file": {func(t *testing.T, _, dir string) {
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.WriteFile(dir, nil, 0o644))
		}, "it is not a directory"},
		"another user's":      {func(t *testing.T, _, dir string) { chown(t, dir, 65534) }, "belongs to the user with number 65534"},
		"another user's home": {func(t *testing.T, base, _ string) { chown(t, base, 65534) }, "cache: it belongs to the user"},
		"another group's": {func(t *testing.T, _, dir string) {
			chown(t, dir, -1)
			require.NoError(t, os.Chmod(dir, 0o775))
		}, "the group with number 65534 may write to it"},
	} {
		t.Run(name, func(t *testing.T) {
			base := filepath.Join(t.TempDir(), "cache")
			t.Setenv("XDG_CACHE_HOME", base)
			_, err := Make("builds")
			require.NoError(t, err)
			tt.change(t, base, filepath.Join(base, "capsem-bench"))
			_, err = Make("builds")
			require.ErrorIs(t, err, ErrUnsafe)
			assert.ErrorContains(t, err, tt.want)
		})
	}
	t.Run("everybody's but sticky above ours", func(t *testing.T) {
		base := filepath.Join(t.TempDir(), "cache")
		t.Setenv("XDG_CACHE_HOME", base)
		_, err := Make()
		require.NoError(t, err)
		require.NoError(t, os.Chmod(base, 0o777|os.ModeSticky))
		_, err = Make()
		require.NoError(t, err)
	})
}

// chown gives a file away, with its group; -1 is the group alone.
func chown(t *testing.T, name string, uid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away; CI runs this as root")
	}
	require.NoError(t, os.Lchown(name, uid, 65534))
}
