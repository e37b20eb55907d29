package guest

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/machine"
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
		err = oneProcessorCount()
	}
	if err == nil {
		err = defaultBenchtime()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "capsem-bench:", err)
		return exitUsage
	}
	loads, err := LoadSettings()
	storages, serr := StorageSettings()
	if err := cmp.Or(err, serr); err != nil {
		fmt.Fprintln(os.Stderr, "capsem-bench:", err)
		return exitUsage
	}
	r := newRun(expected(slices.Concat(catalogue.Ops(settings), loads.Ops(), storages.Ops()), pattern, flagValue("test.skip")))
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

// oneProcessorCount refuses a list of -test.cpu: status and samples lines have
// the name of an operation without its number of processors.
func oneProcessorCount() error {
	if cpu := flagValue("test.cpu"); strings.Contains(cpu, ",") {
		return fmt.Errorf("-test.cpu %s: want one number of processors a run", cpu)
	}
	return nil
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
	units := catalogue.Units()
	if r.measures(catalogue.Load) {
		units = append(units, catalogue.LoadUnits()...)
	}
	if r.measures(catalogue.HTTP) || r.measures(catalogue.Throughput) {
		units = append(units, catalogue.WebUnits()...)
	}
	for _, u := range units {
		switch u.Name {
		case "ns/op", "B/s": // known to every tool
		default:
			fmt.Println(u.UnitLine())
		}
	}
	home, err := Home()
	if err != nil {
		home = "/"
	}
	info := machine.Describe(home, os.Getenv)
	info.Type, info.Schema, info.Version = record.TypeRun, record.Schema, record.ToolVersion
	info.Time = record.Seconds(r.start)
	info.Seed = Seed()
	info.Expected = r.names
	info.Rounds = 1
	if n, err := strconv.Atoi(flagValue("test.count")); err == nil {
		info.Rounds = n
	}
	info.Sandbox, info.Accel, info.Image = os.Getenv(catalogue.EnvSandbox), os.Getenv(catalogue.EnvAccel), os.Getenv(catalogue.EnvImage)
	if scale := limitScale(); scale > 1 {
		info.LimitScale = scale
	}
	r.emit(info)
}
