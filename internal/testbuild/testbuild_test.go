package testbuild

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// However many tests ask at once, there is one file, which runs and is not
// written again.
func TestSharedBuild(t *testing.T) {
	source := filepath.Join(t.TempDir(), "hello.go")
	require.NoError(t, os.WriteFile(source, []byte("package main\n\nfunc main() { print(\"hello\") }\n"), 0o600))
	var wg sync.WaitGroup
	paths := make([]string, 4)
	for i := range paths {
		wg.Go(func() { paths[i], _ = build("hello", nil, []string{"build", source}) })
	}
	wg.Wait()
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(paths[0])) })
	for _, p := range paths {
		assert.Equal(t, paths[0], p)
	}
	out, err := exec.Command(paths[0]).CombinedOutput()
	require.NoError(t, err)
	assert.Equal(t, "hello", string(out))

	before, err := os.ReadFile(paths[0])
	require.NoError(t, err)
	info, err := os.Stat(paths[0])
	require.NoError(t, err)
	again, err := build("hello", nil, []string{"build", source})
	require.NoError(t, err)
	after, err := os.Stat(again)
	require.NoError(t, err)
	assert.True(t, os.SameFile(info, after), "it was linked again")

	require.NoError(t, os.WriteFile(source, []byte("package main\n\nfunc main() { print(\"changed\") }\n"), 0o600))
	again = Build(t, "hello", nil, "build", source)
	assert.Equal(t, again, Build(t, "hello", nil, "build", source))
	changed, err := os.ReadFile(again)
	require.NoError(t, err)
	assert.NotEqual(t, before, changed)
}

// Another way to build is another file.
func TestWaysToBuild(t *testing.T) {
	root, err := Root()
	require.NoError(t, err)
	native, err := directory(root, nil, []string{"build", "x"})
	require.NoError(t, err)
	foreign, err := directory(root, []string{"GOARCH=arm64"}, []string{"build", "x"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Remove(native); _ = os.Remove(foreign) })
	assert.NotEqual(t, native, foreign)
}

func TestBuildErrors(t *testing.T) {
	path, err := build("nothing", nil, []string{"build", "./no/such/package"})
	assert.ErrorContains(t, err, "no/such/package")
	assert.Empty(t, path)
}
