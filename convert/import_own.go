package convert

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// ownResults is what a document of capsem-bench says beyond Capsem's keys:
// "capsem_bench" with the state of every operation, and the "samples" beside
// each. Where it is present it decides; the sections then only add sizes.
type ownResults struct {
	present  bool
	ops      []ownOp
	samples  map[string]ownSamples // by catalogue ID
	units    map[string]catalogue.Direction
	failures []string
}

type ownOp struct {
	key     string // catalogue ID, or the name
	pkg     string // of a benchmark that is not ours
	rounds  int
	iters   []int64
	status  record.Status
	errors  map[string]int64
	elapsed float64 // median of the rounds in ns; 0 if unknown
}

// ownSamples are the values of the rounds by unit.
type ownSamples struct {
	values map[string][]float64
	order  []string
}

// ownAdditions reads "capsem_bench".
func (im *importer) ownAdditions(top object) {
	if !top.has("capsem_bench") {
		return
	}
	im.own = ownResults{present: true, samples: make(map[string]ownSamples)}
	o := top.object("capsem_bench")
	im.run.Version, im.run.Source = o.str("tool_version"), ""
	im.environment(o.object("environment"))
	for _, key := range []string{"complete", "workload", "missing", "warnings", "failures"} {
		o.get(key) // follow from the rest
	}
	if o.has("failures") {
		for _, reason := range o.strs("failures") {
			im.own.failures = append(im.own.failures, clean([]byte(reason), maxReason))
		}
	}
	if o.has("units") {
		im.ownUnits(o.object("units"))
	}
	im.end = nil
	if o.has("ended") {
		ns := o.seconds("elapsed_s")
		im.end = &record.End{Type: record.TypeEnd, Time: im.run.Time + float64(ns)/1e9, ElapsedNS: ns, Status: o.str("ended")}
	}
	ops := o.object("ops")
	for _, key := range ops.keys() {
		im.ownOp(ops.object(key), key)
	}
	o.done()
}

// ownUnits reads what the text said of its units.
func (im *importer) ownUnits(o object) {
	im.own.units = make(map[string]catalogue.Direction)
	for _, unit := range o.keys() {
		better := catalogue.Direction(o.str(unit))
		if !isUnit([]byte(unit)) || better != catalogue.Higher && better != catalogue.Lower {
			o.doc.fail(o.get(unit), join(o.path, unit), "want higher or lower of a unit")
		}
		im.own.units[unit] = better
	}
}

func (im *importer) environment(o object) {
	run := &im.run
	for key, field := range map[string]*string{
		"sandbox": &run.Sandbox, "accel": &run.Accel, "image": &run.Image, "source": &run.Source, "os": &run.OS,
		"arch": &run.Arch, "kernel": &run.Kernel, "cpu": &run.CPU, "virtualization": &run.Virtualization,
	} {
		if o.has(key) {
			*field = o.str(key)
		}
	}
	run.Root, run.CPUs, run.MemoryBytes = o.bool("root"), int(o.optCount("cpus")), o.optCount("memory_bytes")
	if o.has("seed") {
		seed, err := strconv.ParseUint(o.str("seed"), 10, 64)
		if err != nil {
			o.doc.fail(o.get("seed"), join(o.path, "seed"), "want a whole number in a string")
		}
		run.Seed = seed
	}
	if o.has("build") {
		build := o.object("build")
		for key, field := range map[string]*string{"version": &run.Version, "commit": &run.Commit, "date": &run.Date, "go": &run.Go} {
			if build.has(key) {
				*field = build.str(key)
			}
		}
		run.Dirty = build.has("dirty") && build.bool("dirty")
		build.done()
	}
	if o.has("filesystems") {
		fs := o.object("filesystems")
		for _, path := range fs.keys() {
			if run.Filesystems == nil {
				run.Filesystems = make(map[string]string)
			}
			run.Filesystems[path] = fs.str(path)
		}
	}
	if o.has("labels") {
		run.Labels = labelsOf(o.object("labels"))
	}
	o.done()
}

// labelsOf reads what was measured, as its owner names it.
func labelsOf(o object) map[string]string {
	words := make([]string, 0, len(o.keys()))
	for _, key := range o.keys() {
		words = append(words, key+"="+o.str(key))
	}
	labels, err := record.ParseLabels(words)
	if err != nil {
		o.doc.fail(o.n, o.path, "%v", err)
	}
	return labels
}

