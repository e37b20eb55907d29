package convert

import (
	"fmt"
	"strings"

	"github.com/capsem/capsem-bench/internal/record"
)

// What the load modes of Capsem's tool ask for by default.
const (
	loadTarget  = "https://thisdomaindoesnotexistforsur3.ai/"
	loadTool    = "local__echo"
	loadPayload = 4
	loadQName   = "load-test.capsem-bogus"
)

func (im *importer) mitmLoad(o object) {
	im.load(o, "http", urlPart(o.optStr("target"), loadTarget))
}

func (im *importer) mcpLoad(o object) {
	part := ""
	if tool := o.optStr("tool"); tool != loadTool {
		part += "/tool=" + slug(tool)
	}
	if n := o.optCount("payload_bytes"); n != loadPayload {
		part += fmt.Sprintf("/payload=%dB", n)
	}
	im.load(o, "mcp", part)
}

func (im *importer) dnsLoad(o object) {
	part := ""
	if name := o.optStr("qname"); name != loadQName {
		part += "/qname=" + slug(name)
	}
	if kind := o.optCount("qtype"); kind != 1 { // A
		part += fmt.Sprintf("/qtype=%d", kind)
	}
	im.load(o, "dns", part)
}

// load reads the levels of a closed loop. Its rates are by the nominal time of
// a level, and its latencies are those of failed requests too, so a level with
// failures has no figures of its own.
func (im *importer) load(o object, proto, part string) {
	o.optStr("version")
	o.get("selected_scenarios")
	for _, level := range o.objects("concurrency_levels") {
		s := newSamples()
		total, errors := level.count("total_requests"), level.optCount("errors")
		s.Count, s.Failed, s.ElapsedNS = max(total-errors, 0), errors, level.seconds("duration_s")
		f := figures{s: &s}
		f.scaled(level, "rps", "req/s", 1)
		for _, q := range []string{"p50", "p95", "p99", "p999"} {
			f.millis(level, q+"_ms", q+"-ns")
		}
		f.scaled(level, "rss_peak_mb", "maxrss-B", mib)
		f.add("errors", float64(errors))
		st := record.Status{Doubts: im.decisions(level)}
		if errors > 0 || total == 0 {
			st.Status, st.Reason = record.Failed, fmt.Sprintf("%d of %d requests failed", errors, total)
			st.Doubts = append(st.Doubts, fmt.Sprintf("the file's rate of %g req/s and its latencies include failed requests", s.Metrics["req/s"]))
		}
		im.addFigures(fmt.Sprintf("Load/proto=%s/c=%d%s", proto, level.count("concurrency"), part), f, st)
		level.done()
	}
}

// decisions says how a policy decided, where not everything was allowed.
func (im *importer) decisions(o object) []string {
	if !o.has("decision_distribution") {
		return nil
	}
	d := o.object("decision_distribution")
	var parts []string
	other := false
	for _, key := range d.keys() {
		parts = append(parts, fmt.Sprintf("%d %s", d.count(key), shorten(key)))
		other = other || key != "allowed"
	}
	if !other {
		return nil
	}
	return []string{"decisions: " + strings.Join(parts, ", ")}
}
