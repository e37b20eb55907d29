package guest

import (
	"os"
	"runtime"

	"github.com/capsem/capsem-bench/internal/record"
)

// machine describes where the binary runs. What cannot be learned cheaply is
// left empty: this runs before the first measurement.
func machine() record.Run {
	r := record.Run{OS: runtime.GOOS, CPUs: runtime.NumCPU(), Root: os.Geteuid() == 0, Filesystems: make(map[string]string)}
	r.Hostname, _ = os.Hostname()
	platform(&r)
	home, err := Home()
	if err != nil {
		home = "/"
	}
	for _, path := range []string{home, "/usr", os.TempDir()} {
		if t := filesystem(path); t != "" {
			r.Filesystems[path] = t
		}
	}
	return r
}
