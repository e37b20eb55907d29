package convert

import (
	"bytes"
	"math"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
)

// figure invents a plausible value for a unit of an operation.
func figure(op catalogue.Op, unit string, r *rand.Rand) float64 {
	mean := map[catalogue.Category]float64{
		catalogue.Disk: 47e3, catalogue.Rootfs: 61e3, catalogue.Startup: 31e6 * float64(1+len(op.Name)%7),
		catalogue.HTTP: 81e6, catalogue.Throughput: 3.1e9, catalogue.Snapshot: 340e6,
	}[op.Category]
	if op.Count == 1 && op.Category == catalogue.Disk || op.ID == "rootfs/seq_read" {
		mean = 190e6
	}
	rate := 1e9 / mean
	base := map[string]float64{
		"ns/op": mean, "B/s": rate * max(float64(op.Bytes), 140e6) / float64(op.Count), "iops": rate, "req/s": rate * 5,
		"p50-ns": mean * 0.9, "p95-ns": mean * 1.8, "p99-ns": mean * 2.7, "min-ns": mean * 0.7, "max-ns": mean * 4,
		"user-ns": mean * 0.5, "sys-ns": mean * 0.2, "maxrss-B": 48 << 20,
	}[unit]
	return base * (0.97 + 0.06*r.Float64())
}

// sampleReport is a report of a whole run in which all went well.
func sampleReport(rounds int) *Report {
	r := rand.New(rand.NewPCG(1, uint64(rounds)))
	rep := &Report{
		Name: "run.txt",
		Run: &record.Run{
			Hostname: "bench-01", OS: "linux", Arch: "aarch64", CPUs: 4, Virtualization: "kvm", Sandbox: "qemu", Accel: "kvm", Rounds: rounds,
		},
		End: &record.End{Status: "ok"},
		Categories: map[catalogue.Category]*record.Category{
			catalogue.Disk: {Directory: "/root/.capsem-bench-x1", SizeMB: 256},
			catalogue.Rootfs: {
				FilesFound: 5548, LargestFileSize: 285929520,
				LargestFile: "/opt/ai-clis/lib/node_modules/@vendor/cli/node_modules/@vendor/cli-linux-arm64/vendor/aarch64-unknown-linux-musl/bin/cli",
			},
			catalogue.HTTP:       {URL: catalogue.DefaultHTTPURL, Requests: 50, Concurrency: 5},
			catalogue.Throughput: {URL: catalogue.DefaultThroughputURL},
		},
	}
	for _, op := range catalogue.Ops(catalogue.Settings{}) {
		res := &Result{Op: op, Known: true, Status: record.OK, Rounds: rounds, Units: op.Units, Values: make(map[string]*Series)}
		if op.Cold {
			res.Note = record.Status{Cache: record.CacheCold, Dropped: "drop_caches"}
		}
		for _, unit := range op.Units {
			var values []float64
			for range rounds {
				values = append(values, figure(op, unit, r))
			}
			res.Values[unit] = NewSeries(values...)
		}
		for i := range rounds {
			ns := res.Values["ns/op"].Values()[i] * float64(op.Count)
			bytes := op.Bytes
			if op.Category == catalogue.Throughput {
				bytes = catalogue.ThroughputBytes
			}
			if op.Category == catalogue.HTTP {
				ns /= catalogue.DefaultConcurrency
			}
			res.Samples = append(res.Samples, record.Samples{Round: i + 1, ElapsedNS: int64(ns), Count: int64(op.Count), Bytes: bytes})
		}
		rep.Ops = append(rep.Ops, res)
	}
	return rep
}

