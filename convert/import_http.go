package convert

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// unknownConcurrency stands in a name for a concurrency that the document
// does not state: Capsem's files lost the key when it went from 5 to 64.
const unknownConcurrency = "unknown"

func (im *importer) http(o object) {
	s, st := requests(o)
	total := o.count("total_requests")
	cat := &record.Category{Type: record.TypeCategory, Category: string(catalogue.HTTP), URL: o.str("url"), Requests: int(total)}
	c := unknownConcurrency
	if o.has("concurrency") {
		cat.Concurrency = int(min(o.count("concurrency"), maxNodes))
		c = strconv.Itoa(cat.Concurrency)
	} else {
		st.Doubts = append(st.Doubts, "the file does not state the concurrency")
	}
	o.optStr("source")
	im.cats[catalogue.HTTP] = cat
	name := fmt.Sprintf("HTTP/n=%d/c=%s", total, c)
	if im.own.present {
		im.takeSamples(o, "http/get")
	} else {
		name += urlPart(cat.URL, catalogue.DefaultHTTPURL)
	}
	im.add(catalogue.HTTP, name, s, st)
}

// requests reads the keys that http and the scenarios of the protocol lab
// have in common. Capsem counts failed requests in the rate and in the
// latency, where they pass for fast ones: with a single failure the operation
// is failed, and neither becomes a metric.
func requests(o object) (record.Samples, record.Status) {
	s, st := newSamples(), record.Status{}
	total := o.count("total_requests")
	s.Count, s.Failed, s.Bytes = o.count("successful"), o.count("failed"), o.optCount("transfer_bytes")
	perSec := o.float("requests_per_sec")
	s.Latency = latency(o.object("latency_ms"))
	if o.has("total_duration_ms") {
		s.ElapsedNS = unrounded(o.millis("total_duration_ms"), tenth, rate{float64(total), perSec, 1})
	} else if perSec > 0 {
		s.ElapsedNS = int64(min(float64(total)/perSec*1e9, maxMillis*1e6))
		st.Doubts = append(st.Doubts, "the total time is computed from the rate")
	}
	bps := o.optFloat("bytes_per_sec")
	s.Metrics["errors"] = float64(s.Failed)
	if s.Failed > 0 || s.Count < total || total == 0 {
		st.Status, st.Reason = record.Failed, fmt.Sprintf("%d of %d requests failed", max(s.Failed, total-s.Count), total)
		st.Doubts = append(st.Doubts, fmt.Sprintf("the file's rate of %g req/s and its latencies include failed requests", perSec))
		return s, st
	}
	s.Metrics["req/s"] = perSec
	for unit, ns := range map[string]float64{
		"ns/op": s.Latency.Mean, "p50-ns": s.Latency.P50, "p95-ns": s.Latency.P95, "p99-ns": s.Latency.P99,
		"min-ns": s.Latency.Min, "max-ns": s.Latency.Max,
	} {
		s.Metrics[unit] = ns
	}
	if o.has("bytes_per_sec") {
		s.Metrics["B/s"] = bps
	}
	return s, measured(s, st)
}

func latency(o object) *record.Latency {
	l := &record.Latency{
		Min: float64(o.millis("min")), Mean: float64(o.millis("mean")), Max: float64(o.millis("max")),
		P50: float64(o.millis("p50")), P95: float64(o.millis("p95")), P99: float64(o.millis("p99")),
	}
	o.done()
	return l
}

// protocol reads mock_server_protocol: requests of several kinds to a server
// of the lab. Each scenario is an HTTP operation of its own.
func (im *importer) protocol(o object) {
	for _, key := range []string{"base_url", "total_requests", "concurrency", "timeout_s", "timeout_ms", "selected_scenarios"} {
		o.get(key) // each scenario says what it did
	}
	if v := o.optStr("version"); v != "" && v != "1.0" && v != "1.1-rust" {
		im.note("%s: version %q read as 1.1-rust", o.path, v)
	}
	lane := o.optStr("lane")
	if o.has("websocket") {
		for _, ws := range o.objects("websocket") {
			im.websocket(ws)
		}
	}
	if !o.has("scenarios") {
		im.note("%s: no scenarios", o.path)
		return
	}
	if _, list := o.get("scenarios").value.([]*node); list {
		for _, sc := range o.objects("scenarios") {
			im.scenario(sc, lane)
		}
		return
	}
	byName := o.object("scenarios") // in some revisions
	for _, name := range byName.keys() {
		sc := byName.object(name)
		if !sc.has("name") {
			sc.n.value.(map[string]*node)["name"] = &node{value: name}
		}
		im.scenario(sc, lane)
	}
}

