package repotest

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/capsem/capsem-bench"

var update = flag.Bool("update", false, "rewrite the catalogue in doc.go")

// root is the repository's directory, from that of this package.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	return dir
}

// A file is one Go file: its path from the root, and its syntax.
type file struct {
	path string
	*ast.File
}

func (f file) dir() string { return filepath.ToSlash(filepath.Dir(f.path)) }
func (f file) test() bool  { return strings.HasSuffix(f.path, "_test.go") }
func (f file) within(dir string) bool {
	return f.dir() == dir || strings.HasPrefix(f.dir(), dir+"/")
}

// imports returns the paths that the file imports.
func (f file) imports() []string {
	var out []string
	for _, spec := range f.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			out = append(out, path)
		}
	}
	return out
}

// goFiles parses every Go file of the repository.
func goFiles(t *testing.T) []file {
	t.Helper()
	var files []file
	fset := token.NewFileSet()
	for _, path := range tracked(t) {
		if filepath.Ext(path) != ".go" || strings.Contains(path, "testdata/") {
			continue
		}
		syntax, err := parser.ParseFile(fset, filepath.Join(root(t), path), nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file{path, syntax})
	}
	require.NotEmpty(t, files)
	return files
}

// tracked returns the files that belong to the repository, by their paths
// from the root. Without git, as in an unpacked archive, it is all files.
func tracked(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached")
	cmd.Dir = root(t)
	if out, err := cmd.Output(); err == nil && len(out) > 0 {
		return existing(t, strings.Split(strings.TrimRight(string(out), "\x00"), "\x00"))
	}
	var paths []string
	require.NoError(t, filepath.WalkDir(root(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root(t), path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || rel == "results"):
			return fs.SkipDir
		case d.Type().IsRegular():
			paths = append(paths, filepath.ToSlash(rel))
		}
		return nil
	}))
	return paths
}

// existing drops files that are tracked and deleted.
func existing(t *testing.T, paths []string) []string {
	t.Helper()
	var out []string
	for _, path := range paths {
		if matches, err := filepath.Glob(filepath.Join(root(t), path)); err == nil && len(matches) > 0 {
			out = append(out, path)
		}
	}
	return out
}
