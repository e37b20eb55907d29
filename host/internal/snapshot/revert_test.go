package snapshot

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRevert(t *testing.T) {
	f := newFixture(t)
	f.write("old", "in the first only")
	f.create("first")
	f.remove("old")
	f.write("a", "original, and longer than what replaces it")
	f.write("d/e/b", "deep")
	require.NoError(t, os.Chmod(filepath.Join(f.dir, "a"), 0o750))
	require.NoError(t, os.Symlink("a", filepath.Join(f.dir, "l")))
	f.create("second")
	first, second := 3, 4

	revert := func(path string, slot *int) Reverted {
		t.Helper()
		r, err := f.Revert(t.Context(), path, slot)
		require.NoError(t, err)
		return r
	}
	f.write("a", "edited")
	require.NoError(t, os.Chmod(filepath.Join(f.dir, "a"), 0o600))
	before, err := os.Stat(filepath.Join(f.dir, "a"))
	require.NoError(t, err)
	r := revert("/root/a", nil)
	assert.Equal(t, Reverted{Path: "a", Restored: true, Snapshot: r.Snapshot}, r)
	assert.Equal(t, second, r.Snapshot.Slot)
	assert.Equal(t, "original, and longer than what replaces it", f.read("a"))
	after, err := os.Stat(filepath.Join(f.dir, "a"))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o750), after.Mode())
	assert.False(t, os.SameFile(before, after), "replaced: another name of the old file keeps what it has")

	f.remove("d")
	revert("d//e/./b", nil)
	assert.Equal(t, "deep", f.read("d/e/b"))
	assert.Equal(t, first, revert("old", nil).Snapshot.Slot)
	assert.Equal(t, "in the first only", f.read("old"))
	r = revert("old", &second)
	assert.False(t, r.Restored)
	assert.NoFileExists(t, filepath.Join(f.dir, "old"))

	f.remove("l")
	f.write("l", "a file now")
	revert("l", nil)
	target, err := os.Readlink(filepath.Join(f.dir, "l"))
	require.NoError(t, err)
	assert.Equal(t, "a", target)
	f.remove("a")
	require.NoError(t, os.Symlink("d/e/b", filepath.Join(f.dir, "a")))
	revert("a", nil) // takes the link's place; what it leads to stays as it is
	assert.Equal(t, "deep", f.read("d/e/b"))
	info, err := os.Lstat(filepath.Join(f.dir, "a"))
	require.NoError(t, err)
	assert.True(t, info.Mode().IsRegular())
	assert.Equal(t, []string{"deleted old cp-3", "created a cp-3", "created d/e/b cp-3", "created l cp-3"}, sortedByOp(f.changed()))
}

func sortedByOp(rows []string) []string {
	var deleted, other []string
	for _, r := range rows {
		if strings.HasPrefix(r, "deleted") {
			deleted = append(deleted, r)
		} else {
			other = append(other, r)
		}
	}
	return append(deleted, other...)
}

func TestRevertRefuses(t *testing.T) {
	f := newFixture(t)
	f.write("a", "x")
	f.write("d/b", "x")
	f.write("was/file", "x")
	f.create("x")
	f.write("unknown", "x")
	f.remove("was")
	f.write("was", "now a file")
	f.remove("d/b")
	require.NoError(t, os.MkdirAll(filepath.Join(f.dir, "d/b/c"), 0o700))
	slot, absent, negative := 3, 5, -1
	for _, tt := range []struct {
		path string
		slot *int
		kind Kind
		want string
	}{
		{"", nil, Invalid, "invalid path: path is empty"},
		{"/root/", nil, Invalid, "invalid path: path is empty"},
		{"/etc/passwd", nil, Invalid, "invalid path: path must be relative to the workspace"},
		{"/root//etc/passwd", nil, Invalid, "invalid path: path must be relative to the workspace"},
		{"../a", nil, Invalid, "invalid path: path must not contain '..'"},
		{"d/../../a", nil, Invalid, "invalid path: path must not contain '..'"},
		{"a..b", nil, Invalid, "invalid path: path must not contain '..'"},
		{"a\x00b", nil, Invalid, "invalid path: path must not contain NUL"},
		{".", nil, Invalid, "invalid path: path is the workspace itself"},
		{strings.Repeat("a", 5000), nil, Invalid, "invalid path: path is longer than 4095 bytes"},
		{"a", nil, Invalid, "file already matches snapshot (already current)"},
		{"a", &absent, Invalid, "checkpoint cp-5 not found"},
		{"a", &negative, Invalid, "checkpoint cp--1 not found"},
		{"unknown", nil, Invalid, "no snapshot contains this file"},
		{"d", nil, Invalid, "no snapshot contains this file"},
		{"never", &slot, Invalid, "file does not exist in snapshot or workspace"},
		{"d", &slot, Failed, "failed to delete file: is a directory"},
		{"d/b", nil, Failed, "failed to restore file: is a directory"},
		{"was/file", nil, Failed, "failed to create parent directory: not a directory"},
		{strings.Repeat("a", 300), nil, Failed, "failed to read file: file name too long"},
	} {
		_, err := f.Revert(t.Context(), tt.path, tt.slot)
		require.EqualError(t, err, tt.want, "%q", tt.path)
		var e *Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, tt.kind, e.Kind, "%q", tt.path)
	}
}

