package record

import (
	"slices"

	"github.com/montanaflynn/stats"
)

// LatencyOf returns the summary of single times in ns, or nil for none. It
// sorts ns.
func LatencyOf(ns []int64) *Latency {
	if len(ns) == 0 {
		return nil
	}
	slices.Sort(ns)
	data := make(stats.Float64Data, len(ns))
	for i, v := range ns {
		data[i] = float64(v)
	}
	mean, _ := stats.Mean(data)
	return &Latency{
		Min: data[0], Mean: mean, Max: data[len(data)-1],
		P50: percentile(data, 50), P95: percentile(data, 95), P99: percentile(data, 99),
	}
}

// percentile of sorted, non-empty data cannot fail.
func percentile(data stats.Float64Data, p float64) float64 {
	v, _ := stats.Percentile(data, p)
	return v
}
