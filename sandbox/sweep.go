package sandbox

import (
	"os"
	"path/filepath"

	"github.com/capsem/capsem-bench/internal/scratch"
)

// What sandboxes make: a workspace in the directory of the results, and a
// short-lived directory among the temporary files.
const (
	workPrefix = ".sandbox-"
	tempPrefix = "capsem-"
)

// maxBeside bounds how many directories beside the results are looked into.
const maxBeside = 1000

// sweep removes what sandboxes of killed processes left: in the directory of
// the results, in those beside it, and among the temporary files.
func sweep(results string) {
	scratch.Sweep(scratch.Temp(), tempPrefix)
	parent := filepath.Dir(filepath.Clean(results))
	beside, _ := os.ReadDir(parent)
	for _, e := range beside[:min(len(beside), maxBeside)] {
		if e.IsDir() {
			scratch.Sweep(filepath.Join(parent, e.Name()), workPrefix)
		}
	}
}
