package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// schemas are the schemas of docs/ by file name, read once.
var schemas sync.Map

// checkSchema says where a document differs from a schema of docs/. The library
// is that of the MCP SDK, which the command links anyway: this file's program is
// started a thousand times as the command, and the one that the packages convert
// and compare use adds a third to each start.
func checkSchema(file string, doc []byte) error {
	read, _ := schemas.LoadOrStore(file, sync.OnceValues(func() (*jsonschema.Resolved, error) {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", file))
		if err != nil {
			return nil, err
		}
		var s jsonschema.Schema
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, err
		}
		return s.Resolve(nil)
	}))
	s, err := read.(func() (*jsonschema.Resolved, error))()
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		return err
	}
	return s.Validate(v)
}

// checkDocument holds a document to the schema of results.
func checkDocument(t *testing.T, doc []byte) {
	t.Helper()
	require.NoError(t, checkSchema("schema.json", doc), "%s", doc)
}

// All six categories measured for real make a document that follows the
// schema and says that all went well. What is not installed is skipped.
func TestRun(t *testing.T) {
	t.Parallel()
	tr := newTrial(t, "CAPSEM_BENCH_HTTP_N=10")
	tr.program(t, "codex", "echo 1.0")
	require.Equal(t, exitOK, tr.run(t, "run"), tr.stderr.String())
	doc := tr.document(t)
	assert.True(t, doc.Additions.Complete)
	assert.Empty(t, doc.Additions.Missing)
	for _, section := range []string{"disk", "rootfs", "startup", "http", "throughput", "snapshot"} {
		assert.Contains(t, tr.stdout.String(), "\n  \""+section+"\": {\n")
	}
	assert.Len(t, doc.Additions.Ops, 28)
	for id, op := range doc.Additions.Ops {
		if strings.HasPrefix(id, "startup/") && op.Status == "skipped" {
			assert.Regexp(t, `^\w+ is not in PATH$`, op.Reason)
			continue
		}
		assert.Equal(t, opStatus{"ok", "", 1}, op, id)
	}
	assert.Equal(t, "ok", doc.Additions.Ops["startup/codex"].Status)
	for _, title := range []string{
		"Scratch Disk I/O", "Rootfs Read I/O", "CLI Cold Start Latency", "HTTP Benchmark", "Proxy Throughput", "Snapshot Operations (ms)",
	} {
		assert.Contains(t, tr.stderr.String(), title)
	}
	assert.NotContains(t, tr.stderr.String(), "\r", "progress in a pipe")
	assert.NotContains(t, tr.stderr.String(), "\x1b")
	assert.Equal(t, []string{jsonName, textName, sessionName}, tr.results(t))
}

// A killed run cannot clean up; the next one does, and leaves alone what is in
// use and what only has the name.
func TestKilled(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	tr.env = append(tr.env, "CAPSEM_BENCH_TEST="+tr.program(t, "guest", "while [ ! -e "+tr.dir+"/go ]; do sleep 0.05; done"))
	sandboxes := func() (out []string) {
		for _, pattern := range []string{filepath.Join(tr.dir, resultsDir, "*", ".sandbox-*"), filepath.Join(tr.tmp, "capsem-*")} {
			found, err := filepath.Glob(pattern)
			require.NoError(t, err)
			out = append(out, found...)
		}
		return out
	}
	begin := func() (run *trial, made []string) {
		before := sandboxes()
		run = &trial{dir: tr.dir, tmp: tr.tmp, bin: tr.bin, env: tr.env, limit: tr.limit}
		run.start(t, "run", "http")
		require.Eventually(t, func() bool {
			made = slices.DeleteFunc(sandboxes(), func(dir string) bool { return slices.Contains(before, dir) })
			return len(made) == 3 && len(run.processes()) >= 2 // sandbox, services and origin; the command and the guest
		}, time.Minute, 5*time.Millisecond)
		return run, made
	}

	killed, left := begin()
	require.NoError(t, killed.cmd.Process.Kill())
	_ = killed.cmd.Wait()
	require.Eventually(t, func() bool { return len(tr.processes()) == 0 }, time.Minute, 5*time.Millisecond, "the guest ends with the command")
	for _, dir := range left {
		require.DirExists(t, dir, "nobody was there to remove it")
	}
	decoys := []string{
		filepath.Join(tr.tmp, "capsem-mine", "file"),
		filepath.Join(filepath.Dir(left[0]), ".sandbox-mine", "file"),
		filepath.Join(tr.dir, resultsDir, "kept", ".sandbox-x", "file"),
	}
	for _, name := range decoys {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, nil, 0o600))
	}

	live, used := begin()
	last, _ := begin()
	for _, dir := range left {
		assert.NoDirExists(t, dir)
	}
	for _, path := range append(decoys, used...) {
		_, err := os.Lstat(path)
		assert.NoError(t, err)
	}
	assert.FileExists(t, filepath.Join(filepath.Dir(left[0]), textName), "results are not leftovers")
	require.NoError(t, os.WriteFile(filepath.Join(tr.dir, "go"), nil, 0o600))
	for _, run := range []*trial{live, last} {
		_ = run.cmd.Wait()
	}
	assert.ElementsMatch(t, []string{filepath.Dir(decoys[0]), filepath.Dir(decoys[1]), filepath.Dir(decoys[2])}, sandboxes())
}
