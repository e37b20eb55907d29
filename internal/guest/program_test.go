package guest

import (
	"bytes"
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

// The small reader agrees with debug/elf on the programs of this machine.
func TestNeededLibraries(t *testing.T) {
	paths, err := filepath.Glob("/usr/bin/*")
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	for _, path := range append(paths[:min(len(paths), 300)], self) {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		got := neededLibraries(f)
		if exe, err := elf.NewFile(f); err == nil && exe.Class == elf.ELFCLASS64 && exe.ByteOrder.String() == "LittleEndian" {
			want, err := exe.ImportedLibraries()
			require.NoError(t, err)
			assert.Equal(t, want, got, path)
		} else {
			assert.Empty(t, got, path)
		}
		require.NoError(t, f.Close())
	}
}

func FuzzNeededLibraries(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01"))
	if text, err := os.ReadFile("/bin/true"); err == nil {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range neededLibraries(bytes.NewReader(data)) {
			assert.NotEmpty(t, name)
			assert.LessOrEqual(t, len(name), elfMaxName)
		}
	})
}
