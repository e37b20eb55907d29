package repotest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An edge is an import between two groups of packages.
type edge struct{ from, to string }

// The drawing in docs/architecture.md has every import between groups of
// packages, and only those; arrows of tests alone are dotted. It has no
// circle, so no import runs upwards.
func TestDrawing(t *testing.T) {
	t.Parallel()
	drawn := drawing(t)
	have := make(map[edge]bool) // true: not in tests alone
	packages, err := listPackages()
	require.NoError(t, err)
	for _, p := range packages {
		for _, imp := range p.Imports {
			have[edge{group(p.ImportPath), group(imp)}] = true
		}
		for _, imp := range append(p.TestImports, p.XTestImports...) {
			e := edge{group(p.ImportPath), group(imp)}
			// The root has nothing but test files: they are the guest binary.
			have[e] = have[e] || e.from == "benchmarks"
		}
	}
	for e := range have {
		if e.to == "" || e.from == e.to {
			delete(have, e)
		}
	}
	for e, source := range have {
		assert.Contains(t, drawn, e, "an import that is not drawn in docs/architecture.md")
		assert.Equal(t, source, drawn[e], "%v: an arrow is dotted where only tests import", e)
	}
	for e := range drawn {
		assert.Contains(t, have, e, "an arrow in docs/architecture.md without an import")
	}
	assertNoCircle(t, drawn)
}

// assertNoCircle removes groups that import nothing that is left, until none
// is left.
func assertNoCircle(t *testing.T, edges map[edge]bool) {
	t.Helper()
	left := make(map[string]bool)
	for e := range edges {
		left[e.from], left[e.to] = true, true
	}
	for removed := true; removed; {
		removed = false
		for g := range left {
			below := false
			for e := range edges {
				below = below || e.from == g && left[e.to]
			}
			if !below {
				delete(left, g)
				removed = true
			}
		}
	}
	assert.Empty(t, left, "groups that import each other in a circle")
}

func TestCircleIsSeen(t *testing.T) {
	t.Parallel()
	circle := new(testing.T)
	assertNoCircle(circle, map[edge]bool{{"a", "b"}: true, {"b", "c"}: true, {"c", "a"}: true})
	assert.True(t, circle.Failed())
}

var (
	drawnNode = regexp.MustCompile(`(\w+)\["([^"]+)"\]`)
	drawnLine = regexp.MustCompile(`^(\w+) (-->|-\.->) (\w+(?: & \w+)*)$`)
)

// drawing reads the second picture of docs/architecture.md.
func drawing(t *testing.T) map[edge]bool {
	t.Helper()
	_, text, ok := strings.Cut(page(t, "docs/architecture.md"), "flowchart TD\n")
	require.True(t, ok)
	text, _, _ = strings.Cut(text, "```")
	names := make(map[string]string)
	for _, m := range drawnNode.FindAllStringSubmatch(text, -1) {
		names[m[1]] = m[2]
	}
	edges := make(map[edge]bool)
	for line := range strings.Lines(drawnNode.ReplaceAllString(text, "$1")) {
		m := drawnLine.FindStringSubmatch(strings.TrimSpace(line))
		require.NotNil(t, m, "%q", line)
		for to := range strings.SplitSeq(m[3], " & ") {
			edges[edge{names[m[1]], names[to]}] = m[2] == "-->"
		}
	}
	return edges
}

// group is the directory of the root that a package is in, the command for
// those below cmd, and "" for a package of others.
func group(path string) string {
	own, inside := strings.CutPrefix(path, module+"/")
	switch {
	case path == module:
		return "benchmarks"
	case !inside:
		return ""
	}
	first, rest, _ := strings.Cut(own, "/")
	if first == "cmd" {
		name, _, _ := strings.Cut(rest, "/")
		return first + "/" + name
	}
	return first
}

// A listedPackage is what go list says of a package.
type listedPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// listPackages asks go list for the packages, with the tests that boot VMs.
var listPackages = sync.OnceValues(func() (packages []listedPackage, err error) {
	cmd := exec.Command("go", "list", "-tags", "vmtest", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = top
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, err
		}
		packages = append(packages, p)
	}
})
