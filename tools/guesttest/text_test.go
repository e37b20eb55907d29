package guesttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"
)

// memoryDir is a directory where fdatasync costs nothing, if there is one.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "guesttest-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// results reads the result lines as benchstat does: values by name and unit.
func results(t *testing.T, text string) map[string]map[string][]float64 {
	t.Helper()
	out := make(map[string]map[string][]float64)
	reader := benchfmt.NewReader(strings.NewReader(text), "stdout")
	for reader.Scan() {
		switch rec := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			assert.Fail(t, rec.Error())
		case *benchfmt.Result:
			name := catalogue.TrimName(rec.Name.String())
			if out[name] == nil {
				out[name] = make(map[string][]float64)
			}
			for _, v := range rec.Values {
				value, unit := v.Value, v.Unit
				if v.OrigUnit != "" {
					value, unit = v.OrigValue, v.OrigUnit
				}
				out[name][unit] = append(out[name][unit], value)
			}
		}
	}
	require.NoError(t, reader.Err())
	return out
}

// Every operation has each of its units once a round, in the lines for
// benchstat and at full precision in ours; no line is too long.
func TestTextOfTwoRounds(t *testing.T) {
	t.Parallel()
	dir := memoryDir(t)
	r := runGuest(t, baseEnv(t.TempDir(), os.Getenv("PATH"), "CAPSEM_BENCH_DIR="+dir, "CAPSEM_BENCH_SIZE_MB=8"),
		"-test.bench=Disk", "-test.count=2")
	require.Equal(t, 0, r.exit, r.stdout+r.stderr)
	assert.Empty(t, r.stderr)
	got := results(t, r.stdout)
	ops := catalogue.Select(catalogue.Ops(catalogue.Settings{SizeMB: 8}), catalogue.Disk)
	assert.Len(t, got, len(ops))
	for _, op := range ops {
		assert.Len(t, got[op.Name], len(op.Units), op.Name)
		assert.Equal(t, record.OK, r.status[op.Name].Status, r.status[op.Name].Reason)
		require.Len(t, r.samples[op.Name], 2)
		for _, unit := range op.Units {
			require.Len(t, got[op.Name][unit], 2, "%s %s", op.Name, unit)
			for i, s := range r.samples[op.Name] {
				assert.Equal(t, i+1, s.Round)
				assert.InEpsilon(t, s.Metrics[unit], got[op.Name][unit][i], 1e-3, "testing prints four digits")
			}
		}
		for _, s := range r.samples[op.Name] {
			assert.EqualValues(t, op.Count, s.Count)
			assert.Equal(t, op.Bytes, s.Bytes)
			assert.InDelta(t, float64(s.ElapsedNS)/float64(s.Count), s.Metrics["ns/op"], 1)
			assert.InEpsilon(t, float64(s.Bytes)/float64(s.ElapsedNS)*1e9, s.Metrics["B/s"], 1e-9)
		}
	}
	checkLines(t, r.stdout)
	checkFrame(t, r.stdout, ops)
	assert.Empty(t, entries(t, dir), "nothing is left")
}

func checkLines(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		assert.LessOrEqual(t, len(line), record.MaxLine)
		assert.True(t, strings.HasSuffix(line, "\n"))
		assert.NotRegexp(t, `.#capsem`, line, "a torn line")
	}
}

// checkFrame looks at the first and last lines of a run.
func checkFrame(t *testing.T, text string, ops []catalogue.Op) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	units := 0
	for strings.HasPrefix(lines[units], "Unit ") {
		units++
	}
	assert.Equal(t, len(catalogue.Units())-2, units, "ns/op and B/s need no line")
	v, err := record.Parse([]byte(lines[units]))
	require.NoError(t, err)
	run, ok := v.(*record.Run)
	require.True(t, ok, "the run line comes after the units")
	var names []string
	for _, op := range ops {
		names = append(names, op.Name)
	}
	assert.Equal(t, names, run.Expected)
	assert.Equal(t, record.Schema, run.Schema)
	v, err = record.Parse([]byte(lines[len(lines)-1]))
	require.NoError(t, err)
	assert.IsType(t, &record.End{}, v, "the end line is the last")
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	hidden, err := filepath.Glob(filepath.Join(dir, ".*"))
	require.NoError(t, err)
	return append(names, hidden...)
}

// With -test.v names come before the results, on lines of their own.
func TestVerboseText(t *testing.T) {
	t.Parallel()
	r := runGuest(t, baseEnv(t.TempDir(), os.Getenv("PATH"), "CAPSEM_BENCH_DIR="+memoryDir(t), "CAPSEM_BENCH_SIZE_MB=1"),
		"-test.bench=Disk/op=seq", "-test.v", "-test.count=2")
	require.Equal(t, 0, r.exit, r.stdout)
	assert.Len(t, r.samples["Disk/op=seq_read/size=1MiB"], 2)
	checkLines(t, r.stdout)
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	r := runGuest(t, baseEnv(t.TempDir(), "", "CAPSEM_BENCH_SIZE_MB=lots"), "-test.bench=.")
	assert.Equal(t, 2, r.exit)
	assert.Empty(t, r.stdout)
	assert.Equal(t, "capsem-bench: CAPSEM_BENCH_SIZE_MB=\"lots\": want a whole number from 1 to 1048576\n", r.stderr)
}
