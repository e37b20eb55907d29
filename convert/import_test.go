package convert

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchproc"

	"github.com/capsem/capsem-bench/internal/record"
)

func importFile(t *testing.T, name string) (text []byte, notes []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "capsem", name+".json"))
	require.NoError(t, err)
	var out bytes.Buffer
	notes, err = Import(&out, bytes.NewReader(data), name+".json")
	require.NoError(t, err)
	return out.Bytes(), notes
}

func TestImportGolden(t *testing.T) {
	for _, name := range []string{"seed", "stamped", "skipped", "lab", "wrapper", "failed", "own"} {
		t.Run(name, func(t *testing.T) {
			text, notes := importFile(t, name)
			golden(t, filepath.Join("testdata", "capsem", name+".txt"), text)
			golden(t, filepath.Join("testdata", "capsem", name+".notes"), []byte(strings.Join(notes, "\n")+"\n"))
		})
	}
}

// statuses returns the status lines of a text by operation, and fails on a
// line that record does not understand.
func statuses(t *testing.T, text []byte) map[string]*record.Status {
	t.Helper()
	out := make(map[string]*record.Status)
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte(record.Prefix)) {
			continue
		}
		require.LessOrEqual(t, len(line), record.MaxLine)
		v, err := record.Parse(line)
		require.NoError(t, err)
		if st, ok := v.(*record.Status); ok {
			out[st.Op] = st
		}
	}
	return out
}

func TestImportKeepsFailuresVisible(t *testing.T) {
	text, _ := importFile(t, "failed")
	st := statuses(t, text)
	for op, want := range map[string]struct {
		state  record.State
		reason string
	}{
		"HTTP/n=50/c=5":                     {record.Failed, "45 of 50 requests failed"},
		"Throughput":                        {record.Failed, "HTTP 403 (domain may not be in allow list)"},
		"Rootfs/op=seq_read":                {record.Failed, "no files found in scan dirs"},
		"Rootfs/op=rand_read_4k/count=5000": {record.Failed, "no files found"},
		"Snapshot/files=100/op=create":      {record.Failed, "the call failed or timed out"},
		"Startup/cli=gemini":                {record.Failed, "not found or timed out"},
	} {
		require.Contains(t, st, op)
		assert.Equal(t, want.state, st[op].Status, op)
		assert.Equal(t, want.reason, st[op].Reason, op)
		assert.NotContains(t, string(text), "Benchmark"+op+"\t", "a result line of a failed operation")
	}
	assert.Contains(t, st["Startup/cli=codex"].Doubts, "only 1 of 3 starts were timed")

	skipped, _ := importFile(t, "skipped")
	for _, op := range []string{"HTTP/n=50/c=5", "Throughput"} {
		assert.Equal(t, record.Skipped, statuses(t, skipped)[op].Status, op)
		assert.NotContains(t, string(skipped), "Benchmark"+op+"\t")
	}
}

// The reader sees every operation as the document has it.
func TestImportReads(t *testing.T) {
	for _, name := range []string{"seed", "stamped", "skipped", "lab", "wrapper", "failed", "own"} {
		text, _ := importFile(t, name)
		want := statuses(t, text)
		rep, err := Read(bytes.NewReader(text), name)
		require.NoError(t, err)
		assert.Empty(t, rep.Warnings)
		require.Len(t, rep.Ops, len(rep.Run.Expected))
		for _, res := range rep.Ops {
			st := want[res.Op.Name]
			if st == nil {
				assert.Equal(t, record.Missing, res.Status, res.Op.Name)
				continue
			}
			assert.Equal(t, st.Status, res.Status, res.Op.Name)
			assert.Equal(t, st.Reason, res.Reason, res.Op.Name)
		}
	}
}

// A figure keeps the catalogue's name only when it measured the same work.
func TestImportNames(t *testing.T) {
	names := func(file string) []string {
		text, _ := importFile(t, file)
		var out []string
		for name := range statuses(t, text) {
			if strings.HasPrefix(name, "HTTP") || strings.HasPrefix(name, "Throughput") {
				out = append(out, name)
			}
		}
		return out
	}
	assert.ElementsMatch(t, []string{"HTTP/n=50/c=5", "Throughput"}, names("seed"))
	assert.ElementsMatch(t, []string{
		"HTTP/n=50000/c=unknown/url=local.tiny", "HTTP/n=50000/c=64/scenario=model_json_response",
		"HTTP/n=50000/c=64/scenario=credential", "Throughput/url=local.bytes.10mb/size=10485760B",
	}, names("lab"))

	for _, tt := range []struct{ url, want string }{
		{"https://www.google.com/", ""},
		{"http://localhost:9/a/b", "/url=local.a.b"},
		{"http://[::1]:9/a/b", "/url=local.a.b"},
		{"https://cdn.example.org/a-b/c.pdf", "/url=cdn.example.org.a_b.c.pdf"},
		{"https://www.google.com", "/url=www.google.com"},
	} {
		assert.Equal(t, tt.want, urlPart(tt.url, "https://www.google.com/"), tt.url)
	}
	// What would read the same has a digest of the whole.
	distinct := make(map[string]string)
	for _, u := range []string{
		"https://a.org/x", "http://a.org/x", "https://a.org:8443/x", "https://a.org/x?y", "https://a.org/x?z", "https://u@a.org/x",
		"https://a.org/x/y", "https://a.org/x%20y", "%", "", "https://a.org/" + strings.Repeat("x", 200), "https://a.org/" + strings.Repeat("x", 201),
	} {
		part := urlPart(u, "https://www.google.com/")
		assert.Empty(t, distinct[part], "%s and %s are both %s", u, distinct[part], part)
		distinct[part] = u
		assert.Regexp(t, `^/url=[A-Za-z0-9_.]+$`, part)
	}
}

