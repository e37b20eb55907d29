package repotest

import (
	"bytes"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryPackageHasOneDoc(t *testing.T) {
	t.Parallel()
	docs := make(map[string][]string)
	for _, f := range goFiles(t) {
		if docs[f.dir()] == nil {
			docs[f.dir()] = []string{}
		}
		if f.Doc != nil {
			docs[f.dir()] = append(docs[f.dir()], f.path)
			assert.Regexp(t, opening(f), f.Doc.Text(), f.path)
		}
	}
	for dir, files := range docs {
		assert.Len(t, files, 1, "%s: want one package comment", dir)
	}
}

// opening is how a package comment begins: with the package, or with the
// command's name.
func opening(f file) string {
	if f.Name.Name != "main" {
		return "^Package " + f.Name.Name + " "
	}
	return "^(?i)(command )?" + regexp.QuoteMeta(filepath.Base(f.dir())) + " "
}

func TestNoInit(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			assert.False(t, ok && fn.Recv == nil && fn.Name.Name == "init", "%s has an init function", f.path)
		}
	}
}

// personal finds paths that exist on one machine only.
var personal = regexp.MustCompile(`/(home|Users)/[A-Za-z0-9._-]+/|/var/folders/[a-z]|/tmp/(tmp\.|go-build)[A-Za-z0-9]`)

func TestNoPathsOfOneMachine(t *testing.T) {
	t.Parallel()
	here := root(t)
	for _, path := range tracked(t) {
		text, err := os.ReadFile(filepath.Join(here, path))
		require.NoError(t, err)
		if i := personal.FindIndex(text); i != nil && path != "internal/repotest/style_test.go" {
			assert.Fail(t, "a path of one machine", "%s: %s", path, text[i[0]:i[1]])
		}
		if len(here) > len("/a/b") {
			assert.NotContains(t, string(text), here+"/", path)
		}
	}
}

// longest is how many lines a person reads in one sitting.
const longest = 450

func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	for _, path := range tracked(t) {
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root(t), path))
		require.NoError(t, err)
		assert.LessOrEqual(t, bytes.Count(text, []byte("\n")), longest, "%s: is it still one topic?", path)
	}
}

// unfinished finds what was left for later, spelled so that it is not found
// here.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b`)

func TestNothingIsLeftForLater(t *testing.T) {
	t.Parallel()
	for _, path := range tracked(t) {
		if strings.HasSuffix(path, ".sum") || strings.Contains(path, "testdata/") || path == "LICENSE" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root(t), path))
		require.NoError(t, err)
		if m := unfinished.Find(text); m != nil {
			assert.Fail(t, "left for later", "%s: %s", path, m)
		}
	}
}