// ownOp reads the state of one operation.
func (im *importer) ownOp(o object, key string) {
	op := ownOp{key: key, status: record.Status{Type: record.TypeStatus, Op: o.str("name"), Status: record.State(o.str("status"))}}
	st := &op.status
	switch st.Status {
	case record.OK, record.Skipped, record.Failed, record.Invalid, record.Missing:
	default:
		o.doc.fail(o.get("status"), join(o.path, "status"), "unknown status %q", st.Status)
	}
	if op.pkg = o.optStr("pkg"); op.pkg != "" {
		st.Op = strings.TrimPrefix(st.Op, op.pkg+".") // there where several packages have the name
		if !isWord(op.pkg) {
			o.doc.fail(o.get("pkg"), join(o.path, "pkg"), "%q is not the path of a package", op.pkg)
		}
	}
	if !isWord(st.Op) || !benchmarkName([]byte("Benchmark"+st.Op)) || len(st.Op) > maxName {
		o.doc.fail(o.get("name"), join(o.path, "name"), "%q is not the name of a benchmark", st.Op)
	}
	if o.has("iterations") {
		for _, n := range o.floats("iterations") {
			op.iters = append(op.iters, int64(max(1, min(n, maxCount))))
		}
	}
	st.Reason, st.Cache, st.Dropped = shorten(o.optStr("reason")), o.optStr("cache"), o.optStr("dropped")
	st.Host, st.Resident, st.Pages = o.optStr("host_cache"), o.optCount("resident_pages"), o.optCount("pages")
	if o.has("doubts") {
		st.Doubts = o.strs("doubts")
	}
	if o.has("rounds_by_boot") {
		for _, n := range o.floats("rounds_by_boot") {
			st.RoundsByBoot = append(st.RoundsByBoot, int(max(1, min(n, maxCount))))
		}
	}
	if o.has("errors") {
		op.errors = make(map[string]int64)
		errs := o.object("errors")
		for _, reason := range errs.keys() {
			op.errors[shorten(reason)] = errs.count(reason)
		}
	}
	im.takeSamples(o, key)
	op.rounds = int(min(o.optCount("rounds"), maxSamples))
	im.run.Rounds = max(im.run.Rounds, op.rounds)
	op.elapsed = min(o.optFloat("duration_s")*1e9, maxMillis*1e6)
	o.done()
	im.own.ops = append(im.own.ops, op)
}

// isWord reports whether s is one word of what can be shown.
func isWord(s string) bool {
	return s != "" && showable([]byte(s)) && !strings.ContainsFunc(s, unicode.IsSpace)
}

// takeSamples reads the "samples" beside an operation's keys.
func (im *importer) takeSamples(o object, id string) {
	if !im.own.present || !o.has("samples") {
		return
	}
	s := o.object("samples")
	units := ownSamples{values: make(map[string][]float64), order: s.keys()}
	for _, unit := range s.keys() {
		if !isUnit([]byte(unit)) {
			s.doc.fail(s.get(unit), join(s.path, unit), "not a unit")
		}
		units.values[unit] = s.floats(unit)
	}
	im.own.samples[id] = units
}

// applyOwn replaces what the sections say by what capsem_bench says.
func (im *importer) applyOwn() {
	if !im.own.present || im.doc.err != nil {
		return
	}
	byID := make(map[string]*importedOp)
	for _, op := range im.ops {
		if known, ok := catalogue.Lookup(op.name); ok {
			byID[known.ID] = op
		}
	}
	im.ops, im.absent, im.byName = nil, nil, make(map[string]*importedOp)
	for _, own := range im.own.ops {
		if own.status.Status == record.Missing {
			if own.pkg == "" {
				im.absent = append(im.absent, own.status.Op)
			}
			continue
		}
		base := newSamples()
		var headline []record.Samples
		if op := byID[own.key]; op != nil {
			own.status.Command = op.status.Command
			headline = op.samples
		}
		if len(headline) > 0 {
			base = headline[0]
		}
		base.Errors = own.errors
		op := &importedOp{category: category(own.status.Op), pkg: own.pkg, name: own.status.Op, status: own.status, iterations: own.iters}
		op.samples, op.units = im.own.samples[own.key].rounds(base, own.elapsed), im.own.samples[own.key].order
		if len(op.samples) == 0 && len(headline) > 0 {
			op.samples = []record.Samples{base}
		}
		timeless := own.elapsed == 0 // a time alone is a figure too
		if len(op.samples) == 0 && !(timeless && own.status.Status == record.OK) && len(own.iters) == 0 && (own.rounds > 0 || own.errors != nil) {
			op.samples = lost(base, own)
		}
		if len(op.samples) == 0 && own.status.Status == record.OK {
			im.doc.fail(nil, join("capsem_bench.ops", own.key), "it is ok, and the document has no figures of it")
			return
		}
		for i := range op.samples {
			if !possibleSamples(&op.samples[i]) {
				im.doc.fail(nil, op.name, "number out of range")
				return
			}
			op.samples[i].Op = op.name
		}
		if im.byName[op.pkg+"."+op.name] != nil {
			im.doc.fail(nil, own.key, "%s appears twice in the document", op.name)
			return
		}
		im.byName[op.pkg+"."+op.name] = op
		im.ops = append(im.ops, op)
	}
}

