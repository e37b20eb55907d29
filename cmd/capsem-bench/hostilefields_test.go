package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/hostcheck"
	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostileTexts are what a guest may put into any field.
func hostileTexts() map[string]string {
	return map[string]string{
		"control": "a\x1b[31mb\x07\x00\x7f",
		"C1":      "a\u009b31mb\u0085",
		"bidi":    "a\u202eb\u2066c\u200f",
		"unseen":  "a\u200bb\ufeff\u00ad",
		"broken":  "a\xff\xfeb\xc3(",
		"markup":  "<img src=x onerror=alert(1)> [a](https://evil.example) ~~b~~ @octo | `c`",
		"formula": "=HYPERLINK(\"http://evil.example\")",
		"command": "::error file=x::owned",
		"group":   "##[error]owned",
		"lines":   "a\r\n::error::owned\r##[error]owned\n",
	}
}

// hostileBoots makes boots in which every field of the guest's is s.
func hostileBoots(s string) *boottest.Maker {
	m := boottest.New(1)
	m.Ops, m.Rounds = catalogue.Select(m.Ops, catalogue.Startup, catalogue.HTTP), 1
	m.Edit = func(b *boottest.Boot) {
		r := &b.Run
		fillTexts(r, s)
		r.Hostname, r.OS, r.Arch, r.Kernel, r.CPU, r.Virtualization = s, s, s, s, strings.NewReplacer("\n", " ", "\r", " ").Replace(s), s
		r.Sandbox, r.Accel, r.Image, r.Source = s, s, s, ""
		r.Filesystems, r.Labels = map[string]string{s: s}, map[string]string{"release": s, s: s}
		for i := range b.Categories {
			c := &b.Categories[i]
			fillTexts(c, s)
			c.Directory, c.ScanDirs, c.LargestFile, c.URL, c.Settings = s, []string{s}, s, s, map[string]string{s: s}
		}
		for i := range b.Ops {
			st := &b.Ops[i].Status
			fillTexts(st, s)
			st.Reason, st.Dropped, st.Host, st.Doubts, st.Command = s, s, s, []string{s}, []string{s}
		}
		b.Fail("startup/node", s)
		b.Skip("startup/python3", s)
		b.End.Reason = s
	}
	return m
}

// meant are the fields by which a line is read at all: with anything else in
// them it is no line, or one of another operation.
var meant = []string{"Type", "Schema", "Category", "Op", "Status", "Source", "Expected", "Histogram", "WarmHistogram"}

// fillTexts sets every text of a line that has none yet, also of fields that
// come with a later version.
func fillTexts(line any, s string) {
	v := reflect.ValueOf(line).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.IsZero() && !slices.Contains(meant, v.Type().Field(i).Name) {
			switch f.Interface().(type) {
			case string:
				f.SetString(s)
			case []string:
				f.Set(reflect.ValueOf([]string{s}))
			case map[string]string:
				f.Set(reflect.ValueOf(map[string]string{s: s}))
			case map[string]int64:
				f.Set(reflect.ValueOf(map[string]int64{s: 1}))
			case map[string]float64:
				f.Set(reflect.ValueOf(map[string]float64{s: 1}))
			}
		}
	}
}

// SECURITY.md's list of what can come out of a guest has every text that a line
// can have.
func TestSecurityListsEveryText(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "SECURITY.md"))
	require.NoError(t, err)
	rows := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if where, fields, found := strings.Cut(strings.TrimPrefix(line, "| "), " | "); found {
			rows[where] = strings.ReplaceAll(fields, "_", " ")
		}
	}
	for where, line := range map[string]any{
		"run line": record.Run{}, "category line": record.Category{}, "start, samples lines": record.Samples{},
		"status line": record.Status{}, "end line": record.End{}, "shard that another machine measured": ab.ShardReport{},
	} {
		require.Contains(t, rows, where)
		for _, f := range reflect.VisibleFields(reflect.TypeOf(line)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			kind := f.Type.Kind()
			if kind == reflect.Slice {
				kind = f.Type.Elem().Kind()
			}
			ours := name == "type" || strings.HasSuffix(name, "_sha256") || name == "schema" && where != "run line"
			if !ours && (kind == reflect.String || kind == reflect.Map) {
				assert.Contains(t, rows[where], strings.TrimSuffix(strings.ReplaceAll(name, "_", " "), " ns"), where)
			}
		}
	}
}

