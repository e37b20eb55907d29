package convert

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// This file reads the documents beside Capsem's own benchmark: the life of a
// VM, forks, the latency of a route, the writer of the session database. A kind
// is recognized by its keys; the version of a document means nothing across kinds.

// kinds are the keys by which a kind is recognized, and its readers. A document may
// be of several.
func (im *importer) kinds() []struct {
	key  string
	read func(object)
} {
	return []struct {
		key  string
		read func(object)
	}{
		{"storage", im.storage},
		{"mitm_local", im.protocol},
		{"mitm_load", im.mitmLoad},
		{"mcp_load", im.mcpLoad},
		{"dns_load", im.dnsLoad},
		{keyOperations, func(o object) { im.phases("Lifecycle", o) }},
		{"lifecycle", func(o object) { im.phases("Lifecycle", o) }},
		{"fork", func(o object) { im.phases("Fork", o) }},
		{"reader", im.route},
		{"bench_store", im.benchStore},
	}
}

// others reads what a document has beyond the sections of Capsem's benchmark.
func (im *importer) others(o object) {
	for _, kind := range im.kinds() {
		if im.own.present && o.has(string(catalogue.Load)) && strings.HasSuffix(kind.key, "_load") {
			o.get(kind.key) // in Capsem's form what load has in ours
			continue
		}
		if im.own.present && kind.key == keyOperations && o.has(string(catalogue.Lifecycle)) {
			o.get(kind.key) // in Capsem's form what lifecycle has in ours
			continue
		}
		if im.own.present && slices.Contains([]string{string(catalogue.Storage), string(catalogue.Lifecycle), string(catalogue.Fork)}, kind.key) {
			continue // a section of ours
		}
		im.kind(o, kind.key, kind.read)
	}
	im.routeContext(o)
	if o.has("num_vms") {
		im.parallel(o)
	}
	if o.has("rows") {
		im.databaseWriter(o)
	}
}

// kind reads one key of the document with f, unless there is instead an object
// that says why there is nothing.
func (im *importer) kind(o object, key string, f func(object)) {
	if !o.has(key) {
		return
	}
	sub := o.object(key)
	if st, reason, ok := sub.outcome(); ok {
		im.note("%s: %s: %s", key, st, reason)
	} else {
		f(sub)
	}
	sub.done()
}

// phases reads {NAME_ms: {min, mean, max, values, ...}}: one operation a phase,
// one round a run. The summary follows from the values; a document without
// them has one round of the mean.
func (im *importer) phases(function string, o object) {
	for _, key := range o.keys() {
		phase := o.object(key)
		op, unit, scale := strings.TrimSuffix(key, "_ms"), "ns/op", 1e6
		if rest, ok := strings.CutSuffix(key, "_mb"); ok {
			op, unit, scale = rest, "size-B", mib
		} else if op == key {
			im.doc.unknown(phase.n, phase.path)
			continue
		}
		values := []float64{}
		if phase.has("values") {
			values = phase.floats("values")
		} else if phase.has("mean") {
			values = append(values, phase.float("mean"))
		}
		for _, k := range []string{"min", "mean", "max", "p50", "p95", "p99", "values"} {
			phase.get(k)
		}
		phase.done()
		im.rounds(fmt.Sprintf("%s/op=%s", function, slug(op)), unit, scale, values)
	}
}

// rounds adds an operation of one metric, with one value a round.
func (im *importer) rounds(name, unit string, scale float64, values []float64) {
	status := record.Status{}
	if len(values) == 0 {
		status.Status, status.Reason = record.Invalid, "the file has no value of it"
	}
	op := im.addOp(category(name), name, record.Samples{}, status)
	if op == nil {
		return
	}
	im.run.Rounds = max(im.run.Rounds, len(values))
	for i, v := range values {
		s := newSamples()
		s.Op, s.Round, s.Count = name, i+1, 1
		s.Metrics[unit] = v * scale
		if unit == "ns/op" {
			s.Metrics[unit] = math.Round(v * scale)
			s.ElapsedNS = int64(min(s.Metrics[unit], maxNumber))
		}
		if !possibleSamples(&s) {
			im.doc.fail(nil, name, "number out of range")
			return
		}
		op.samples = append(op.samples, s)
	}
}

