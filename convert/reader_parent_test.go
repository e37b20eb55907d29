package convert

import (
	"fmt"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testing reports a benchmark as failed with each of its parts that did; it
// is no operation of its own.
func TestParentsAreNoOperations(t *testing.T) {
	rep, err := Read(strings.NewReader(`--- FAIL: BenchmarkHTTP/n=50/c=5
#capsem {"type":"status","op":"HTTP/n=50/c=5","status":"failed","reason":"interrupted by SIGINT"}
--- FAIL: BenchmarkHTTP
--- FAIL: BenchmarkOther/a=1/b=2
--- FAIL: BenchmarkOther/a=1
--- FAIL: BenchmarkOther
--- FAIL: BenchmarkThroughput
`), "text")
	require.NoError(t, err)
	var names []string
	for _, res := range rep.Ops {
		names = append(names, res.Op.Name)
		assert.Equal(t, record.Failed, res.Status)
	}
	assert.Equal(t, []string{"HTTP/n=50/c=5", "Throughput", "Other/a=1/b=2"}, names)
}

// Several texts are one measurement, and one of them without an end makes it
// incomplete.
func TestReadAll(t *testing.T) {
	run := func(end string) string {
		return `#capsem {"type":"run","schema":"capsem-bench.text/1","expected":["Throughput"]}
BenchmarkThroughput 1 100 ns/op
#capsem {"type":"status","op":"Throughput","status":"ok"}
` + end
	}
	ok := `#capsem {"type":"end","elapsed_ns":5,"status":"ok"}` + "\n"
	interrupted := `#capsem {"type":"end","elapsed_ns":5,"status":"interrupted"}` + "\n"
	for _, tt := range []struct {
		name, first, second string
		complete            bool
		warning             string
	}{
		{"both end", ok, ok, true, ""},
		{"first cut", "", ok, false, "two:1: the run before this one has no end line: it is incomplete"},
		{"second cut", ok, "", false, "one: no end line: the run is incomplete"},
		{"first interrupted", interrupted, ok, false, "one: the run is incomplete: interrupted "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rep, err := ReadAll(Source{"one", strings.NewReader(run(tt.first))}, Source{"two", strings.NewReader(run(tt.second))})
			require.NoError(t, err)
			assert.Equal(t, tt.complete, rep.Complete())
			require.Len(t, rep.Ops, 1)
			assert.Equal(t, 2, rep.Ops[0].Rounds)
			if tt.warning == "" {
				assert.Empty(t, rep.Warnings)
				assert.Equal(t, int64(10), rep.End.ElapsedNS)
			} else {
				require.NotEmpty(t, rep.Warnings)
				assert.Equal(t, tt.warning, rep.Warnings[0].String())
			}
		})
	}
}

// testing puts the failure of a round after the first behind the name that it
// printed before the round. That line is whole.
func TestFailureOfALaterRound(t *testing.T) {
	const op = "BenchmarkDisk/op=seq_write/size=256MiB-2"
	text := op + "  \t1\t100 ns/op\n" + strings.Repeat(op+"  \t--- FAIL: "+op+"\n    bench.go:1: no room\n", 3)
	rep, err := Read(strings.NewReader(text), "text")
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprint(rep.Warnings), "torn")
	res := rep.Find("disk/seq_write")
	require.NotNil(t, res)
	assert.Equal(t, record.Failed, res.Status)
	assert.Equal(t, 1, res.Rounds)
}

// What prints a result behind the end of a run is not what was measured: a
// wrapper does, or a program that the guest left behind.
func TestResultsBehindTheEnd(t *testing.T) {
	const run = `#capsem {"type":"run","schema":"capsem-bench.text/1","expected":["Throughput"]}
BenchmarkThroughput-2 1 100 ns/op
#capsem {"type":"status","op":"Throughput","status":"ok"}
#capsem {"type":"end","elapsed_ns":5,"status":"ok"}
`
	timed := strings.Replace(run, `"schema"`, `"time":1800000000.123456,"seed":3,"hostname":"h","schema"`, 1)
	const stray = "BenchmarkThroughput-8 1 1 ns/op\n"
	for _, tt := range []struct {
		name, text string
		rounds     int
		warnings   []string
	}{
		{"behind the end", run + stray, 1, []string{`f:5: result line of "BenchmarkThroughput-8" stands behind the end line of the run and is none of it`}},
		{"before another run", run + stray + run, 2, []string{`f:5: result line of "BenchmarkThroughput-8" stands behind the end line of the run and is none of it`}},
		{"two runs", run + run, 2, nil},
		{"the same run twice", timed + timed, 1, []string{"f:5: this run is there already, and counts once"}},
		{"the same run twice, and another", timed + timed + run, 2, []string{"f:5: this run is there already, and counts once"}},
		{"another package's results", run + "pkg: example.org/q\nBenchmarkA 1 5 ns/op\n", 1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rep := readText(t, tt.text)
			var warnings []string
			for _, w := range rep.Warnings {
				warnings = append(warnings, w.String())
			}
			assert.Equal(t, tt.warnings, warnings)
			require.NotEmpty(t, rep.Ops)
			assert.Equal(t, tt.rounds, rep.Ops[0].Rounds)
			assert.True(t, rep.Complete())
		})
	}
}

// testing names an operation that fails in a round after the first once without
// its number of processors, in the middle of a line, and once with it.
func TestLaterRoundFails(t *testing.T) {
	const op = "Disk/op=seq_write/size=16MiB"
	const head = `#capsem {"type":"run","schema":"capsem-bench.text/1","expected":["` + op + `"]}
#capsem {"type":"start","op":"` + op + `"}
`
	const round = "Benchmark" + op + "-2 \t 1\t 100 ns/op\n"
	const fails = "Benchmark" + op + "-2 \t--- FAIL: Benchmark" + op + "\n--- FAIL: Benchmark" + op + "-2\n"
	const tail = `#capsem {"type":"status","op":"` + op + `","status":"failed","reason":"no space"}
#capsem {"type":"end","elapsed_ns":5,"status":"failed"}
`
	for name, text := range map[string]string{
		"the first":  head + "Benchmark" + op + "-2 \t--- FAIL: Benchmark" + op + "\n" + tail,
		"the second": head + round + fails + tail,
		"all later":  head + round + fails + fails + tail,
		"no start":   strings.Replace(head, "start", "other", 1) + round + fails + tail,
	} {
		t.Run(name, func(t *testing.T) {
			rep := readText(t, text)
			require.Len(t, rep.Ops, 1)
			assert.Equal(t, "disk/seq_write", rep.Ops[0].Op.ID)
			assert.Equal(t, record.Failed, rep.Ops[0].Status)
			assert.Equal(t, "no space", rep.Ops[0].Reason)
		})
	}
}
