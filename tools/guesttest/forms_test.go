package guesttest

import (
	"bytes"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/host/upstream"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// completeEnv is an environment in which every operation can be measured
// without leaving the machine, with little data.
func completeEnv(t *testing.T) []string {
	t.Helper()
	up, err := upstream.New(upstream.Config{})
	require.NoError(t, err)
	server := httptest.NewServer(up.Handler())
	t.Cleanup(server.Close)
	_, _, env := newStandIn(t, "")
	dir := t.TempDir()
	for _, cli := range catalogue.CLIs() {
		fakeCLI(t, dir, cli, "echo 1.0")
	}
	for i, v := range env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			env[i] = "PATH=" + dir + ":" + path
		}
	}
	return append(env, "CAPSEM_BENCH_DIR="+memoryDir(t), "CAPSEM_BENCH_SIZE_MB=1",
		"CAPSEM_BENCH_HTTP_URL="+server.URL+"/", "CAPSEM_BENCH_THROUGHPUT_URL="+server.URL+"/bytes/1048576")
}

// What a run printed is read the same in every form that testing has.
func TestEveryFormIsRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		json bool // go tool test2json makes events of it
	}{
		{"plain", nil, false},
		{"verbose", []string{"-test.v"}, false},
		{"framed", []string{"-test.v=test2json"}, false},
		{"events", []string{"-test.v=test2json"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := completeEnv(t) // slots of snapshots are a gateway's own
			pattern := "Disk/op=seq|Startup|HTTP|Throughput|Snapshot/files=10"
			r := runGuest(t, append(slices.Clone(env), "CAPSEM_BENCH_SEED=7"), append(tt.args, "-test.bench="+pattern, "-test.count=2")...)
			require.Equal(t, 0, r.exit, r.stdout+r.stderr)
			text := []byte(r.stdout)
			if tt.json {
				cmd := exec.Command("go", "tool", "test2json")
				cmd.Stdin = bytes.NewReader(text)
				var err error
				text, err = cmd.Output()
				require.NoError(t, err)
			}
			rep, err := convert.Read(bytes.NewReader(text), tt.name)
			require.NoError(t, err)
			assert.Empty(t, rep.Warnings)
			assert.True(t, rep.OK())
			assert.EqualValues(t, 7, rep.Run.Seed)
			assert.Len(t, rep.Ops, len(rep.Run.Expected))
			for _, res := range rep.Ops {
				assert.Equal(t, record.OK, res.Status, "%s: %s", res.Op.Name, res.Reason)
				assert.Equal(t, 2, res.Rounds, res.Op.Name)
				assert.ElementsMatch(t, res.Op.Units, withoutPhases(res), res.Op.Name)
				require.Len(t, res.Samples, 2, res.Op.Name)
				for _, unit := range res.Units {
					for i, v := range res.Values[unit].Values() {
						assert.Equal(t, res.Samples[i].Metrics[unit], v, "%s %s: the exact value", res.Op.Name, unit)
					}
				}
			}
		})
	}
}

// benchstat, without flags, has one group of tables, one table a unit, and in
// it every operation once with both sides.
func TestBenchstatPairsEverything(t *testing.T) {
	t.Parallel()
	env := completeEnv(t)
	dir := t.TempDir()
	for _, name := range []string{"old.txt", "new.txt"} {
		r := runGuest(t, env, "-test.bench=.", "-test.count=2")
		require.Equal(t, 0, r.exit, r.stdout+r.stderr)
		text := strings.Repeat(r.stdout, 3) // benchstat gives an interval from six values on
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	cmd := exec.Command("go", "tool", "benchstat", filepath.Join(dir, "old.txt"), filepath.Join(dir, "new.txt"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	assert.Empty(t, stderr.String())
	assert.Equal(t, 1, strings.Count(string(out), "goos: "), "more than one group\n%s", out)

	want, have := make(map[string]int), make(map[string]int)
	for _, op := range catalogue.Ops(catalogue.Settings{SizeMB: 1}) {
		for _, unit := range op.Units {
			want[op.Name+" "+tidied(unit)] = 1
		}
	}
	unit := ""
	heading := regexp.MustCompile(`^\s+│\s+(\S+)\s+│\s+(\S+)\s+vs base`)
	row := regexp.MustCompile(`^(\S+)-\d+\s.* ± .* ± .* n=6\)`)
	for line := range strings.Lines(string(out)) {
		if m := heading.FindStringSubmatch(line); m != nil {
			assert.Equal(t, m[1], m[2])
			unit = m[1]
		} else if m := row.FindStringSubmatch(line); m != nil {
			have[m[1]+" "+unit]++
		}
	}
	// Phases have figures where they occurred; those that do are paired too.
	for _, op := range catalogue.Ops(catalogue.Settings{SizeMB: 1}) {
		for _, unit := range webUnits(op) {
			if key := op.Name + " " + tidied(unit); have[key] > 0 {
				want[key] = 1
			}
		}
	}
	assert.Contains(t, want, "Throughput ttfb-sec")
	assert.Contains(t, want, "HTTP/n=50/c=5 ttfb-p95-sec")
	assert.Equal(t, want, have, string(out))
}

// tidied is a unit as benchstat shows it.
func tidied(unit string) string {
	if head, ok := strings.CutSuffix(unit, "-ns"); ok {
		return head + "-sec"
	}
	if unit == "ns/op" {
		return "sec/op"
	}
	return unit
}

// withoutPhases are the units of a result but those that http and throughput
// have where a phase occurred, and the memory of their client.
func withoutPhases(res *convert.Result) []string {
	web := webUnits(res.Op)
	return slices.DeleteFunc(slices.Clone(res.Units), func(unit string) bool { return slices.Contains(web, unit) })
}

// webUnits are the units that an operation of http or throughput may have.
func webUnits(op catalogue.Op) []string {
	if op.Category != catalogue.HTTP && op.Category != catalogue.Throughput {
		return nil
	}
	units := []string{"maxrss-B"}
	for _, u := range catalogue.WebUnits() {
		units = append(units, u.Name)
	}
	return units
}
