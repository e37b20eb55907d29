package repotest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	opsHead   = "//\tbenchmark "
	unitsHead = "//\tunit "
)

// The package comment of the root has one line for every operation and every
// unit of the catalogue, and no other.
func TestDocIsTheCatalogue(t *testing.T) {
	t.Parallel()
	path := filepath.Join(root(t), "doc.go")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	want := replaceTable(t, string(text), opsHead, opsTable())
	want = replaceTable(t, want, unitsHead, unitsTable())
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(text), "run go test ./internal/repotest -update")
}

func opsTable() []string {
	const format = "//\t%-35s %-27s %s"
	lines := []string{fmt.Sprintf(format, "benchmark", "compared by", "needs")}
	for _, op := range catalogue.Ops(catalogue.Settings{}) {
		lines = append(lines, fmt.Sprintf(format, op.Name, comparedBy(op), op.Needs))
	}
	return lines
}

// comparedBy names the op's primary units and which way of them is better.
func comparedBy(op catalogue.Op) string {
	var out []string
	for _, u := range catalogue.Units() {
		if slices.Contains(op.Primary, u.Name) {
			out = append(out, fmt.Sprintf("%s %s", u.Name, u.Better))
		}
	}
	return strings.Join(out, ", ")
}

func unitsTable() []string {
	const format = "//\t%-11s %-7s %s"
	lines := []string{fmt.Sprintf(format, "unit", "better", "meaning")}
	for _, u := range catalogue.Units() {
		lines = append(lines, fmt.Sprintf(format, u.Name, u.Better, u.Doc))
	}
	return lines
}

// replaceTable puts the lines in the place of the preformatted block that
// begins with head.
func replaceTable(t *testing.T, text, head string, lines []string) string {
	t.Helper()
	begin := strings.Index(text, head)
	require.GreaterOrEqual(t, begin, 0, "doc.go has no table that begins with %q", head)
	end := begin + strings.Index(text[begin:], "\n//\n")
	require.Greater(t, end, begin)
	return text[:begin] + strings.Join(lines, "\n") + text[end:]
}

// The benchmarks of the binary are the categories of the catalogue that a guest
// measures, and -test.list prints them and nothing else.
func TestBenchmarksAreTheCategories(t *testing.T) {
	t.Parallel()
	var want []string
	for _, c := range catalogue.GuestCategories() {
		want = append(want, "Benchmark"+c.Benchmark())
	}
	binary := testbuild.Guest(t)
	assert.ElementsMatch(t, append(want, ""), strings.Split(run(t, binary, "-test.list=."), "\n"))
	assert.Equal(t, "PASS\n", run(t, binary), "without -test.bench nothing of ours is printed")
	assert.ElementsMatch(t, append(want, ""), strings.Split(run(t, binary, "-test.bench=.", "-test.list=."), "\n"))
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return string(out)
}