// hostileText is the text of such a boot, with lines in it that are none of a
// benchmark's.
func hostileText(t *testing.T, b *boottest.Boot, s string) []byte {
	t.Helper()
	text := b.Text()
	more, err := record.Append(nil, record.Samples{
		Type: record.TypeSamples, Op: "Startup/cli=node", Round: 1, ElapsedNS: 5, Count: 1, Failed: 1, File: s, Command: []string{s},
		Metrics: map[string]float64{s: 1}, Errors: map[string]int64{s: 1}, Answers: map[string]int64{s: 1},
	})
	require.NoError(t, err)
	more = fmt.Appendf(more, "Benchmark%s 1 5 ns/op\nBenchmarkX/%s 1 5 ns/op 3 %s\nBenchmarkOwn 1 5 ns/op 3 %s\n%s\n", s, s, s, s, s)
	more = fmt.Appendf(more, "key: %s\n%s: value\nBenchmarkOwn 1 5 ns/op\n", s, s)
	end := bytes.LastIndex(text, []byte("#capsem "))
	return slices.Insert(text, end, more...)
}

// hostileTrial writes base and cand into dir, three boots a side. The sides
// agree, so that they are compared.
func hostileTrial(t *testing.T, dir, s string) {
	t.Helper()
	base, cand := hostileBoots(s).Stages(3)
	for i, b := range slices.Concat(base, cand) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, b.Side), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, b.Side, record.BootFile(1+i)), hostileText(t, b, s), 0o644))
	}
}

// hostileSession writes a session with s in every field of a request, beside
// a boot of the trial.
func hostileSession(t *testing.T, dir, s string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	w, err := session.Create(filepath.Join(dir, "session.db"))
	require.NoError(t, err)
	now := time.Unix(1_800_000_000, 0)
	w.MCPCall(session.MCPCall{
		Time: now, Server: s, Method: s, Tool: s, RequestID: s, Request: s, Response: s, Decision: s, Error: s, Process: s, Duration: time.Millisecond,
	})
	w.NetEvent(session.NetEvent{
		Time: now, Domain: s, Port: 443, Decision: s, Process: s, Method: s, Path: s, Query: s, Status: 200, Duration: time.Millisecond, MatchedRule: s,
		RequestHeaders: s, ResponseHeaders: s, RequestPreview: s, ResponsePreview: s, ConnType: s,
	})
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, textName), []byte("BenchmarkOwn 1 5 ns/op\n"+s+"\n"), 0o644))
}

// hostileImport writes a document of Capsem with s in every text.
func hostileImport(t *testing.T, file, s string) {
	t.Helper()
	clean := strings.ToValidUTF8(s, "\uFFFD")
	text, err := json.Marshal(map[string]any{
		"version": "0.3.0", "hostname": clean, "timestamp": 1.8e9, clean: clean,
		"startup": map[string]any{"runs_per_command": 3, "commands": map[string]any{
			"python3": map[string]any{"timings_ms": []float64{1, 2, 3}, "min_ms": 1, "mean_ms": 2, "max_ms": 3, "command": []string{clean}, clean: clean},
			"node":    map[string]any{"command": []string{clean}, "error": clean},
		}},
		"http": map[string]any{"error": clean}, "throughput": map[string]any{"skipped": true, "reason": clean},
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o644))
}

