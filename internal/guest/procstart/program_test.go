package procstart

import (
	"debug/elf"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFindProgram(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
		return path
	}
	runtime := script("runtime", "no elf, no script")
	app := script("app.js", "#!/usr/bin/env -S runtime --flag\ncode")
	require.NoError(t, os.Symlink(app, filepath.Join(dir, "app")))
	direct := script("direct", "#!"+runtime+"\n")
	wrapper := script("wrapper", "#!/bin/sh\nexec app\n")
	loop := script("loop", "#!"+filepath.Join(dir, "loop")+"\n")
	gone := script("gone", "#!/none/such\n")
	t.Setenv("PATH", dir)

	for name, want := range map[string]Program{
		"app":     {Files: []string{app, runtime}},
		"direct":  {Files: []string{direct, runtime}},
		"wrapper": {Files: []string{wrapper}, Wrapper: true},
		"loop":    {Files: []string{loop}},
		"gone":    {Files: []string{gone}},
	} {
		got, ok := FindProgram(name)
		assert.True(t, ok, name)
		if name == "wrapper" && !got.Wrapper {
			t.Logf("/bin/sh is %v", got.Files) // not one of the known shells
			continue
		}
		assert.Equal(t, want, got, name)
	}
	_, ok := FindProgram("none")
	assert.False(t, ok)
}

// The libraries of this machine's programs are there, and are libraries.
func TestLibraries(t *testing.T) {
	paths, err := filepath.Glob("/usr/bin/*")
	require.NoError(t, err)
	found := 0
	for _, path := range paths[:min(len(paths), 300)] {
		for _, lib := range libraries(path) {
			found++
			f, err := elf.Open(lib)
			require.NoError(t, err, "%s needs %s", path, lib)
			assert.Equal(t, elf.ET_DYN, f.Type, lib)
			require.NoError(t, f.Close())
		}
	}
	assert.Positive(t, found)
	for name, text := range map[string]string{"empty": "", "script": "#!/bin/sh\n", "cut": "\x7fELF\x02\x01"} {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o700))
		assert.Empty(t, libraries(path), name)
	}
}