// doubtfulReport is a run in which everything that can be said beside a
// figure is to be said.
func doubtfulReport() *Report {
	rep := sampleReport(1)
	rep.Run.Sandbox, rep.Run.Virtualization, rep.Run.Accel = "local", "none", "tcg"
	rep.End = &record.End{Status: "interrupted", Reason: "SIGINT"}
	note := func(id string, st record.Status) { rep.Find(id).Note = st }
	fail := func(id string, st record.State, reason string) {
		res := rep.Find(id)
		res.Status, res.Reason, res.Values = st, reason, nil
	}
	note("disk/seq_read", record.Status{Cache: record.CacheWarm, Resident: 16384, Pages: 65536, Dropped: "fadvise"})
	note("disk/rand_read_4k", record.Status{Cache: record.CacheCold, Dropped: "fadvise", Doubts: []string{"the file is smaller than the host's cache, so the host may have answered from memory"}})
	note("rootfs/seq_read", record.Status{Cache: record.CacheUnverified, Dropped: "fadvise"})
	fail("disk/rand_write_4k", record.Failed, "writing block 312 of 10000: no space left on device")
	fail("rootfs/rand_read_4k", record.Invalid, "the files changed while they were read")
	fail("startup/claude", record.Skipped, "claude is not in PATH")
	fail("startup/gemini", record.Skipped, "gemini is not in PATH")
	fail("startup/codex", record.Failed, "exit status 3\x1b[31m: \u202ebad")
	fail("http/get", record.Failed, "3 of 50 requests failed")
	rep.Find("http/get").Samples = []record.Samples{{Count: 47, Failed: 3, Errors: map[string]int64{"status 500": 2, "timeout": 1}}}
	fail("throughput/get", record.Missing, "")
	for _, op := range catalogue.SnapshotOps() {
		fail("snapshot/500/"+op, record.Missing, "")
	}
	fail("snapshot/100/revert", record.Failed, "the file has not its old content")
	note("snapshot/10/list", record.Status{Doubts: []string{"answered from an earlier call"}})
	note("snapshot/100/list", record.Status{Doubts: []string{"answered from an earlier call"}})
	rep.Ops = append(rep.Ops, &Result{
		Op: catalogue.Op{Category: catalogue.HTTP, Name: "HTTP/n=50000/c=64/scenario=model_json"}, Status: record.OK, Rounds: 1,
		Values: map[string]*Series{"req/s": NewSeries(2400), "p50-ns": NewSeries(25e6)},
	})
	rep.Warnings = []Warning{{File: "run.txt", Line: 12, Msg: "line torn"}}
	return rep
}

func TestWriteTablesGolden(t *testing.T) {
	for _, tt := range []struct {
		name string
		rep  *Report
		opt  TableOptions
	}{
		{"full-80", sampleReport(1), TableOptions{}},
		{"full-120", sampleReport(1), TableOptions{Width: 120}},
		{"rounds-80", sampleReport(6), TableOptions{}},
		{"rounds-120", sampleReport(6), TableOptions{Width: 120}},
		{"doubts-80", doubtfulReport(), TableOptions{}},
		{"doubts-120", doubtfulReport(), TableOptions{Width: 120}},
		{"doubts-40", doubtfulReport(), TableOptions{Width: 1}},
		{"doubts-colour", doubtfulReport(), TableOptions{Color: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			require.NoError(t, WriteTables(&out, tt.rep, tt.opt))
			golden(t, filepath.Join("testdata", "tables", tt.name+".txt"), out.Bytes())
			checkWidth(t, out.String(), tt.opt.Width)
		})
	}
}

// checkWidth holds the text to its width.
func checkWidth(t *testing.T, out string, w int) {
	t.Helper()
	if w == 0 {
		w = defaultWidth
	}
	for line := range strings.Lines(out) {
		assert.LessOrEqual(t, layout.Width(strings.TrimSuffix(line, "\n")), max(w, minWidth), "%q", line)
	}
}

func TestLabel(t *testing.T) {
	known, ok := catalogue.Lookup("Disk/op=seq_read/size=64MiB")
	require.True(t, ok)
	assert.Equal(t, "seq read", label(known))
	for name, want := range map[string]string{
		"HTTP/n=50/c=5/scenario=x":                        "x n=50 c=5",
		"Rootfs/op=a_b/file=codex/cache=cold":             "a b codex cold",
		"Throughput":                                      "Throughput",
		"Throughput/url=local.tiny/size=1B":               "local.tiny size=1B",
		"Rootfs/op=large_binary_seq_read/cache=c/count=2": "large binary seq read c count=2",
		"Other/":      "Other/",
		"Other/plain": "plain",
		"Other/op=":   "Other/op=",
		"Other/n=1":   "n=1",
	} {
		assert.Equal(t, want, label(catalogue.Op{Name: name}), name)
	}
}

