package convert

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostile is what a guest may put into any text: control and C1 characters,
// those that turn the writing direction or are not seen, broken UTF-8, markup,
// formulas, and commands of a workflow.
func hostile() map[string]string {
	return map[string]string{
		"control": "a\x1b[31mb\x07\x00\x7f", "C1": "a\u009b31mb\u0085", "bidi": "a\u202eb\u2066c\u200f", "unseen": "a\u200bb\ufeff\u00ad", "broken": "a\xff\xfeb\xc3(",
		"lines": "a\r\nBenchmarkForged 1 1 ns/op\n#capsem {\"type\":\"end\"}\n", "markdown": "~~a~~ $x$ https://evil.example @octo <img src=x> [a](b) | `c`",
		"formula": "=HYPERLINK(\"http://evil.example\")", "plus": "+1", "command": "::error file=x::owned", "vso": "##[error]owned", "far": strings.Repeat("e\u0301", 50) + strings.Repeat("\u0301", 80),
	}
}

// hostileText is a text in which every field that a guest may fill has it.
func hostileText(t *testing.T, s string) []byte {
	t.Helper()
	var out []byte
	add := func(v any) {
		line, err := record.Append(out, v)
		require.NoError(t, err)
		out = line
	}
	add(record.Run{
		Type: record.TypeRun, Schema: s, Version: s, Time: 1, Hostname: s, OS: s, Arch: s, Kernel: s, CPU: s, Virtualization: s, Filesystems: map[string]string{s: s},
		Sandbox: s, Accel: s, Image: s, Source: s, Rounds: 1, Expected: []string{"Throughput", "Startup/cli=node", s},
	})
	for _, c := range []string{"disk", "rootfs", "http", "throughput", s} {
		add(record.Category{Type: record.TypeCategory, Category: c, Directory: s, ScanDirs: []string{s}, LargestFile: s, URL: s, Settings: map[string]string{s: s}})
	}
	out = append(out, "goos: "+s+"\npkg: "+s+"\ncpu: "+s+"\nUnit "+s+" better="+s+"\n"...)
	out = append(out, "BenchmarkThroughput 1 5 ns/op 7 B/s 3 "+s+"\nBenchmark"+s+" 1 5 ns/op\nBenchmarkX/"+s+" 1 5 ns/op\n"...)
	out = append(out, "panic: "+s+"\n--- FAIL: Test"+s+"\nFAIL\t"+s+"\n"...)
	for _, op := range []string{"Throughput", "Startup/cli=node", "Disk/op=seq_read/size=256MiB", s} {
		add(record.Samples{Type: record.TypeSamples, Op: op, Round: 1, ElapsedNS: 5, Count: 1, Failed: 1, File: s, Command: []string{s}, Metrics: map[string]float64{s: 1}, Errors: map[string]int64{s: 1}})
		add(record.Status{Type: record.TypeStatus, Op: op, Status: record.Failed, Reason: s, Cache: s, Dropped: s, Host: s, Doubts: []string{s}, Command: []string{s}})
	}
	add(record.Status{Type: record.TypeStatus, Op: "Throughput", Status: record.State(s), Reason: s})
	add(record.End{Type: record.TypeEnd, Status: s, Reason: s})
	return out
}

// Every field that can come out of a guest against every format that convert
// writes.
func TestHostileFields(t *testing.T) {
	formats := map[string]func(*bytes.Buffer, *Report) error{
		"tables":    func(b *bytes.Buffer, r *Report) error { return WriteTables(b, r, TableOptions{Width: 80}) },
		"JSON":      func(b *bytes.Buffer, r *Report) error { return r.WriteJSON(b) },
		"CSV":       func(b *bytes.Buffer, r *Report) error { return WriteCSV(b, Rows(r)) },
		"Markdown":  func(b *bytes.Buffer, r *Report) error { return WriteMarkdown(b, Rows(r)) },
		"flat JSON": func(b *bytes.Buffer, r *Report) error { return WriteFlatJSON(b, Rows(r)) },
	}
	for kind, s := range hostile() {
		rep, err := Read(bytes.NewReader(hostileText(t, s)), "f")
		require.NoError(t, err)
		for format, write := range formats {
			t.Run(kind+"/"+format, func(t *testing.T) {
				var out bytes.Buffer
				require.NoError(t, write(&out, rep))
				for i, r := range out.String() {
					if r != '\n' && r != '\u200b' && !termtext.Visible(r) { // U+200B is ours: it breaks commands and mentions
						require.Fail(t, "not escaped", "%q in %q", r, around(out.String(), i))
					}
				}
				for line := range strings.Lines(out.String()) {
					body := strings.TrimLeft(line, " \t")
					assert.False(t, strings.HasPrefix(body, "::") || strings.HasPrefix(body, "##["), "a command of a workflow: %q", line)
				}
				checkFormat(t, format, out.Bytes())
			})
		}
	}
}

func around(s string, i int) string { return s[max(0, i-40):min(len(s), i+40)] }

// checkFormat holds an output to the grammar of its format.
func checkFormat(t *testing.T, format string, out []byte) {
	t.Helper()
	switch format {
	case "JSON", "flat JSON":
		require.True(t, json.Valid(out), string(out))
	case "CSV":
		rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
		require.NoError(t, err)
		for _, row := range rows {
			for _, cell := range row {
				require.False(t, cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r|:"), "a formula: %q", cell)
			}
		}
	case "Markdown":
		for _, markup := range []string{"~~", "$", "://", "<", "@octo"} {
			assert.NotContains(t, string(out), markup)
		}
		assert.NotRegexp(t, `[^\\]\]\(`, string(out), "a link")
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		bars := func(s string) int { return strings.Count(s, "|") - strings.Count(s, `\|`) }
		for _, line := range lines {
			assert.Equal(t, bars(lines[0]), bars(line), fmt.Sprintf("columns of %q", line))
		}
	}
}

// Rows have one value each, with its boot, round and whether it is exact.
func TestRows(t *testing.T) {
	one := readText(t, "pkg: example.org/q\nBenchmarkA-2 10 5 ns/op 3 hits/op\nBenchmarkA-2 10 6 ns/op 4 hits/op\n--- SKIP: BenchmarkB-2\n")
	two := readText(t, `#capsem {"type":"run","schema":"capsem-bench.text/1","expected":["Throughput"]}
BenchmarkThroughput 1 5000 ns/op
#capsem {"type":"samples","op":"Throughput","round":1,"elapsed_ns":5000,"count":1,"metrics":{"ns/op":5000.25}}
#capsem {"type":"status","op":"Throughput","status":"ok"}
#capsem {"type":"end","status":"ok"}
`)
	var out bytes.Buffer
	require.NoError(t, WriteCSV(&out, Rows(one, two)))
	assert.Equal(t, `file,boot,side,category,op,name,pkg,unit,better,round,value,exact,status,reason
f,1,,,A-2,A-2,example.org/q,ns/op,lower,1,5,false,ok,
f,1,,,A-2,A-2,example.org/q,ns/op,lower,2,6,false,ok,
f,1,,,A-2,A-2,example.org/q,hits/op,lower,1,3,false,ok,
f,1,,,A-2,A-2,example.org/q,hits/op,lower,2,4,false,ok,
f,1,,,B-2,B-2,example.org/q,,,,,false,skipped,skipped without a reason
f,2,,throughput,throughput/get,Throughput,,ns/op,lower,1,5000.25,true,ok,
`, out.String())
}
