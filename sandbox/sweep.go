package sandbox

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/sandbox/qemu"
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

// Sweep removes what killed processes left among the temporary files and the
// directories of VMs, which is done by whatever command comes next.
func Sweep() {
	dirs := []string{scratch.Temp(), os.TempDir(), qemu.MachinesDir(), "/tmp"}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		scratch.Sweep(dir, tempPrefix)
	}
}
