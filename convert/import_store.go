package convert

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/capsem/capsem-bench/internal/record"
)

// benchStore reads one run of the store capsem.bench.v1. It has a summary of
// each metric and no samples. A metric is recognized by its key, for the unit beside
// it may be wrong: throughput_mbps is recorded as megabits and is MiB.
func (im *importer) benchStore(o object) {
	if schema := o.str("schema"); schema != "capsem.bench.v1" {
		im.note("bench_store: schema %q is not known", shorten(schema))
	}
	for _, key := range []string{"run", "recorded_at", "sidecar"} {
		o.get(key)
	}
	dimension := o.str("dimension")
	im.run.Source, im.run.Labels = "capsem.bench.v1", make(map[string]string)
	for _, key := range []string{"channel", "profile"} {
		if v := o.optStr(key); v != "" {
			im.run.Labels[key] = v
		}
	}
	var doubts []string
	if o.has("quick") && o.bool("quick") {
		doubts = []string{"a quick run, which Capsem takes for no evidence"}
	}
	for _, m := range o.objects("metrics") {
		im.storeMetric(m, dimension, doubts)
	}
	im.note("bench_store: summaries alone; the store keeps no samples")
}

func (im *importer) storeMetric(o object, dimension string, doubts []string) {
	key := o.str("key")
	unit, scale := storeUnit(key, o.str("unit"))
	name := storeName(dimension, key)
	if im.byName[name] != nil {
		name += "." + digest(key)
	}
	st := record.Status{Doubts: doubts}
	s := newSamples()
	s.Count = o.count("n")
	f := figures{s: &s}
	for _, q := range storeFigures(unit) {
		if s.Count < q.n {
			continue
		}
		if num, ok := o.get(q.key).number(); ok && strings.HasPrefix(num, "-") {
			st.Status, st.Reason = record.Invalid, fmt.Sprintf("%s is %s", q.key, shorten(num))
			continue
		}
		f.read(o, q.key, q.unit, scale, unit == "ns")
	}
	for _, known := range []string{"min", "max", "mean", "median", "p90", "p95", "p99", "p999", "stddev", "cv", "mad"} {
		o.get(known)
	}
	o.done()
	s.ElapsedNS = int64(min(math.Round(s.Metrics["ns/op"]*float64(s.Count)), maxNumber))
	im.addFigures(name, f, st)
}

// A storeFigure is a column of the store as one of our metrics.
type storeFigure struct {
	key, unit string
	n         int64 // how many samples it takes
}

// storeFigures returns the columns that are read of a metric. The parts of a
// distribution have units where it is one of times.
func storeFigures(unit string) []storeFigure {
	if unit != "ns" {
		return []storeFigure{{"mean", unit, 1}}
	}
	return []storeFigure{
		{"mean", "ns/op", 1},
		{"median", "p50-ns", 2},
		{"p90", "p90-ns", 10},
		{"p95", "p95-ns", 20},
		{"p99", "p99-ns", 100},
		{"p999", "p999-ns", 1000},
		{"min", "min-ns", 2},
		{"max", "max-ns", 2},
	}
}

// number returns the text of a number; a nil node has none.
func (n *node) number() (string, bool) {
	if n == nil {
		return "", false
	}
	num, ok := n.value.(json.Number)
	return num.String(), ok
}

// storeName is the name of a metric's operation. The phases of a VM's life and
// of a fork are those of the documents and of our own lifecycle. Of all others
// the store does not say the workload, so they keep their keys.
func storeName(dimension, key string) string {
	for _, kind := range []struct{ dimension, function string }{{"lifecycle", "Lifecycle"}, {"fork", "Fork"}} {
		phase, ok := strings.CutPrefix(key, kind.dimension+".")
		if op, timed := strings.CutSuffix(phase, "_ms"); dimension == kind.dimension && ok && timed && !strings.Contains(op, ".") {
			return fmt.Sprintf("%s/op=%s", kind.function, slug(op))
		}
	}
	return fmt.Sprintf("Store/dim=%s/key=%s", slug(dimension), slug(key))
}

// storeUnit returns our unit of a metric and the factor to it: "ns" is a time.
func storeUnit(key, unit string) (string, float64) {
	last := key[strings.LastIndex(key, ".")+1:]
	switch last {
	case "iops":
		return "iops", 1
	case "rps", "requests_per_sec":
		return "req/s", 1
	case "bytes_per_sec":
		return "B/s", 1
	case "failed", "errors":
		return "errors", 1
	}
	if what, ok := strings.CutSuffix(last, "_per_sec"); ok && what != "" {
		return slug(what) + "/s", 1
	}
	for _, s := range []struct {
		suffix, unit string
		scale        float64
	}{
		{"mbps", "B/s", mib},
		{"_iops", "iops", 1},
		{"_rps", "req/s", 1},
		{"_ns", "ns", 1},
		{"_us", "ns", 1e3},
		{"_ms", "ns", 1e6},
		{"_s", "ns", 1e9},
		{"_seconds", "ns", 1e9},
		{"_bytes", "size-B", 1},
		{"_kb", "size-B", 1 << 10},
		{"_mb", "size-B", mib},
	} {
		if strings.HasSuffix(last, s.suffix) {
			return s.unit, s.scale
		}
	}
	switch unit {
	case "seconds":
		return "ns", 1e9
	case "milliseconds":
		return "ns", 1e6
	case "nanoseconds":
		return "ns", 1
	case "bytes":
		return "size-B", 1
	case "megabytes":
		return "size-B", mib
	case "requests_per_second":
		return "req/s", 1
	case "megabits_per_second":
		return "B/s", 1e6 / 8
	}
	return slug(unit), 1 // operations, ratio, count
}
