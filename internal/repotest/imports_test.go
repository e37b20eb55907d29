package repotest

import (
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Every _test.go file of the root is linked into the guest binary.
func TestRootHoldsBenchmarksOnly(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		if f.dir() != "." {
			continue
		}
		ok, _ := path.Match("bench_*_test.go", f.path)
		assert.True(t, ok || f.path == "doc.go" || f.path == "main_test.go", "%s: the root holds benchmarks only", f.path)
		for _, imp := range f.imports() {
			assert.True(t, allowedInGuest(imp), "%s imports %s, which would be linked into the guest binary", f.path, imp)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if ok && fn.Recv == nil && fn.Name.Name != "TestMain" {
				assert.NotRegexp(t, `^(Test|Fuzz|Example)`, fn.Name.Name, "%s: unit tests live in internal/guest", f.path)
			}
		}
	}
}

func allowedInGuest(imp string) bool {
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return true
	}
	for _, prefix := range []string{"golang.org/x/sys", "golang.org/x/sync", "github.com/dustin/go-humanize", "github.com/montanaflynn/stats", "github.com/valyala/fasthttp", "github.com/miekg/dns", "github.com/HdrHistogram/hdrhistogram-go", "github.com/moby/sys/mountinfo", "golang.org/x/net"} {
		if imp == prefix || strings.HasPrefix(imp, prefix+"/") {
			return true
		}
	}
	return under(imp, module+"/internal/guest") ||
		slices.Contains([]string{module + "/internal/catalogue", module + "/internal/contract", module + "/internal/machine", module + "/internal/record"}, imp)
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		for _, imp := range f.imports() {
			if reason := forbidden(f, imp); reason != "" {
				assert.Fail(t, reason, "%s imports %s", f.path, imp)
			}
		}
	}
}

// forbidden says why a file must not import a package, or "". What the groups
// of packages may import of each other is drawn in docs/architecture.md.
func forbidden(f file, imp string) string {
	own, _ := strings.CutPrefix(imp, module+"/")
	switch {
	case f.test():
		return ""
	case f.within("internal/guest") && !allowedInGuest(imp):
		return "internal/guest is part of the guest binary, which has a size limit"
	case f.within("convert") && slices.Contains([]string{"os", "net", "os/exec", "net/http"}, imp):
		return "convert is a function of its input"
	case f.within("host") && under(own, "host") && !under(own, "host/internal") && !f.within(own):
		return "host packages do not know each other; sandbox joins them"
	case f.within("host") && imp == "github.com/mdlayher/vsock":
		return "host packages take a net.Listener"
	}
	return ""
}

// under reports whether a package is a directory or below it.
func under(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// convert takes its times from the text, so one input has one output.
func TestConvertHasNoClock(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		if !f.within("convert") || f.test() {
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				x, isName := sel.X.(*ast.Ident)
				assert.False(t, isName && x.Name == "time" && sel.Sel.Name == "Now", "%s asks for the time", f.path)
			}
			return true
		})
	}
}
