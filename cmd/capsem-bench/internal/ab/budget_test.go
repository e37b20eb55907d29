package ab

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The longer a trial may take, the smaller what it shows; its last look is
// within the time, and a plan that shows nothing is refused with the time that
// would do.
func TestWithin(t *testing.T) {
	t.Parallel()
	f := NewForecaster(29)
	timing := Timing{Boot: 10 * time.Second, Round: time.Second}
	before := math.Inf(1)
	for _, tt := range []struct {
		most   time.Duration
		looks  []int
		rounds int
	}{
		{2*time.Minute + 10*time.Second, []int{5}, 3}, // 10 boots of 13 s
		{3 * time.Minute, []int{6}, 5},
		{7 * time.Minute, []int{6, 10, 16}, 3},
		{12 * time.Minute, []int{6, 10, 16}, 10}, // 32 boots of 20 s are 10m40s
		{24 * time.Hour, []int{6, 10, 16}, 10},
	} {
		looks, rounds, shows, err := timing.Within(tt.most, f)
		require.NoError(t, err, tt.most)
		assert.LessOrEqual(t, time.Duration(2*looks[len(looks)-1])*timing.Each(rounds), tt.most)
		assert.Equal(t, fmt.Sprint(tt.looks, tt.rounds), fmt.Sprint(looks, rounds), tt.most)
		assert.LessOrEqual(t, shows.Noisy, before, tt.most)
		assert.Less(t, shows.Quiet, shows.Noisy)
		before = shows.Noisy
	}

	_, _, _, err := timing.Within(2*time.Minute, f)
	var short *TooShortError
	require.ErrorAs(t, err, &short)
	assert.EqualError(t, err, "2m0s shows nothing: the shortest plan that does is 10 boots of 13s, which take 2m10s")
	_, _, _, err = timing.Within(short.Need, f)
	require.NoError(t, err, "the time that it asks for is enough")
}

// A forecast is that of the formula where boots alone scatter, grows with the
// noise and the metrics, and is none where a plan could never reject.
func TestForecast(t *testing.T) {
	t.Parallel()
	whole, err := NewForecaster(29).Of([]int{6, 10, 16}, 10)
	require.NoError(t, err)
	// exp(2.05 sd) - 1, and the budget of 5 % below which nothing is found.
	assert.InDelta(t, 0.07, whole.Quiet, 0.015)
	assert.InDelta(t, math.Expm1(2.05*sd(NoisyBoots, noisyRounds, 10)), whole.Noisy, 0.06)
	fewer, err := NewForecaster(29).Of([]int{6, 10, 16}, 3)
	require.NoError(t, err)
	assert.Greater(t, fewer.Noisy, whole.Noisy)
	never, err := NewForecaster(29).Of([]int{4}, 10)
	require.NoError(t, err)
	assert.True(t, never.vain() && math.IsInf(never.Quiet, 1))
	few, err := NewForecaster(29).Of([]int{6}, 10)
	require.NoError(t, err)
	assert.Greater(t, few.Quiet, whole.Quiet)
	assert.Greater(t, few.Noisy, whole.Noisy)
}
