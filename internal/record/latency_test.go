package record

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLatencyOf(t *testing.T) {
	assert.Nil(t, LatencyOf(nil))
	ns := make([]int64, 0, 101)
	for i := range int64(101) {
		ns = append(ns, 100-i)
	}
	assert.Equal(t, &Latency{Min: 0, Mean: 50, P50: 50, P95: 95, P99: 99, Max: 100}, LatencyOf(ns))
	assert.InDelta(t, 38.5, LatencyOf([]int64{10, 20, 30, 40}).P95, 1e-9, "type 7 interpolates at (n-1)*p")
}
