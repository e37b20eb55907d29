package convert

import (
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// loadSections are Capsem's own sections of load, one a mode. Rates are by the
// time that a level took, where Capsem divides by its nominal time, and times
// are those of successful requests alone; p50_ms and the others are not
// rounded, as in Capsem's files. A percentile that the number of requests does
// not support is null. An open loop is no part of them, nor a level in which
// requests failed: the section load says how many.
func (r *Report) loadSections() []member {
	var sections []member
	for _, m := range catalogue.LoadModes() {
		levels := array{}
		for _, res := range r.known(catalogue.Load) {
			if res.Op.Key("proto") == m.Protocols()[0] && res.Op.Key("rate") == "" && usable(res) && len(res.Samples) > 0 {
				levels = append(levels, loadLevel(m, res))
			}
		}
		if len(levels) > 0 {
			sections = append(sections, member{m.Section(), append(r.loadTarget(m), member{"concurrency_levels", levels})})
		}
	}
	return sections
}

// loadTarget says what was asked for.
func (r *Report) loadTarget(m catalogue.LoadMode) fields {
	cat := r.Categories[catalogue.Load]
	if cat == nil {
		cat = new(record.Category)
	}
	f := fields{{"version", "1.0"}}
	switch m {
	case catalogue.MCPLoad:
		return append(f, member{"tool", catalogue.EchoTool}, member{"payload_bytes", len(cat.Settings["mcp_payload"])})
	case catalogue.DNSLoad:
		return append(f, member{"qname", strings.TrimSuffix(cat.Settings["dns_name"], ".")}, member{"qtype", 1}) // A
	}
	return append(f, member{"target", cat.URL})
}

func loadLevel(m catalogue.LoadMode, res *Result) fields {
	rs := roundsOf(res)
	concurrency, _ := strconv.Atoi(res.Op.Key("c"))
	failed := rs.whole(func(r round) int64 { return r.failed })
	f := fields{
		{"concurrency", concurrency},
		{"duration_s", rs.number(func(r round) float64 { return r.elapsed / 1e9 })},
		{"total_requests", rs.whole(func(r round) int64 { return r.count }) + failed},
		{"errors", failed},
		{"rps", rs.number(func(r round) float64 { return perSecond(float64(r.count), r.elapsed) })},
	}
	for _, q := range []string{"p50", "p95", "p99", "p999"} {
		var ms any // null
		if v := res.Values[q+"-ns"]; v != nil && v.N > 0 {
			ms = v.Median() / 1e6
		}
		f = append(f, member{q + "_ms", ms})
	}
	peak := 0.0
	if v := res.Values["maxrss-B"]; v != nil && v.N > 0 {
		peak = v.Median() / (1 << 20)
	}
	f = append(f, member{"rss_peak_mb", peak})
	if m == catalogue.DNSLoad {
		decisions := fields{}
		answers := res.Samples[len(res.Samples)-1].Answers
		for _, key := range sortedKeys(answers) {
			decisions = append(decisions, member{key, answers[key]})
		}
		f = append(f, member{"decision_distribution", decisions})
	}
	return f
}
