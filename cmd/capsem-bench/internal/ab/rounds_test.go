package ab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Ten rounds where they are cheap beside a boot or short, fewer where they are
// not, never below three.
func TestRounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		boot, round time.Duration
		want        int
	}{
		{0, 0, 10},
		{20 * time.Second, time.Second, 10},
		{2 * time.Second, 3 * time.Second, 10},
		{2 * time.Second, 5 * time.Second, 6},
		{60 * time.Second, 10 * time.Second, 6},
		{200 * time.Second, 10 * time.Second, 10},
		{time.Second, 10 * time.Second, 3},
		{time.Second, 5 * time.Minute, 3},
	} {
		assert.Equal(t, tt.want, Timing{Boot: tt.boot, Round: tt.round}.Rounds(), "boot %s, round %s", tt.boot, tt.round)
	}
	assert.Equal(t, 14*time.Second, Timing{Boot: 4 * time.Second, Round: time.Second}.Each(10))
}

// What the guest says of time is not believed beyond what the host saw, and a
// boot that does not come to its end is no timing.
func TestProbe(t *testing.T) {
	t.Parallel()
	const run = `#capsem {"type":"run","schema":"capsem-bench.text/1","time":1800000000}` + "\n"
	probe := func(text string, crash error) (Probed, error) {
		return Probe(t.Context(), Config{Measure: func(_ context.Context, b Boot, w io.Writer) error {
			assert.Equal(t, Boot{Side: Base, Stage: 1, Rounds: probeRounds}, b)
			_, err := io.WriteString(w, text)
			return errors.Join(err, crash)
		}})
	}
	for _, elapsed := range []int64{-5, 0, 1 << 62} {
		got, err := probe(run+fmt.Sprintf(`#capsem {"type":"end","time":1800000001,"elapsed_ns":%d,"status":"ok"}`, elapsed)+"\n", nil)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, got.Boot, time.Duration(0))
		assert.GreaterOrEqual(t, got.Round, time.Duration(0))
		assert.Less(t, got.Round, time.Minute)
	}
	_, err := probe(run, nil)
	require.ErrorContains(t, err, "no end line")
	_, err = probe("", fmt.Errorf("%w: no such flag", ErrGiveUp))
	require.ErrorIs(t, err, ErrGiveUp)
}
