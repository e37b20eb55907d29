package guesttest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeCLI puts a script into dir and returns a PATH that finds it.
func fakeCLI(t *testing.T, dir, name, script string) (path string) {
	t.Helper()
	script = "#!/bin/sh\nPATH=/usr/bin:/bin\n" + script + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	return dir
}

func TestStartup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fakeCLI(t, dir, "python3", "test \"$*\" = --version && echo Python 3.99")
	fakeCLI(t, dir, "claude", "printf 'not now \\033[31m\\n' >&2; exit 3")
	fakeCLI(t, dir, "gemini", "sleep 300 & sleep 300")
	fakeCLI(t, dir, "codex", "echo 1.0; sleep 30 &")
	r := runGuest(t, baseEnv(t.TempDir(), dir, "CAPSEM_BENCH_CLI_TIMEOUT=2s"), "-test.bench=Startup")
	assert.Equal(t, 1, r.exit)
	for cli, want := range map[string]record.Status{
		"python3": {Status: record.OK},
		"node":    {Status: record.Skipped, Reason: "node is not in PATH"},
		"claude":  {Status: record.Failed, Reason: "claude --version: exit status 3: not now [31m"},
		"gemini":  {Status: record.Failed, Reason: "gemini --version: timed out after 2s"},
		"codex":   {Status: record.OK},
	} {
		name := "Startup/cli=" + cli
		st := r.status[name]
		assert.Equal(t, want.Status, st.Status, cli)
		assert.Equal(t, want.Reason, st.Reason)
		assert.Equal(t, []string{cli, "--version"}, st.Command)
		if want.Status != record.OK {
			continue
		}
		require.Len(t, r.samples[name], 1)
		s := r.samples[name][0]
		assert.Len(t, s.Values, 3)
		assert.EqualValues(t, 3, s.Count)
		assert.Equal(t, s.ElapsedNS, s.Values[0]+s.Values[1]+s.Values[2])
		assert.Positive(t, s.Metrics["maxrss-B"])
	}
}

// Other commands are measured in the place of the catalogue's, with their
// arguments, by a path too.
func TestStartupOfOtherCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fakeCLI(t, dir, "my-tool", "test \"$*\" = '--help all'")
	fakeCLI(t, dir, "mine", "test \"$*\" = --version")
	r := runGuest(t, baseEnv(t.TempDir(), dir, "CAPSEM_BENCH_CLIS=my-tool --help all, "+filepath.Join(dir, "mine")+",absent"), "-test.bench=Startup")
	assert.Equal(t, 0, r.exit)
	assert.Contains(t, r.stdout, `"expected":["Startup/cli=my_tool_help_all","Startup/cli=mine","Startup/cli=absent"]`)
	assert.Equal(t, record.OK, r.status["Startup/cli=my_tool_help_all"].Status)
	assert.Equal(t, []string{"my-tool", "--help", "all"}, r.status["Startup/cli=my_tool_help_all"].Command)
	assert.Equal(t, record.OK, r.status["Startup/cli=mine"].Status)
	assert.Equal(t, "absent is not in PATH", r.status["Startup/cli=absent"].Reason)
}
