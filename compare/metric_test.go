package compare

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The mean of the middle half is the median of few values, and of more of them
// what slow rounds do not move.
func TestMiddleHalf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7},
		{[]float64{1, 2}, 1.5},
		{[]float64{1, 2, 9}, 2},
		{[]float64{1, 2, 4, 90}, 3},
		{[]float64{1, 2, 4, 6, 90}, 4},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, 5},
		{[]float64{0, 0, 3, 4, 5, 6, 12, 800, 900}, 6},
	} {
		assert.InDelta(t, tt.want, MiddleHalf(tt.values), 1e-12, "%v", tt.values)
	}
}