// grouping is what benchstat makes of some files: its groups, and per file
// the figures, by full name and unit.
type grouping struct {
	groups  map[benchproc.Key]bool
	figures []map[string]bool
}

// group does what benchstat does with -ignore and no other flag: it makes
// tables by config lines and pairs by full name.
func group(t *testing.T, ignore string, texts ...[]byte) grouping {
	t.Helper()
	var parser benchproc.ProjectionParser
	for _, key := range strings.Split(ignore, ",") {
		if key != "" {
			_, err := parser.Parse(key, nil)
			require.NoError(t, err)
		}
	}
	config, err := parser.Parse(".config", nil)
	require.NoError(t, err)
	row, err := parser.Parse(".fullname", nil)
	require.NoError(t, err)
	g := grouping{groups: make(map[benchproc.Key]bool)}
	for _, text := range texts {
		figures := make(map[string]bool)
		r := benchfmt.NewReader(bytes.NewReader(text), "f")
		for r.Scan() {
			switch rec := r.Result().(type) {
			case *benchfmt.Result:
				g.groups[config.Project(rec)] = true
				for _, v := range rec.Values {
					figures[row.Project(rec).String()+" "+v.Unit] = true
				}
			case *benchfmt.SyntaxError:
				t.Errorf("benchfmt: %v", rec)
			}
		}
		require.NoError(t, r.Err())
		g.figures = append(g.figures, figures)
	}
	return g
}

// Every figure of one import meets its counterpart of another, and nothing
// else.
func TestImportsPairInBenchstat(t *testing.T) {
	stamped, _ := importFile(t, "stamped")
	lab, _ := importFile(t, "lab")
	g := group(t, "", stamped, lab)
	assert.Len(t, g.groups, 1, "more than one group")
	assert.Greater(t, len(g.figures[0]), 50)
	for figure := range g.figures[0] {
		switch {
		case strings.Contains(figure, "HTTP/"), strings.Contains(figure, "Throughput"):
			assert.NotContains(t, g.figures[1], figure, "another workload under the same name")
		default:
			assert.Contains(t, g.figures[1], figure)
		}
	}
}

// A fresh run says which CPU and how many: with these ignored it pairs.
func TestImportPairsWithFreshRun(t *testing.T) {
	old, _ := importFile(t, "stamped")
	fresh := regexp.MustCompile(`(?m)^(Benchmark[^\t]+)`).ReplaceAll(old, []byte("$1-4"))
	fresh = bytes.Replace(fresh, []byte("pkg: "), []byte("cpu: Some CPU\npkg: "), 1)
	g := group(t, "cpu,/gomaxprocs", old, fresh)
	assert.Len(t, g.groups, 1)
	assert.Equal(t, g.figures[0], g.figures[1])
}

