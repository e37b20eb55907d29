package guest

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// Exit statuses of the guest binary beyond testing's own 0 and 1.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// Main is the body of TestMain: it runs the benchmarks and returns the exit
// status. Without -test.bench, and for -test.list, it behaves as testing does
// and prints nothing of its own.
func Main(m *testing.M) int {
	flag.Parse()
	pattern := flagValue("test.bench")
	if pattern == "" || flagValue("test.list") != "" {
		return m.Run()
	}
	settings, err := Settings()
	if err == nil {
		err = defaultBenchtime()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "capsem-bench:", err)
		return exitUsage
	}
	r := newRun(expected(catalogue.Ops(settings), pattern, flagValue("test.skip")))
	current.Store(r)
	r.header()
	unwatch := r.watchSignals()
	defer unwatch()
	status := m.Run()
	r.flush("")
	return r.finish(status)
}

func flagValue(name string) string {
	if f := flag.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// defaultBenchtime makes one pass the default, as a pass is fixed work.
func defaultBenchtime() error {
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.benchtime" })
	if set {
		return nil
	}
	return flag.Set("test.benchtime", "1x")
}

// header prints the unit lines and the run line.
func (r *run) header() {
	for _, u := range catalogue.Units() {
		switch u.Name {
		case "ns/op", "B/s": // known to every tool
		default:
			fmt.Println(u.UnitLine())
		}
	}
	info := machine()
	info.Type, info.Schema, info.Version = record.TypeRun, record.Schema, record.ToolVersion
	info.Time = unixSeconds(r.start)
	info.Seed = seed()
	info.Expected = r.names
	info.Rounds = 1
	if n, err := strconv.Atoi(flagValue("test.count")); err == nil {
		info.Rounds = n
	}
	info.Sandbox, info.Accel, info.Image = os.Getenv(EnvSandbox), os.Getenv(EnvAccel), os.Getenv(EnvImage)
	r.emit(info)
}
