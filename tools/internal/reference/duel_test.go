package reference

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAlternate(t *testing.T) {
	order := ""
	side := func(name string, v float64) Measure {
		return func(context.Context) (float64, error) {
			order += name
			return v, nil
		}
	}
	r, err := Alternate(t.Context(), 4, side("A", 3), side("B", 2))
	require.NoError(t, err)
	assert.Equal(t, "ABBAABBA", order)
	assert.Equal(t, []float64{3, 3, 3, 3}, r.Ours)
	assert.InDelta(t, 1.5, r.Ratio(), 0)

	_, err = Alternate(t.Context(), 1, side("A", 0), side("B", 2))
	require.ErrorContains(t, err, "means nothing")
	broken := errors.New("broken")
	_, err = Alternate(t.Context(), 1, side("A", 1), func(context.Context) (float64, error) { return 1, broken })
	require.ErrorIs(t, err, broken)
}

// A pair that was slow on both sides, or on one, moves the ratio little.
func TestRatioIsOfPairs(t *testing.T) {
	r := Result{Ours: []float64{10, 1, 10, 10, 2}, Theirs: []float64{5, 0.5, 5, 5, 20}}
	assert.InDelta(t, 2, r.Ratio(), 0)
}

func TestSpread(t *testing.T) {
	assert.InDelta(t, 0.2, Spread([]float64{9, 10, 11}), 1e-9, "of three runs all count")
	assert.InDelta(t, 0.2, Spread([]float64{1, 9, 10, 11, 99}), 1e-9, "an outlier on each side does not")
	assert.InDelta(t, 0, Spread([]float64{5, 5, 5}), 0)
	assert.InDelta(t, 2.5, Median([]float64{4, 1, 2, 3}), 0)
}

func TestAnswersOfTools(t *testing.T) {
	v, err := number(perSecond, "  1000 requests in 2.00s\nRequests/sec:  55154.25\nTransfer/sec: 6MB\n", "wrk")
	require.NoError(t, err)
	assert.InDelta(t, 55154.25, v, 0)
	_, err = number(perSecond, "unable to connect", "wrk")
	require.Error(t, err)
	assert.NotEmpty(t, wrkErrors.FindString("  Socket errors: connect 0, read 3, write 0, timeout 0"))
	assert.NotEmpty(t, wrkErrors.FindString("  Non-2xx or 3xx responses: 12"))
	assert.Equal(t, []string{"268435456 bytes (268 MB, 256 MiB) copied, 0.21 s", "268435456", "0.21"},
		ddLine.FindStringSubmatch("268435456 bytes (268 MB, 256 MiB) copied, 0.21 s, 1.3 GB/s"))
	assert.Equal(t, []string{
		"fio", "--name=job", "--output-format=json", "--ioengine=psync", "--filename=f", "--rw=randread", "--bs=4k", "--size=1048576",
		"--fallocate=none", "--number_ios=10", "--invalidate=1", "--readonly",
	}, Fio{File: "f", RW: "randread", Block: "4k", Size: 1 << 20, Count: 10}.args())
	assert.Contains(t, Fio{RW: "read"}.args(), "--fadvise_hint=0", "the guest binary gives no hint either")
}