func TestImportErrors(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "capsem", "seed.json"))
	require.NoError(t, err)
	seed := string(data)
	replace := func(old, new string) string {
		require.Contains(t, seed, old)
		return strings.Replace(seed, old, new, 1)
	}
	for _, tt := range []struct{ name, doc, want string }{
		{"missing key", replace(`"iops": 4509.1,`, ``), "f.json:20: disk.rand_write_4k.iops: missing key"},
		{"wrong type", replace(`311.4`, `"311.4"`), "f.json:11: disk.seq_write.duration_ms: want a number, have a string"},
		{"wrong type of a section", replace(`"snapshot": {`, `"snapshot": 1, "x": {`), "snapshot: want an object, have a number"},
		{"null", replace(`"hostname": "bench-0a1b2c3d"`, `"hostname": null`), "f.json:4: hostname: want a string, have null"},
		{"negative", replace(`311.4`, `-1`), "f.json:11: disk.seq_write.duration_ms: negative number"},
		{"huge", replace(`311.4`, `1e999999`), "f.json:11: disk.seq_write.duration_ms: number out of range"},
		{"long time", replace(`311.4`, `1e30`), "f.json:11: disk.seq_write.duration_ms: time out of range"},
		{"fraction of a count", replace(`"count": 10000`, `"count": 1.5`), "disk.rand_write_4k.count: want a whole number"},
		{"duplicate key", replace(`"size_mb": 256`, `"size_mb": 256, "size_mb": 256`), "f.json:7: disk.size_mb: duplicate key"},
		{"NaN", replace(`311.4`, `NaN`), "f.json:11: NaN is not a number"},
		{"minus Infinity", replace(`311.4`, `-Infinity`), "f.json:11: -Infinity is not a number"},
		{"cut off", seed[:len(seed)/2], "the document is cut off"},
		{"two documents", seed + "{}", "not JSON"},
		{"array", "[]", "want a JSON object, have an array"},
		{"empty", " \n", "f.json: empty file"},
		{"text", "goos: linux\n", "f.json:1: not JSON: invalid character 'g' looking for beginning of value; it looks like benchmark text, which is what import writes and convert reads"},
		{"nothing to import", `{"version": "0.3.0", "timestamp": 1, "hostname": "x"}`, "none of the sections"},
		{"command of no words", replace(`"python3",
          "--version"`, `1`), "startup.commands.python3.command: want an array of short strings"},
		{"long string", replace(`bench-0a1b2c3d`, strings.Repeat("x", 5000)), "f.json:4: hostname: string of 5000 bytes"},
		{"nested", strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200), "nested deeper"},
		{"unknown status", replace(`"hostname"`, `"capsem_bench": {"tool_version": "1", "environment": {"root": true}, "ops": {"a": {"name": "Disk/op=x", "status": "fine"}}}, "hostname"`), `capsem_bench.ops.a.status: unknown status "fine"`},
		{"name of no benchmark", replace(`"hostname"`, `"capsem_bench": {"tool_version": "1", "environment": {"root": true}, "ops": {"a": {"name": "Disk/op=x y", "status": "ok"}}}, "hostname"`), `capsem_bench.ops.a.name: "Disk/op=x y" is not the name`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			_, err := Import(&out, strings.NewReader(tt.doc), "f.json")
			require.ErrorContains(t, err, tt.want)
			assert.Zero(t, out.Len(), "wrote before the whole document was checked")
		})
	}
}

// Kind: a parser of a closed world. What is not known is left out with a
// warning and its place; the rest of the document is read.
func TestUnknownKeysAreWarnings(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "capsem", "seed.json"))
	require.NoError(t, err)
	seed := string(data)
	replace := func(old, new string) string {
		require.Contains(t, seed, old)
		return strings.Replace(seed, old, new, 1)
	}
	for _, tt := range []struct{ name, doc, want string }{
		{"unknown key in an operation", replace(`"duration_ms": 311.4`, `"foo": 1, "duration_ms": 311.4`), "line 11: disk.seq_write.foo: unknown key, left out"},
		{"unknown top-level key", replace(`"hostname"`, `"gpu": {}, "hostname"`), "line 4: gpu: unknown key, left out"},
		{"documented shape that never was", replace(`"size_mb": 256`, `"size_mb": 256, "seq_write_mbps": 3`), "line 7: disk.seq_write_mbps: unknown key, left out"},
		{"unknown snapshot size", replace(`"10_files"`, `"ten_files"`), "snapshot.ten_files: unknown key, left out"},
		{"samples in a document that is not ours", replace(`"size_mb": 256,`, `"size_mb": 256, "samples": {},`), "disk.samples: unknown key, left out"},
		{"other version", replace(`"0.3.0"`, `"0.9.0"`), `version "0.9.0" is not known; read as 0.3.0`},
		{"artifact schema", replace(`"hostname"`, `"schema": "v9", "hostname"`), `artifact schema "v9" is not known`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			notes, err := Import(&out, strings.NewReader(tt.doc), "f.json")
			require.NoError(t, err)
			assert.Contains(t, strings.Join(notes, "\n"), tt.want)
			rep, err := Read(&out, "f")
			require.NoError(t, err)
			assert.NotNil(t, rep.Find("disk/seq_write"))
			assert.NotNil(t, rep.Find("throughput/get"))
		})
	}
	var keys strings.Builder
	for i := range 300 {
		fmt.Fprintf(&keys, `"k%d": 1, `, i)
	}
	notes, err := Import(new(bytes.Buffer), strings.NewReader(replace(`"hostname"`, keys.String()+`"hostname"`)), "f.json")
	require.NoError(t, err)
	assert.Contains(t, strings.Join(notes, "\n"), "200 more unknown keys")
	assert.LessOrEqual(t, len(notes), maxWarnings+3)
}

// Without an arch there is no goarch line, and the notes say what to do.
func TestImportWithoutArch(t *testing.T) {
	text, notes := importFile(t, "seed")
	assert.NotContains(t, string(text), "goarch:")
	assert.Contains(t, strings.Join(notes, "\n"), "-ignore goarch")
}
