package snapshotscli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTree(t *testing.T) {
	t.Setenv(catalogue.EnvDir, "")
	root := t.TempDir()
	tree, err := NewTree(root, 101)
	require.NoError(t, err)
	assert.Regexp(t, `^\.capsem-bench-[0-9a-f]+/dir_0/file_0\.txt$`, tree.Rel(0))
	assert.True(t, strings.HasSuffix(tree.Rel(100), "/dir_2/file_100.txt"))
	files, err := filepath.Glob(filepath.Join(root, "*", "dir_*", "file_*.txt"))
	require.NoError(t, err)
	require.Len(t, files, 101)
	for _, name := range files {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.EqualValues(t, 4096, info.Size())
	}

	require.NoError(t, tree.CheckOriginal(t.Context(), 7))
	data, err := os.ReadFile(filepath.Join(root, tree.Rel(7)))
	require.NoError(t, err)
	size, err := tree.Modify(7)
	require.NoError(t, err)
	assert.NotEqual(t, int64(len(data)), size)
	info, err := os.Stat(filepath.Join(root, tree.Rel(7)))
	require.NoError(t, err)
	assert.Equal(t, info.Size(), size)
	assert.ErrorContains(t, tree.CheckOriginal(t.Context(), 7), "has other bytes than before")
	require.NoError(t, os.WriteFile(filepath.Join(root, tree.Rel(7)), data, 0o644))
	require.NoError(t, tree.CheckOriginal(t.Context(), 7))

	require.NoError(t, tree.Remove())
	left, err := os.ReadDir(root)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestTreeParent(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	inside, dots := filepath.Join(root, "sub"), filepath.Join(root, "a..b")
	require.NoError(t, os.Mkdir(inside, 0o755))
	require.NoError(t, os.Mkdir(dots, 0o755))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(inside, link))
	for dir, want := range map[string]string{
		"": root, root: root, inside: inside, link: inside, dots: root,
		t.TempDir(): root, filepath.Dir(root): root, filepath.Join(root, "absent"): root,
	} {
		t.Setenv(catalogue.EnvDir, dir)
		assert.Equal(t, want, treeParent(root), dir)
	}
}

func TestWorkspaceRoot(t *testing.T) {
	home := t.TempDir()
	link := filepath.Join(t.TempDir(), "home")
	require.NoError(t, os.Symlink(home, link))
	real, err := filepath.EvalSymlinks(home)
	require.NoError(t, err)
	t.Setenv(catalogue.EnvWorkspace, "")
	t.Setenv("HOME", link)
	root, err := WorkspaceRoot()
	require.NoError(t, err)
	assert.Equal(t, real, root)

	t.Setenv("HOME", "")
	_, err = WorkspaceRoot()
	assert.ErrorContains(t, err, catalogue.EnvWorkspace)
	t.Setenv(catalogue.EnvWorkspace, filepath.Join(home, "absent"))
	_, err = WorkspaceRoot()
	assert.ErrorContains(t, err, catalogue.EnvWorkspace)
	t.Setenv(catalogue.EnvWorkspace, link)
	root, err = WorkspaceRoot()
	require.NoError(t, err)
	assert.Equal(t, real, root)
}