// Half a figure reads as another figure: what is too wide goes as a whole.
func TestNarrowTablesDropWholeColumns(t *testing.T) {
	rep := sampleReport(6)
	var wide bytes.Buffer
	require.NoError(t, WriteTables(&wide, rep, TableOptions{Width: 200}))
	for w := minWidth; w < 100; w++ {
		var out bytes.Buffer
		require.NoError(t, WriteTables(&out, rep, TableOptions{Width: w}))
		checkWidth(t, out.String(), w)
		assert.NotContains(t, out.String(), "\u2248")
		for _, figure := range regexp.MustCompile(`[0-9.,]+ (ms|MiB/s|µs)`).FindAllString(out.String(), -1) {
			assert.Contains(t, wide.String(), " "+figure, "at width %d", w)
		}
	}
}

func TestWriteTablesColour(t *testing.T) {
	var plain, coloured bytes.Buffer
	require.NoError(t, WriteTables(&plain, doubtfulReport(), TableOptions{}))
	require.NoError(t, WriteTables(&coloured, doubtfulReport(), TableOptions{Color: true}))
	assert.NotContains(t, plain.String(), "\x1b")
	assert.Equal(t, plain.String(), regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(coloured.String(), ""))
}

// fuzzReport makes a report of anything that a text might hold.
func fuzzReport(r *rand.Rand, text string, value float64) *Report {
	pick := func() string {
		a := r.IntN(len(text) + 1)
		return text[a : a+r.IntN(len(text)-a+1)]
	}
	rep := doubtfulReport()
	rep.Run.Hostname, rep.Run.CPU = pick(), pick()
	for _, cat := range rep.Categories {
		cat.Directory, cat.LargestFile, cat.URL = pick(), pick(), pick()
		cat.Requests = r.IntN(1 << 30)
	}
	states := []record.State{record.OK, record.OK, record.Failed, record.Skipped, record.Invalid, record.Missing, ""}
	for range r.IntN(12) {
		cats := append(catalogue.Categories(), "", catalogue.Category(pick()))
		name := pick() + "/op=" + pick() + "/files=" + pick()
		rep.Ops = append(rep.Ops, &Result{Op: catalogue.Op{Category: cats[r.IntN(len(cats))], Name: name}})
	}
	for _, res := range rep.Ops {
		res.Status, res.Reason, res.Rounds = states[r.IntN(len(states))], pick(), r.IntN(4)
		res.Note.Doubts = []string{pick(), pick()}
		res.Values = make(map[string]*Series)
		for _, u := range catalogue.Units() {
			if r.IntN(3) > 0 {
				res.Values[u.Name] = NewSeries(value*r.Float64(), value*float64(r.IntN(1000)))
			}
		}
		res.Samples = []record.Samples{{ElapsedNS: r.Int64(), Count: r.Int64(), Failed: r.Int64N(3), Bytes: r.Int64(), Errors: map[string]int64{pick(): 2}}}
	}
	return rep
}

func FuzzWriteTables(f *testing.F) {
	f.Add(uint64(1), 80, 1e6, "plain text and /a/long/path/with/many/parts/in/it")
	f.Add(uint64(2), 40, 1e300, "\x1b[2J\u202e\xff\x00 \u00e9\u0301 \u65e5\u672c\u8a9e \U0001f600\t\r\n")
	f.Add(uint64(3), 61, -1.0, strings.Repeat("\u6f22", 300))
	f.Add(uint64(4), 300, 0.0, "")
	f.Fuzz(func(t *testing.T, seed uint64, w int, value float64, text string) {
		w = min(max(w, minWidth), 1000)
		rep := fuzzReport(rand.New(rand.NewPCG(seed, 0)), text, value)
		var out bytes.Buffer
		require.NoError(t, WriteTables(&out, rep, TableOptions{Width: w}))
		checkWidth(t, out.String(), w)
		for _, r := range out.String() {
			require.True(t, r == '\n' || unicode.IsPrint(r), "%U in the output", r)
		}
	})
}

// Figures have no thousands separators, however large.
func TestNumber(t *testing.T) {
	for _, tt := range []struct {
		value    float64
		decimals int
		want     string
	}{
		{0, 0, "0"},
		{999.94, 1, "999.9"},
		{1380.46, 1, "1380.5"},
		{9999.6, 0, "10000"},
		{20688, 0, "20688"},
		{1234567.8, 1, "1234567.8"},
		{-20688, 0, "-20688"},
		{1e12, 0, "1e+12"},
		{math.NaN(), 0, none},
		{math.Inf(1), 1, none},
	} {
		assert.Equal(t, tt.want, number(tt.value, tt.decimals))
	}
	assert.Equal(t, "12345 files", termtext.Plural(12345, "file"))
}
