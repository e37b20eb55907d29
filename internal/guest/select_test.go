package guest

import (
	"flag"
	"os"
	"regexp"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What this package thinks will run is what package testing runs.
func TestExpectedIsWhatTestingRuns(t *testing.T) {
	for _, tt := range []struct {
		bench, skip string
		n           int // how many operations
	}{
		{".", "", 28},
		{"Disk", "", 4},
		{"^BenchmarkDisk$", "", 4},
		{"Disk|HTTP", "", 5},
		{"Disk/op=seq", "", 2},
		{"/op=seq", "", 3}, // Throughput has no such part
		{"Disk/op=rand_read_4k/count=10000", "", 1},
		{"Disk/op=rand_read_4k/count=1$", "", 0},
		{"Snapshot/files=100/op=revert", "", 1},
		{"Snapshot/files=10$/op=(create|list)", "", 2},
		{"Snapshot/files=[15]00/op=revert", "", 2},
		{"Snapshot/files=10/op=revert|Disk/op=seq_read", "", 3},
		{"Disk/op=seq/size=256MiB/deeper", "", 0},
		{"Disk/op=seq/size=256MiB/deeper|Disk", "", 2}, // the first alternative decides
		{"Throughput", "", 1},
		{"Throughput/x", "", 0},
		{"Nothing", "", 0},
		{`Startup/cli=[^/]+`, "", 5},
		{".", "Snapshot|HTTP", 12},
		{".", "/op=seq", 25},
		{".", "Snapshot/files=.*/op=[cdr]", 16},
		{"Disk|Rootfs", "Rootfs/op=seq_read/deeper", 6},
	} {
		t.Run(tt.bench+" "+tt.skip, func(t *testing.T) {
			got := expected(catalogue.Ops(catalogue.Settings{}), tt.bench, tt.skip)
			assert.Equal(t, whatTestingRuns(t, tt.bench, tt.skip), got)
			assert.Len(t, got, tt.n)
		})
	}
}

// whatTestingRuns runs benchmarks of the catalogue's names that only say that
// they ran in full.
func whatTestingRuns(t *testing.T, bench, skip string) []string {
	t.Helper()
	setFlag(t, "test.bench", bench)
	setFlag(t, "test.skip", skip)
	setFlag(t, "test.benchtime", "1x")
	ran := []string{}
	full := make(map[string]bool)
	var benchmarks []testing.InternalBenchmark
	for _, c := range catalogue.Categories() {
		ops := catalogue.Select(catalogue.Ops(catalogue.Settings{}), c)
		benchmarks = append(benchmarks, testing.InternalBenchmark{Name: "Benchmark" + c.Benchmark(), F: func(b *testing.B) {
			for _, op := range ops {
				if op.Leaf() == "" {
					full[op.Name] = true
					continue
				}
				b.Run(op.Leaf(), func(*testing.B) { full[op.Name] = true })
			}
		}})
	}
	out := silence(t, func() { testing.RunBenchmarks(regexp.MatchString, benchmarks) })
	for _, op := range catalogue.Ops(catalogue.Settings{}) {
		// A benchmark that matched only in part runs, and with -test.v its name
		// is printed, but it has no result.
		result := regexp.MustCompile(`(?m)^Benchmark` + regexp.QuoteMeta(op.Name) + `(-\d+)?\s+\d+\s.*ns/op`)
		if full[op.Name] && result.MatchString(out) {
			ran = append(ran, op.Name)
		}
	}
	return ran
}

func setFlag(t *testing.T, name, value string) {
	t.Helper()
	old := flag.Lookup(name).Value.String()
	require.NoError(t, flag.Set(name, value))
	t.Cleanup(func() { _ = flag.Set(name, old) })
}

// silence returns what f prints on standard output.
func silence(t *testing.T, f func()) string {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer out.Close()
	old := os.Stdout
	os.Stdout = out
	defer func() { os.Stdout = old }()
	f()
	text, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	return string(text)
}
