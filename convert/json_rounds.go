package convert

import (
	"math"
	"slices"

	"github.com/capsem/capsem-bench/internal/record"
)

// round is what one round of an operation measured, in ns and bytes.
type round struct {
	elapsed              float64
	count, failed, bytes int64
	files, code          int64
	values               []float64 // single operations
	latency              record.Latency
}

type rounds []round

// roundsOf returns the rounds from the samples lines, which are exact. Text
// without them is taken from the result lines, which have four digits or
// whole ns.
func roundsOf(res *Result) rounds {
	var rs rounds
	for _, s := range res.Samples {
		r := round{
			elapsed: float64(s.ElapsedNS), count: s.Count, failed: s.Failed, bytes: s.Bytes,
			files: s.Files, code: int64(s.HTTPCode),
		}
		for _, v := range s.Values {
			r.values = append(r.values, float64(v))
		}
		if s.Latency != nil {
			r.latency = *s.Latency
		}
		rs = append(rs, r)
	}
	if len(rs) > 0 {
		return rs
	}
	for i := range res.Values["ns/op"].Values() {
		rs = append(rs, res.lineRound(i))
	}
	return rs
}

// lineRound rebuilds a round from its result line.
func (res *Result) lineRound(i int) round {
	at := func(unit string) float64 {
		if v := res.Values[unit].Values(); i < len(v) {
			return v[i]
		}
		return 0
	}
	ns := at("ns/op")
	r := round{count: int64(max(res.Op.Count, 1)), failed: int64(at("errors"))}
	r.elapsed = ns * float64(r.count)
	if n := res.iterations.Values(); !res.Known && i < len(n) {
		r.elapsed = ns * n[i] // testing divides by its iterations
	}
	if rate := at("req/s"); rate > 0 {
		// Requests overlap: the mean latency says nothing of the whole.
		r.elapsed = float64(r.count) / rate * 1e9
	}
	r.bytes = res.Op.Bytes
	if rate := at("B/s"); rate > 0 && r.bytes == 0 {
		r.bytes = int64(math.Round(rate * r.elapsed / 1e9))
	}
	r.latency = record.Latency{Min: at("min-ns"), Mean: ns, P50: at("p50-ns"), P95: at("p95-ns"), P99: at("p99-ns"), Max: at("max-ns")}
	r.values = []float64{ns}
	return r
}

// number is the median over the rounds.
func (rs rounds) number(f func(round) float64) float64 {
	v := make([]float64, len(rs))
	for i, r := range rs {
		v[i] = f(r)
	}
	return medianFloats(v)
}

// whole is the median of a whole number, the lower one of two.
func (rs rounds) whole(f func(round) int64) int64 {
	if len(rs) == 0 {
		return 0
	}
	v := make([]int64, len(rs))
	for i, r := range rs {
		v[i] = f(r)
	}
	slices.Sort(v)
	return v[(len(v)-1)/2]
}

// samples is the addition beside an operation's keys: every round's values.
func samples(res *Result) member {
	f := fields{}
	for _, unit := range res.Units {
		f = append(f, member{unit, res.Values[unit].array()})
	}
	return member{"samples", f}
}

func (s *Series) array() array {
	values := array{}
	for _, v := range s.Values() {
		values = append(values, v)
	}
	return values
}
