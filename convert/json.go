package convert

import (
	"io"
	"slices"
	"strconv"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// WriteJSON writes the report as one Capsem document of schema 0.3.0, with a
// final newline. Capsem's own keys come first, in the order, rounding and
// types of Capsem's tool; additions follow: "samples" beside an operation's
// keys, and "capsem_bench" at the end of the document.
//
// With several rounds every number is the median over the rounds, except that
// "failed" is the largest, so that no failure is hidden, and a command's
// timings are those of all rounds. An operation without a usable number is an
// object with "error" or with "skipped" and "reason".
func (r *Report) WriteJSON(w io.Writer) error {
	doc := fields{
		{"version", jsonSchema},
		{"timestamp", 0.0},
		{"hostname", "unknown"},
	}
	if r.Run != nil {
		doc[1].value = r.Run.Time
		if r.Run.Hostname != "" {
			doc[2].value = r.Run.Hostname
		}
	}
	for _, c := range catalogue.Categories() {
		if ops := r.known(c); len(ops) > 0 {
			doc = append(doc, member{string(c), r.section(c, ops)})
		}
	}
	doc = append(doc, r.loadSections()...)
	doc = append(doc, r.vmSections()...)
	doc = append(doc, member{"capsem_bench", r.additions()})
	_, err := w.Write(append(termtext.JSON(appendJSON(nil, doc, "")), '\n'))
	return err
}

// known returns the catalogue's operations of a category.
func (r *Report) known(c catalogue.Category) []*Result {
	return slices.DeleteFunc(r.Category(c), func(res *Result) bool { return !res.Known })
}

// section returns the object of one category.
func (r *Report) section(c catalogue.Category, ops []*Result) fields {
	cat := r.Categories[c]
	if cat == nil {
		cat = new(record.Category)
	}
	if f, ok := allOut(c, ops); ok {
		return f
	}
	switch c {
	case catalogue.Disk:
		return diskSection(cat, ops)
	case catalogue.Rootfs:
		return rootfsSection(cat, ops)
	case catalogue.Startup:
		return startupSection(ops)
	case catalogue.HTTP:
		return httpSection(cat, ops[0])
	case catalogue.Throughput:
		return throughputSection(cat, ops[0])
	case catalogue.Snapshot:
		return snapshotSection(ops)
	case catalogue.Fork:
		return append(r.genericSection(cat, ops), forkPhases(ops)...)
	default:
		return r.genericSection(cat, ops)
	}
}

// allOut returns the short form of a category in which no operation has a
// number for the same reason. Startup keeps its commands: that is its form.
func allOut(c catalogue.Category, ops []*Result) (fields, bool) {
	if c == catalogue.Startup {
		return nil, false
	}
	first := ops[0]
	for _, res := range ops {
		if usable(res) || res.Status != first.Status || res.Reason != first.Reason || len(res.Samples) > 0 {
			return nil, false
		}
	}
	return out(first), true
}

// usable reports whether the operation's headline numbers may be shown.
func usable(res *Result) bool { return res.Status == record.OK && res.Rounds > 0 }

// out is the object of an operation without numbers.
func out(res *Result) fields {
	switch res.Status {
	case record.Skipped:
		return fields{{"skipped", true}, {"reason", res.Reason}}
	case record.Failed:
		return fields{{"error", res.Reason}}
	default:
		return fields{{"error", string(res.Status) + ": " + res.Reason}}
	}
}

func diskSection(cat *record.Category, ops []*Result) fields {
	f := fields{{"directory", cat.Directory}, {"size_mb", cat.SizeMB}}
	for _, res := range ops {
		f = append(f, member{res.Op.Key("op"), access(res, nil)})
	}
	return f
}

func rootfsSection(cat *record.Category, ops []*Result) fields {
	dirs := array{}
	for _, d := range cat.ScanDirs {
		dirs = append(dirs, d)
	}
	f := fields{{"scan_dirs", dirs}}
	if cat.LargestFile != "" {
		f = append(f, member{"largest_file", cat.LargestFile}, member{"largest_file_size", cat.LargestFileSize})
	}
	for _, res := range ops {
		if res.Op.Key("op") == "seq_read" {
			f = append(f, member{"seq_read", access(res, fields{{"file", cat.LargestFile}})})
			f = append(f, member{"files_found", cat.FilesFound})
			continue
		}
		f = append(f, member{res.Op.Key("op"), access(res, nil)})
	}
	return f
}

// access is the object of a disk or rootfs operation.
func access(res *Result, head fields) fields {
	if !usable(res) {
		return out(res)
	}
	rs := roundsOf(res)
	bytes := rs.whole(func(r round) int64 { return r.bytes })
	duration := member{"duration_ms", rounded{rs.number(func(r round) float64 { return r.elapsed / 1e6 }), 1}}
	mbps := member{"throughput_mbps", rounded{rs.number(func(r round) float64 { return perSecond(float64(r.bytes)/(1<<20), r.elapsed) }), 1}}
	f := head
	if res.Op.Count == 1 {
		f = append(f, member{"size_bytes", bytes}, member{"block_size", catalogue.SeqBlock}, duration, mbps)
		return append(f, samples(res))
	}
	f = append(f, member{"count", rs.whole(func(r round) int64 { return r.count })})
	if files := rs.whole(func(r round) int64 { return r.files }); files > 0 {
		f = append(f, member{"files_sampled", files})
	}
	var iops any = rounded{rs.number(func(r round) float64 { return perSecond(float64(r.count), r.elapsed) }), 1}
	if rs.number(func(r round) float64 { return r.elapsed }) <= 0 {
		iops = 0
	}
	return append(f, member{"block_size", catalogue.RandBlock}, duration, member{"iops", iops}, mbps, samples(res))
}

func perSecond(n, ns float64) float64 {
	if ns <= 0 {
		return 0
	}
	return n / (ns / 1e9)
}

func startupSection(ops []*Result) fields {
	runs := 0
	commands := fields{}
	for _, res := range ops {
		f, n := command(res)
		runs = max(runs, n)
		commands = append(commands, member{res.Op.Key("cli"), f})
	}
	if runs == 0 {
		runs = catalogue.StartupRuns
	}
	return fields{{"runs_per_command", runs}, {"commands", commands}}
}

// command is the object of one CLI, and how many times it ran.
func command(res *Result) (fields, int) {
	argv := array{res.Op.Key("cli"), "--version"}
	if cmd := res.Note.Command; len(cmd) > 0 {
		argv = argv[:0]
		for _, a := range cmd {
			argv = append(argv, a)
		}
	}
	f := fields{{"command", argv}}
	if !usable(res) {
		return append(f, member{"error", out(res)[len(out(res))-1].value}), 0
	}
	var ms []float64
	for _, r := range roundsOf(res) {
		for _, ns := range r.values {
			ms = append(ms, pyRound(ns/1e6, 1))
		}
	}
	timings := array{}
	sum := 0.0
	for _, v := range ms {
		timings = append(timings, v)
		sum += v
	}
	f = append(f, member{"timings_ms", timings})
	if len(ms) > 0 {
		f = append(f, member{"min_ms", slices.Min(ms)}, member{"mean_ms", rounded{sum / float64(len(ms)), 1}}, member{"max_ms", slices.Max(ms)})
	} else { // a text whose samples lines are gone
		for _, m := range []struct{ key, unit string }{{"min_ms", "min-ns"}, {"mean_ms", "ns/op"}, {"max_ms", "max-ns"}} {
			f = append(f, member{m.key, rounded{res.Values[m.unit].Median() / 1e6, 1}})
		}
	}
	return append(f, samples(res)), len(ms)
}

func httpSection(cat *record.Category, res *Result) fields {
	rs := roundsOf(res)
	successes := rs.whole(func(r round) int64 { return r.count })
	if res.Status != record.OK && successes == 0 {
		return out(res)
	}
	failed := int64(0)
	for _, r := range rs {
		failed = max(failed, r.failed)
	}
	total := successes + failed
	if n, err := strconv.ParseInt(res.Op.Key("n"), 10, 64); err == nil && n >= 0 {
		total = n
	}
	ms := func(ns func(record.Latency) float64) rounded {
		return rounded{rs.number(func(r round) float64 { return ns(r.latency) / 1e6 }), 1}
	}
	concurrency, _ := strconv.ParseInt(res.Op.Key("c"), 10, 64)
	return fields{
		{"url", cat.URL},
		{"total_requests", total},
		{"concurrency", max(concurrency, 0)},
		{"successful", max(total-failed, 0)},
		{"failed", failed},
		{"total_duration_ms", rounded{rs.number(func(r round) float64 { return r.elapsed / 1e6 }), 1}},
		{"requests_per_sec", rounded{rs.number(func(r round) float64 { return perSecond(float64(r.count), r.elapsed) }), 1}},
		{"transfer_bytes", rs.whole(func(r round) int64 { return r.bytes })},
		{"latency_ms", fields{
			{"min", ms(func(l record.Latency) float64 { return l.Min })},
			{"max", ms(func(l record.Latency) float64 { return l.Max })},
			{"mean", ms(func(l record.Latency) float64 { return l.Mean })},
			{"p50", ms(func(l record.Latency) float64 { return l.P50 })},
			{"p95", ms(func(l record.Latency) float64 { return l.P95 })},
			{"p99", ms(func(l record.Latency) float64 { return l.P99 })},
		}},
		samples(res),
	}
}

func throughputSection(cat *record.Category, res *Result) fields {
	if !usable(res) {
		return out(res)
	}
	rs := roundsOf(res)
	code := rs.whole(func(r round) int64 { return r.code })
	if code == 0 {
		code = 200 // only a complete answer is ok; text without samples does not say which
	}
	return fields{
		{"url", cat.URL},
		{"http_code", code},
		{"size_bytes", rs.whole(func(r round) int64 { return r.bytes })},
		{"duration_s", rounded{rs.number(func(r round) float64 { return r.elapsed / 1e9 }), 3}},
		{"throughput_mbps", rounded{rs.number(func(r round) float64 { return perSecond(float64(r.bytes)/(1<<20), r.elapsed) }), 2}},
		samples(res),
	}
}

// snapshotSection has flat keys: create_ms, create_ok, ... by file count. A
// call that failed is false, with the time it took where that is known.
func snapshotSection(ops []*Result) fields {
	f := fields{}
	for _, res := range ops {
		key := res.Op.Key("files") + "_files"
		i := slices.IndexFunc(f, func(m member) bool { return m.key == key })
		if i < 0 {
			i = len(f)
			f = append(f, member{key, fields{}})
		}
		f[i].value = append(f[i].value.(fields), call(res)...)
	}
	for i := range f {
		f[i].value = append(f[i].value.(fields), callSamples(ops, f[i].key))
	}
	return f
}

func call(res *Result) fields {
	op := res.Op.Key("op")
	var f fields
	if rs := roundsOf(res); len(rs) > 0 {
		f = append(f, member{op + "_ms", rounded{rs.number(func(r round) float64 { return r.elapsed / 1e6 }), 1}})
	}
	return append(f, member{op + "_ok", res.Status == record.OK})
}

func callSamples(ops []*Result, key string) member {
	f := fields{}
	for _, res := range ops {
		if res.Op.Key("files")+"_files" == key {
			f = append(f, member{res.Op.Key("op"), samples(res).value})
		}
	}
	return member{"samples", f}
}
