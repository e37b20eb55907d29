package repotest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// editsOf returns the fenced blocks of CONTRIBUTING.md by what stands behind the
// language: the file that they go to, or "" for commands.
func editsOf(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, "CONTRIBUTING.md"))
	require.NoError(t, err)
	out := make(map[string]string)
	for _, m := range regexp.MustCompile("(?ms)^   ```(?:go|sh) ?([^\n]*)\n(.*?)^   ```$").FindAllStringSubmatch(string(text), -1) {
		out[m[1]] = regexp.MustCompile(`(?m)^   `).ReplaceAllString(m[2], "")
	}
	return out
}

// The walk-through of CONTRIBUTING.md adds a benchmark by a row and a function:
// in a copy of the tree, with its two edits and no other, the new operation is
// in help, table, JSON, its schema, and comparison.
func TestContributingAddsABenchmark(t *testing.T) {
	t.Parallel()
	edits := editsOf(t)
	require.Len(t, edits, 3, "a row, a function, commands")
	dir := copyOfTree(t)
	const row = "internal/catalogue/benchmark.go"
	path := filepath.Join(dir, row)
	source, err := os.ReadFile(path)
	require.NoError(t, err)
	const before = "\treturn []Benchmark{"
	require.Contains(t, string(source), before)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(source), before, before+"\n"+edits[row], 1)), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bench_spawn_test.go"), []byte(edits["bench_spawn_test.go"]), 0o644))

	in := func(name string, args ...string) (stdout, stderr string, err error) {
		cmd := exec.Command(name, args...)
		var out, complaints strings.Builder
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &complaints
		// Without the directory in what is built, the next run finds it built.
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -vet=off", "CAPSEM_BENCH_TEST=")
		err = cmd.Run()
		return out.String(), complaints.String(), err
	}
	commands := strings.Split(strings.TrimSpace(edits[""]), "\n")
	require.Len(t, commands, 2)
	_, errs, err := in("sh", "-c", commands[0])
	require.NoError(t, err, errs)
	doc, err := os.ReadFile(filepath.Join(dir, "doc.go"))
	require.NoError(t, err)
	assert.Contains(t, string(doc), "Spawn/cmd=true/count=100", "documentation")

	const command = "./cb"
	_, errs, err = in("go", "build", "-ldflags=-s -w", "-o", command, "./cmd/capsem-bench")
	require.NoError(t, err, errs)
	stdout, tables, err := in("sh", "-c", strings.Replace(commands[1], "go run ./cmd/capsem-bench", command, 1))
	require.NoError(t, err, tables)
	assert.Contains(t, tables, "Process Spawn", "table")
	assert.Regexp(t, `true +│ +[0-9.]+ (ms|µs)`, tables, "table")
	var result struct {
		Spawn map[string]struct{ Metrics map[string]float64 }
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	assert.Positive(t, result.Spawn["true"].Metrics["p95-ns"], "JSON")
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(dir, "docs", "schema.json"))
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(stdout))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(value), "schema")

	help, _, err := in(command, "help")
	require.NoError(t, err)
	assert.Contains(t, help, "Measure processes from fork to exit", "help")
	compared, errs, err := in(command, "compare", "results/spawn", "results/spawn")
	require.NoError(t, err, errs)
	assert.Regexp(t, `(?m)^spawn\nop .*\ntrue `, compared, "comparison")
	imported, errs, err := in(command, "import", "results/spawn/bench.json")
	require.NoError(t, err, errs)
	assert.Contains(t, imported, "BenchmarkSpawn/cmd=true/count=100\t", "import")
	assert.NotContains(t, errs, "left out")
}

// copyOfTree copies what git has of the working tree.
func copyOfTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root(t)
	names, err := list.Output()
	require.NoError(t, err)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(top, name))
		if os.IsNotExist(err) {
			continue // removed and not committed yet
		}
		require.NoError(t, err)
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, data, 0o755))
	}
	return dir
}