// outside makes a directory that nothing may touch.
func outside(t *testing.T) (dir string, unchanged func()) {
	dir = t.TempDir()
	secret := filepath.Join(dir, "b")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	before, err := os.Stat(secret)
	require.NoError(t, err)
	return dir, func() {
		t.Helper()
		text, err := os.ReadFile(secret)
		require.NoError(t, err)
		assert.Equal(t, "secret", string(text))
		after, err := os.Stat(secret)
		require.NoError(t, err)
		assert.Equal(t, before.ModTime(), after.ModTime())
		names, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Len(t, names, 1)
	}
}

func TestLinksThatLeadOut(t *testing.T) {
	f := newFixture(t)
	out, unchanged := outside(t)
	f.write("d/b", "inside")
	f.write("d/only", "inside")
	f.write("e/b", "inside")
	f.write("leaf", "inside")
	f.write("inner/b", "inside")
	f.create("x")
	slot := 3
	link := func(path, target string) {
		f.remove(path)
		require.NoError(t, os.Symlink(target, filepath.Join(f.dir, path)))
	}
	link("d", out)
	link("e", "../../../../../../../../../../.."+out)
	link("leaf", filepath.Join(out, "b"))
	link("inner", "elsewhere")
	require.NoError(t, os.Mkdir(filepath.Join(f.dir, "elsewhere"), 0o700))
	for path, want := range map[string]string{
		"d/b":     "path resolves outside workspace (symlink escape)",
		"d/only":  "path resolves outside workspace (symlink escape)",
		"d/none":  "path resolves outside workspace (symlink escape)",
		"e/b":     "path resolves outside workspace (symlink escape)",
		"leaf":    "path resolves outside workspace (symlink escape)",
		"inner/b": "failed to resolve path: inner: a directory in its path is a symbolic link",
	} {
		for _, s := range []*int{nil, &slot} {
			_, err := f.Revert(t.Context(), path, s)
			require.EqualError(t, err, want, path)
		}
	}
	_, err := f.History(t.Context(), "d/b")
	require.EqualError(t, err, "path resolves outside workspace (symlink escape)")
	// A link that leads nowhere yet must not be written through either.
	link("leaf", filepath.Join(out, "made"))
	_, err = f.Revert(t.Context(), "leaf", nil)
	if err == nil {
		assert.Equal(t, "inside", f.read("leaf"))
	}
	unchanged()

	info := f.create("y")
	assert.NoDirExists(t, filepath.Join(f.slots[info.Slot].file("d"), "b"))
	assert.NotContains(t, f.changed(), "created d/b cp-3")
	unchanged()
}

// The store may be on another filesystem than the workspace.
func TestReplaceAcrossFilesystems(t *testing.T) {
	shm, err := os.MkdirTemp("/dev/shm", "store")
	if err != nil {
		t.Skipf("no second filesystem: %v; mount a tmpfs on /dev/shm", err)
	}
	t.Cleanup(func() { os.RemoveAll(shm) })
	f := newFixture(t)
	require.NoError(t, f.Close())
	cfg := f.cfg
	cfg.Dir = shm
	f.open(cfg)
	f.write("a", "one")
	f.write("big", strings.Repeat("0123456789abcdef", 1<<16))
	big := f.read("big")
	f.create("x")
	f.remove("a")
	f.remove("big")
	for _, path := range []string{"a", "big"} {
		_, err := f.Revert(t.Context(), path, nil)
		require.NoError(t, err)
	}
	assert.Equal(t, "one", f.read("a"))
	assert.Equal(t, big, f.read("big"))
	names, err := os.ReadDir(f.dir)
	require.NoError(t, err)
	assert.Len(t, names, 2)
}