// route reads the latency of reads of a route while others write.
func (im *importer) route(o object) {
	route := o.str("route")
	transport := o.optStr("transport")
	sum := o.object("summary")
	sum.optStr("label")
	s := newSamples()
	s.Count = sum.optCount("samples")
	f := figures{s: &s}
	for _, q := range []struct{ key, unit string }{{"p50_ms", "p50-ns"}, {"p95_ms", "p95-ns"}, {"p99_ms", "p99-ns"}, {"max_ms", "max-ns"}} {
		f.millis(sum, q.key, q.unit)
	}
	f.scaled(sum, "service_cpu_s", "service-cpu-ns", 1e9)
	f.scaled(sum, "gateway_cpu_s", "gateway-cpu-ns", 1e9)
	sum.done()
	name := "Route/route=" + slug(strings.ReplaceAll(strings.Trim(route, "/"), "/", "."))
	if transport != "" {
		name += "/transport=" + slug(transport)
	}
	im.routeOp = im.addFigures(name, f, record.Status{})
}

// routeContext reads what stands beside the reads: the writes, and the bounds
// that the file sets itself. What it fails of them is a doubt.
func (im *importer) routeContext(o object) {
	if o.has("writer") {
		o.get("writer")
	}
	scenario := o.optStr("scenario")
	if im.routeOp == nil {
		return
	}
	if scenario != "" {
		im.routeOp.status.Doubts = append(im.routeOp.status.Doubts, "scenario "+shorten(scenario))
	}
	if !o.has("gates") {
		return
	}
	gates := o.object("gates")
	metrics := im.routeOp.samples[0].Metrics
	for key, m := range map[string]struct {
		unit  string
		scale float64
	}{"p95_ms_max": {"p95-ns", 1e6}, "max_ms_max": {"max-ns", 1e6}, "service_cpu_s_max": {"service-cpu-ns", 1e9}} {
		if !gates.has(key) {
			continue
		}
		if bound := gates.float(key) * m.scale; metrics[m.unit] > bound {
			im.routeOp.status.Status = record.Failed
			im.routeOp.status.Reason = fmt.Sprintf("%s of %s is over the file's own bound of %s", m.unit, duration(metrics[m.unit]), duration(bound))
		}
	}
	gates.done()
}

// databaseWriter reads db_writer_pressure: one operation a size of burst, as
// Criterion measured it.
func (im *importer) databaseWriter(o object) {
	if kind := o.optStr("benchmark"); kind != "db_writer_pressure" {
		im.note("benchmark %q is not known; its rows are left out", kind)
		o.get("rows")
		return
	}
	for _, key := range []string{"source", "notes"} {
		o.get(key)
	}
	for _, row := range o.objects("rows") {
		s := newSamples()
		s.Count = row.optCount("burst_size")
		f := figures{s: &s}
		f.millis(row, "mean_ms", "ns/op")
		f.scaled(row, "events_per_sec_mean", "events/s", 1)
		row.get("median_ms") // is p50
		row.get("events_per_sec_median")
		if row.has("sample_percentiles") {
			p := row.object("sample_percentiles")
			for _, q := range []string{"p50", "p95", "p99"} {
				f.millis(p, q+"_ms", q+"-ns")
			}
			p.done()
		}
		s.ElapsedNS = int64(s.Metrics["ns/op"])
		var st record.Status
		if row.has("mean_confidence") {
			c := row.object("mean_confidence")
			st.Doubts = append(st.Doubts, fmt.Sprintf("the mean is in %g to %g ms at %g %%", c.optFloat("lower_ms"), c.optFloat("upper_ms"), 100*c.optFloat("confidence_level")))
		}
		row.get("median_confidence")
		im.addFigures("DBWriter/burst="+slug(row.str("name")), f, st)
		row.done()
	}
}

// figures are the metrics of one round, in the order in which they were read.
type figures struct {
	s     *record.Samples
	order []string
}

func (f *figures) add(unit string, value float64) {
	f.s.Metrics[unit] = value
	f.order = append(f.order, unit)
}

// millis reads a time in ms, if the object has it, as whole ns.
func (f *figures) millis(o object, key, unit string) { f.read(o, key, unit, 1e6, true) }

// scaled reads a number, if the object has it.
func (f *figures) scaled(o object, key, unit string, scale float64) {
	f.read(o, key, unit, scale, false)
}

func (f *figures) read(o object, key, unit string, scale float64, whole bool) {
	if !o.has(key) || o.get(key).value == nil { // null: not measured
		return
	}
	num, n := typed[json.Number](o, key, "a number")
	v := o.number(num, n, key) * scale
	if whole {
		v = math.Round(v)
	}
	f.add(unit, v)
}

// addFigures adds an operation of one round.
func (im *importer) addFigures(name string, f figures, st record.Status) *importedOp {
	if len(f.order) == 0 && (st.Status == "" || st.Status == record.OK) {
		st.Status, st.Reason = record.Invalid, "the file has no figure of it"
	}
	op := im.addOp(category(name), name, *f.s, st)
	if op != nil {
		op.units = f.order
	}
	return op
}
