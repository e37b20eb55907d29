// Package machine says what a benchmark ran on: the fields of the run line that
// are about the machine. The guest binary describes its guest with it, and the
// command the host, where the host is what measures.
package machine

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// Describe describes where this process runs. getenv is the environment that
// has labels and build of the command, home the directory to work in. What
// cannot be learned cheaply is left empty: this runs before the first measurement.
func Describe(home string, getenv func(string) string) record.Run {
	r := record.Run{OS: runtime.GOOS, CPUs: runtime.NumCPU(), Root: os.Geteuid() == 0, Filesystems: make(map[string]string)}
	r.Hostname, _ = os.Hostname()
	platform(&r)
	if words := getenv(catalogue.EnvLabels); words != "" {
		r.Labels, _ = record.ParseLabels(strings.Split(words, ",")) // the host has checked them
	}
	build, _ := record.ParseLabels(strings.Split(getenv(catalogue.EnvBuild), ","))
	r.Commit, r.Dirty, r.Date, r.Go = build["commit"], build["dirty"] == "true", build["date"], runtime.Version()
	for _, path := range []string{home, "/usr", os.TempDir()} {
		if t := filesystem(path); t != "" {
			r.Filesystems[path] = t
		}
	}
	return r
}

// Kilobytes finds a line such as "MemAvailable:   1234 kB" of a file of /proc
// (proc_meminfo(5), proc_pid_status(5)) by its key, with the colon, and returns
// bytes.
func Kilobytes(text []byte, key string) (n int64, ok bool) {
	for line := range bytes.Lines(text) {
		if f := bytes.Fields(line); len(f) >= 2 && string(f[0]) == key {
			n, err := strconv.ParseInt(string(f[1]), 10, 64)
			return n << 10, err == nil && n >= 0 && n < 1<<43
		}
	}
	return 0, false
}
