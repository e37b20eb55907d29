package convert

import (
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/montanaflynn/stats"
)

// The keys of Capsem's documents on the life of a VM.
const (
	keyRuns       = "runs"
	keyOperations = "operations"
	suffixMillis  = "_ms"
	suffixMega    = "_mb"
)

// vmSections are the phases of a VM's life in the form of Capsem's lifecycle
// documents (0.2.0), whose keys stand at the top: runs, and under operations
// {NAME_ms: {min, mean, p50, p95, p99, max, values}}. A fork's phases have the
// same form beside the operations of the section fork. Times are in ms and
// sizes in MiB, with one digit, values of sizes with two.
func (r *Report) vmSections() []member {
	phases := fields{}
	runs := 0
	for _, res := range r.known(catalogue.Lifecycle) {
		op := strings.TrimPrefix(res.Op.ID, "lifecycle/")
		if !slices.Contains([]string{catalogue.OpProvision, catalogue.OpExecReady, catalogue.OpExec, catalogue.OpDelete, catalogue.OpTotal}, op) {
			continue
		}
		if m, n, ok := phase(op, res); ok {
			phases, runs = append(phases, m), max(runs, n)
		}
	}
	if len(phases) == 0 {
		return nil
	}
	return []member{{keyRuns, runs}, {keyOperations, phases}}
}

// forkPhases are the members that Capsem's own section fork has.
func forkPhases(ops []*Result) (out fields) {
	for _, res := range ops {
		if m, _, ok := phase(strings.TrimPrefix(res.Op.ID, "fork/"), res); ok {
			out = append(out, m)
		}
	}
	return out
}

// phase is one summary, and over how many runs it is.
func phase(op string, res *Result) (m member, runs int, ok bool) {
	unit, suffix, scale, digits := "ns/op", suffixMillis, 1e6, 1
	if res.Values[unit] == nil {
		unit, suffix, scale, digits = "size-B", suffixMega, mib, 2
	}
	series := res.Values[unit]
	if !usable(res) || series == nil || series.N == 0 {
		return m, 0, false
	}
	values, rows := stats.Float64Data{}, array{}
	for _, v := range series.Values() {
		values = append(values, v/scale)
		rows = append(rows, rounded{v / scale, digits})
	}
	mean, _ := stats.Mean(values)
	at := func(p float64) rounded {
		v, _ := stats.Percentile(values, p) // of some values it cannot fail
		return rounded{v, 1}
	}
	return member{op + suffix, fields{
		{"min", rounded{slices.Min(values), 1}},
		{"mean", rounded{mean, 1}},
		{"p50", at(50)},
		{"p95", at(95)},
		{"p99", at(99)},
		{"max", rounded{slices.Max(values), 1}},
		{"values", rows},
	}}, len(values), true
}