// rounds makes one samples line per round, with the sizes of base and the
// given median time.
func (units ownSamples) rounds(base record.Samples, elapsed float64) []record.Samples {
	n := 0
	for _, values := range units.values {
		n = max(n, len(values))
	}
	out := make([]record.Samples, n)
	for i := range out {
		s := base
		s.Round, s.Metrics = i+1, make(map[string]float64)
		for unit, values := range units.values {
			if i < len(values) {
				s.Metrics[unit] = values[i]
			}
		}
		if i > 0 {
			s.Errors = nil // the document has the sum
		}
		if len(base.Values) >= n { // the starts of all rounds, one after another
			per := len(base.Values) / n
			s.Values, s.Count = base.Values[i*per:(i+1)*per], int64(per)
		}
		if s.Latency != nil {
			s.Latency = latencyOf(s.Metrics)
		}
		out[i] = s
	}
	setTimes(out, elapsed)
	return out
}

// lost are the rounds of an operation of which the document has no figure: how
// long they took, and why they failed.
func lost(base record.Samples, own ownOp) []record.Samples {
	out := make([]record.Samples, max(own.rounds, 1))
	for i := range out {
		out[i] = base
		out[i].Round, out[i].ElapsedNS = i+1, int64(math.Round(own.elapsed))
		if i > 0 {
			out[i].Errors = nil // the document has the sum
		}
	}
	return out
}

func latencyOf(m map[string]float64) *record.Latency {
	return &record.Latency{Min: m["min-ns"], Mean: m["ns/op"], P50: m["p50-ns"], P95: m["p95-ns"], P99: m["p99-ns"], Max: m["max-ns"]}
}

// setTimes sets the times of the rounds. They follow from the metrics, which
// are exact, unless the document was made from an import, where they are
// rounded: then the given median decides.
func setTimes(rounds []record.Samples, elapsed float64) {
	times := make([]float64, len(rounds))
	for i, s := range rounds {
		if rate := s.Metrics["req/s"]; rate > 0 { // requests overlap
			times[i] = float64(max(s.Count, 1)) / rate * 1e9
		} else {
			times[i] = s.Metrics["ns/op"] * float64(max(s.Count, 1))
		}
	}
	precision := 1e3 // of the median: earlier documents have whole µs
	if math.Mod(math.Round(elapsed), precision) != 0 {
		precision = 1
	}
	median, scale := NewSeries(times...).Median(), 1.0
	if elapsed > 0 && median > 0 && math.Abs(median-elapsed) > precision {
		scale = elapsed / median
	}
	for i := range rounds {
		s := &rounds[i]
		ns := math.Round(times[i] * scale)
		headline := len(rounds) == 1 && scale != 1 && math.Abs(float64(s.ElapsedNS)-elapsed) <= precision
		if ns > 0 && ns < maxMillis*1e6 && !headline {
			s.ElapsedNS = int64(ns)
		}
		if s.Count == 0 { // outside the sections the document has no counts
			n := cmp.Or(s.Metrics["req/s"]*float64(s.ElapsedNS)/1e9, float64(s.ElapsedNS)/s.Metrics["ns/op"])
			if s.Count = 1; n > 1 && n < maxCount {
				s.Count = int64(math.Round(n))
			}
		}
	}
}