// Every command that prints what a guest or a file said, in each of its
// formats, against every kind of hostile text: nothing reaches a terminal, a
// document, a spreadsheet or the log of a workflow as more than text.
func TestHostileFieldsOfCommands(t *testing.T) {
	t.Parallel()
	for kind, s := range hostileTexts() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			hostileTrial(t, dir, s)
			hostileSession(t, filepath.Join(dir, "session"), s)
			hostileImport(t, filepath.Join(dir, "capsem.json"), s)
			base, cand, at := filepath.Join(dir, "base"), filepath.Join(dir, "cand"), filepath.Join(dir, "session")
			store, page := filepath.Join(dir, "history.db"), filepath.Join(dir, "page.html")
			cases := []struct{ format, args string }{
				{"text", "history --store " + store + " add " + base + " " + cand},
				{"JSON", "convert " + base},
				{"CSV", "convert --format csv " + base},
				{"Markdown", "convert --format markdown " + base},
				{"JSON", "convert --format json-flat " + base},
				{"benchmark text", "import -q " + filepath.Join(dir, "capsem.json")},
				{"text", "history --store " + store + " list"},
				{"JSON", "history --store " + store + " list --json"},
				{"CSV", "history --store " + store + " export --format csv"},
				{"JSON lines", "history --store " + store + " export --format jsonl"},
				{"text", "trend --store " + store},
				{"JSON", "trend --store " + store + " --format json"},
				{"Markdown", "trend --store " + store + " --format markdown"},
				{"CSV", "trend --store " + store + " --format csv"},
				{"text", "report --store " + store + " --out " + page},
				{"text", "session inspect " + at},
				{"JSON", "session inspect --json " + at},
				{"text", "session query SELECT_*_FROM_mcp_calls " + at},
				{"JSON", "session query --json SELECT_*_FROM_mcp_calls " + at},
				{"text", "session query SELECT_*_FROM_net_events " + at},
				{"JSON", "session query --json SELECT_*_FROM_net_events " + at},
				{"text", "session query SELECT_path_FROM_net_events " + at},
				{"text", "session list " + dir},
				{"JSON", "session list --json " + dir},
				{"text", "doctor"},
				{"JSON", "doctor --json"},
				{"text", "gate promote " + filepath.Join(dir, "baseline") + " " + base},
				{"text", "history --store " + store + " label 1 release=1"},
				{"text", "history --store " + store + " remove 1"},
				{"HTML", "report --base " + base + " --cand " + cand},
				{"HTML", "report " + filepath.Join(base, "boot-001.txt")},
			}
			for _, c := range []string{"compare --all --force", "gate"} {
				for flag, format := range map[string]string{"text": "text", "markdown": "Markdown", "json": "JSON", "csv": "CSV"} {
					cases = append(cases, struct{ format, args string }{format, c + " --format " + flag + " " + base + " " + cand})
				}
			}
			for _, c := range cases {
				words := strings.Fields(c.args)
				for i := range words {
					if strings.HasPrefix(words[i], "SELECT_") {
						words[i] = strings.ReplaceAll(words[i], "_", " ")
						words[i] = strings.NewReplacer("mcp calls", "mcp_calls", "net events", "net_events").Replace(words[i])
					}
				}
				name := strings.ReplaceAll(c.args, dir+"/", "")
				var out, complaints bytes.Buffer
				a := newApp(strings.NewReader(""), &out, &complaints)
				a.examine = func(context.Context, hostcheck.Options) *hostcheck.Report { return hostileMachine(s) }
				status := a.run(t.Context(), words)
				if words[0] != "doctor" {
					require.NotEqual(t, exitUsage, status, "%s: %s", name, complaints.String())
				}
				if !strings.Contains(name, " label ") && !strings.Contains(name, " remove ") { // which say nothing
					require.NotEmpty(t, out.String()+complaints.String(), name)
				}
				if c.format == "HTML" {
					assert.NotContains(t, out.String(), "<img src=x", name)
				}
				checkFieldShown(t, name+" (standard error)", "text", complaints.String())
				checkFieldShown(t, name, c.format, out.String())
			}
			html, err := os.ReadFile(page)
			require.NoError(t, err)
			assert.NotContains(t, string(html), "<img src=x")
		})
	}
}

// hostileMachine is a report in which files of the machine said s.
func hostileMachine(s string) *hostcheck.Report {
	return &hostcheck.Report{
		Checks:  []hostcheck.Check{{Name: "load", State: hostcheck.Doubt, Value: s, Advice: s}},
		Machine: record.Machine{Type: record.TypeMachine, Unfit: []string{s}, Doubts: []string{s}},
	}
}

// checkFieldShown holds an output to what its format may have.
func checkFieldShown(t *testing.T, name, format, text string) {
	t.Helper()
	tables := format == "Markdown" || format == "text"
	for i, r := range text {
		tab := r == '\t' && strings.HasPrefix(name, "import")
		ours := r == '\u200b' && tables && i > 0 && strings.ContainsAny(text[i-1:i], ":#@") // it breaks mentions and commands
		if r != '\n' && !tab && !ours && !termtext.Visible(r) {
			assert.Fail(t, "not escaped", "%s: %q in %q", name, r, text[max(0, i-60):min(len(text), i+40)])
			break
		}
	}
	document := tables || format == "JSON" // what people read in a log
	for line := range strings.Lines(text) {
		body := strings.TrimLeft(line, " \t")
		if strings.HasPrefix(body, "::") || strings.HasPrefix(body, "##[") || document && strings.Contains(body, "##[") {
			assert.Fail(t, "a command of a workflow", "%s: %q", name, line)
		}
	}
	switch format {
	case "JSON":
		assert.True(t, json.Valid([]byte(text)), "%s: %s", name, text)
	case "JSON lines":
		for line := range strings.Lines(text) {
			assert.True(t, json.Valid([]byte(line)), "%s: %s", name, line)
		}
	case "CSV":
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		assert.NoError(t, err, name)
		for _, row := range rows {
			for _, cell := range row {
				// A signed number is no formula.
				formula := cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r|:") && !json.Valid([]byte(strings.TrimPrefix(cell, "+")))
				if formula {
					assert.Fail(t, "a formula", "%s: %q", name, cell)
				}
			}
		}
	case "Markdown":
		for _, markup := range []string{"~~b", "https://evil", "<img", "@octo"} {
			assert.NotContains(t, text, markup, name)
		}
		assert.NotRegexp(t, `[^\\]\]\(http`, text, name+": a link")
	}
}
