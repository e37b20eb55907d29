package repotest

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/capsem/capsem-bench"

var update = flag.Bool("update", false, "rewrite the catalogue in doc.go")

// top is the repository's directory, from that of this package.
const top = "../.."

// root is top as an absolute path.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(top)
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

// goFiles returns every Go file of the repository, parsed once for all tests.
func goFiles(t *testing.T) []file {
	t.Helper()
	files, err := parsed()
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

var parsed = sync.OnceValues(func() (files []file, err error) {
	fset := token.NewFileSet()
	paths, err := listed()
	for _, path := range paths {
		if filepath.Ext(path) != ".go" || strings.Contains(path, "testdata/") {
			continue
		}
		syntax, err := parser.ParseFile(fset, filepath.Join(top, path), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, file{path, syntax})
	}
	return files, err
})

// tracked returns the files that belong to the repository, by their paths
// from the root.
func tracked(t *testing.T) []string {
	t.Helper()
	paths, err := listed()
	require.NoError(t, err)
	return paths
}

// listed is what git tracks and is there. Without git, as in an unpacked
// archive, it is all files.
var listed = sync.OnceValues(func() (paths []string, err error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached")
	cmd.Dir = top
	if out, err := cmd.Output(); err == nil && len(out) > 0 {
		paths = strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
		return slices.DeleteFunc(paths, func(path string) bool {
			_, err := os.Lstat(filepath.Join(top, path))
			return err != nil
		}), nil
	}
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || rel == "results"):
			return fs.SkipDir
		case d.Type().IsRegular():
			paths = append(paths, filepath.ToSlash(rel))
		}
		return nil
	})
	return paths, err
})
