package load

import (
	"fmt"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/record"
)

// Samples are the values of the pass. Without a success there is no latency
// and no rate, and a percentile is there only where the number of requests
// supports it.
func (r *Result) Samples() record.Samples {
	s := record.Samples{
		StartNS: r.Start.UnixNano(), ElapsedNS: int64(r.Elapsed), Count: r.OK, Failed: r.Failed,
		Errors: r.Errors, Answers: r.Decisions,
		Concurrency: r.Plan.Concurrency, Rate: r.Plan.Rate, Late: r.Late, Dropped: r.Dropped, CPUNS: int64(r.CPU),
		Metrics: map[string]float64{"errors": float64(r.Failed), "maxrss-B": float64(r.PeakRSS)},
	}
	if r.OK == 0 {
		return s
	}
	times := r.Times()
	s.Histogram = record.HistogramFrom(times)
	s.Metrics["ns/op"] = times.Mean()
	s.Metrics["req/s"] = r.Rate()
	s.Metrics["p50-ns"] = float64(times.ValueAtPercentile(50))
	s.Metrics["max-ns"] = float64(times.Max())
	for unit, p := range map[string]float64{"p95-ns": 95, "p99-ns": 99, "p999-ns": 99.9} {
		if v, known := Percentile(times, p); known {
			s.Metrics[unit] = v
		}
	}
	if r.Plan.Rate > 0 {
		s.Metrics["sent-p50-ns"] = float64(r.Service.ValueAtPercentile(50))
		if v, known := Percentile(r.Service, 99); known {
			s.Metrics["sent-p99-ns"] = v
		}
	}
	return s
}

// Err is nil when every request succeeded; else it counts the failures.
func (r *Result) Err() error {
	if r.Failed == 0 && r.OK > 0 {
		return nil
	}
	var reasons []string
	for reason, n := range r.Errors {
		reasons = append(reasons, fmt.Sprintf("%d %s", n, reason))
	}
	slices.Sort(reasons)
	return fmt.Errorf("%d of %d requests failed: %s", r.Failed, r.OK+r.Failed, strings.Join(reasons, ", "))
}