// websocket reads frames that were echoed over one connection.
func (im *importer) websocket(o object) {
	s := newSamples()
	frames := o.optCount("frames")
	name := fmt.Sprintf("Websocket/scenario=%s/frames=%d", slug(o.str("name")), frames)
	o.get("path")
	var st record.Status
	if o.has("skipped") && o.bool("skipped") {
		st.Status, st.Reason = record.Skipped, shorten(cmp.Or(o.optStr("reason"), "skipped in the file"))
	}
	if o.has("failed") && o.bool("failed") {
		st.Status, st.Reason = record.Failed, shorten(cmp.Or(o.optStr("error"), "failed in the file"))
	}
	if st.Status != "" {
		im.add(category(name), name, record.Samples{}, st)
		return
	}
	s.Count, s.ElapsedNS = frames, o.millis("duration_ms")
	f := figures{s: &s}
	f.scaled(o, "frames_per_sec", "frames/s", 1)
	l := o.object("latency_ms")
	for _, q := range []struct{ key, unit string }{{"mean", "ns/op"}, {"p50", "p50-ns"}, {"p95", "p95-ns"}, {"p99", "p99-ns"}, {"min", "min-ns"}, {"max", "max-ns"}} {
		f.millis(l, q.key, q.unit)
	}
	l.done()
	im.addFigures(name, f, measured(s, st))
	o.done()
}

// scenario reads one row. The lane is part of the name unless it is the
// guest's, though files are known that say "host_direct" of a guest run.
func (im *importer) scenario(o object, lane string) {
	s, st := requests(o)
	name := fmt.Sprintf("HTTP/n=%d/c=%d/scenario=%s", o.count("total_requests"), o.count("concurrency"), slug(o.str("name")))
	o.str("path")
	o.optStr("body_kind")
	if lane != "" && lane != "guest_capsem" {
		name += "/lane=" + slug(lane)
		st.Doubts = append(st.Doubts, "the lane is what the file says, and files are known to say it wrongly")
	}
	if n := o.optCount("transport_retries"); n > 0 {
		st.Doubts = append(st.Doubts, fmt.Sprintf("%d transport retries, each of which counts as a success", n))
	}
	if o.has("errors") {
		reasons := o.object("errors")
		for i, msg := range reasons.keys() {
			n := reasons.count(msg)
			if i == 0 {
				s.Errors = make(map[string]int64)
			}
			if i < 20 {
				s.Errors[shorten(msg)] += n
			}
		}
		reasons.done()
	}
	for _, key := range []string{"secret_shaped_fixture_seen", "raw_secret_stored_in_result"} {
		if o.has(key) {
			o.bool(key) // a check of the redaction, not a measurement
		}
	}
	im.add(catalogue.HTTP, name, s, st)
	o.done()
}

func (im *importer) throughput(o object) {
	const c = catalogue.Throughput
	s := newSamples()
	address := o.str("url")
	s.HTTPCode, s.Bytes, s.ElapsedNS = int(o.count("http_code")), o.count("size_bytes"), o.seconds("duration_s")
	mbps := o.float("throughput_mbps")
	o.optStr("source")
	im.cats[c] = &record.Category{Type: record.TypeCategory, Category: string(c), URL: address}
	name := "Throughput"
	if im.own.present {
		im.takeSamples(o, "throughput/get")
	} else if part := urlPart(address, catalogue.DefaultThroughputURL); part != "" {
		name += fmt.Sprintf("%s/size=%dB", part, s.Bytes)
	}
	var st record.Status
	switch {
	case s.HTTPCode/100 != 2:
		st.Status, st.Reason = record.Failed, fmt.Sprintf("HTTP %d", s.HTTPCode)
	case name == "Throughput" && !im.own.present && s.Bytes != catalogue.ThroughputBytes:
		st.Status, st.Reason = record.Failed, fmt.Sprintf("short download: %d of %d bytes", s.Bytes, catalogue.ThroughputBytes)
	default:
		s.Count = 1
		s.Metrics["ns/op"] = float64(s.ElapsedNS)
		s.Metrics["B/s"] = mbps * mib
		s.ElapsedNS = unrounded(s.ElapsedNS, 0.5e6, rate{float64(s.Bytes) / mib, mbps, 2})
		st = measured(s, st)
	}
	if s.Count == 0 {
		s.Failed = 1
	}
	im.add(c, name, s, st)
}

// urlPart returns "" for the URL that the catalogue's name stands for, else a
// part that makes the name another one: "/url=local.tiny".
func urlPart(address, catalogued string) string {
	if address == catalogued {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "/url=" + digest(address)
	}
	host, exact := u.Hostname(), u.Scheme == "https" && u.Port() == ""
	if isLocal(host) {
		// The port of a local server is another one in every run.
		host, exact = "local", u.Scheme == "http"
	}
	text := host + strings.ReplaceAll(strings.TrimSuffix(u.Path, "/"), "/", ".")
	part := slug(text)
	if !exact || u.RawQuery != "" || u.User != nil || part != strings.ReplaceAll(text, "-", "_") {
		part += "." + digest(address)
	}
	return "/url=" + part
}

// slug makes a value for a benchmark name: what is not [A-Za-z0-9_.] becomes
// "_", and what is long is cut with a digest of the whole.
func slug(s string) string {
	const limit = 80
	out := strings.Map(func(r rune) rune {
		if isName(string(r)) {
			return r
		}
		return '_'
	}, s)
	switch {
	case out == "":
		return "_"
	case len(out) > limit:
		return out[:limit] + "." + digest(s)
	}
	return out
}

func digest(s string) string {
	h := fnv.New32a()
	h.Write([]byte(s))
	return fmt.Sprintf("%08x", h.Sum32())
}
