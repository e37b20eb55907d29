package load

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stalling answers in 1 ms, but stands still for the first second of every
// five: what arrives then is answered when it is over.
type stalling struct{ start time.Time }

const (
	stall  = time.Second
	period = 5 * time.Second
)

func (s stalling) Do() (string, error) {
	if into := time.Since(s.start) % period; into < stall {
		time.Sleep(stall - into)
	}
	time.Sleep(time.Millisecond)
	return "answered", nil
}

func (stalling) Close() {}

// A closed loop hides a server that stands still for a fifth of the time: its
// p99 is that of the fast answers. The open loop shows it, when times count
// from when requests were due, and the times from when they were sent, on
// enough workers, do so too.
func TestCoordinatedOmission(t *testing.T) {
	const run = 50 * time.Second
	server := func(context.Context) (Client, error) { return stalling{time.Now()}, nil }
	measure := func(t *testing.T, p Plan) (r *Result) {
		synctest.Test(t, func(t *testing.T) {
			var err error
			r, err = Run(t.Context(), p, server)
			require.NoError(t, err)
		})
		return r
	}
	closed := measure(t, Plan{Concurrency: 1, Duration: run})
	p99, known := Percentile(closed.Times(), 99)
	require.True(t, known)
	assert.InDelta(t, 1e6, p99, 0.01e6, "the closed loop's p99 hides the stalls")
	assert.InDelta(t, 1e9, float64(closed.Times().Max()), 0.01e9)
	assert.Zero(t, closed.Late)

	open := measure(t, Plan{Concurrency: 1, Duration: run, Rate: 500})
	corrected, known := Percentile(open.Times(), 99)
	require.True(t, known)
	assert.Greater(t, corrected, 0.9e9, "requests that were due in a stall have waited for its end")
	sent, _ := Percentile(open.Service, 99)
	assert.InDelta(t, 1e6, sent, 0.01e6, "from when they were sent, one worker hides it as the closed loop does")
	assert.Greater(t, open.Late, int64(0.2*500*50))
	assert.Zero(t, open.Dropped, "twice the rate of the schedule catches up")
	assert.EqualValues(t, 500*50, open.OK)
	assert.Equal(t, map[string]int64{"answered": open.OK}, open.Decisions)
}

// slow answers every request in 100 ms.
type slow struct{}

func (slow) Do() (string, error) { time.Sleep(100 * time.Millisecond); return "", nil }
func (slow) Close()              {}

func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := Run(t.Context(), Plan{Concurrency: 2, Duration: 10 * time.Second, Rate: 100}, func(context.Context) (Client, error) { return slow{}, nil })
		require.NoError(t, err)
		assert.EqualValues(t, 200, r.OK, "two workers do twenty a second")
		assert.EqualValues(t, 800, r.Dropped)
		assert.Contains(t, r.Doubts(), "800 requests were due and never sent: no worker was free")
		assert.InDelta(t, 20, r.Rate(), 0.3)
	})
}

// failing fails every second request at once.
type failing struct{ n int }

func (f *failing) Do() (string, error) {
	if f.n++; f.n%2 == 0 {
		return "", errors.New("refused")
	}
	time.Sleep(10 * time.Millisecond)
	return "", nil
}
func (*failing) Close() {}

// A failure has no time and no part in the rate.
func TestFailuresAreNotFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := Run(t.Context(), Plan{Concurrency: 1, Duration: time.Second}, func(context.Context) (Client, error) { return new(failing), nil })
		require.NoError(t, err)
		assert.EqualValues(t, 100, r.OK)
		assert.Equal(t, map[string]int64{"refused": r.Failed}, r.Errors)
		assert.InDelta(t, 100, r.Rate(), 1)
		assert.EqualValues(t, r.OK, r.Service.TotalCount())
		assert.InDelta(t, 1e7, float64(r.Service.Min()), 1e4)
	})
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := Run(ctx, Plan{Concurrency: 3, Duration: time.Hour, Rate: 10}, func(context.Context) (Client, error) { return slow{}, nil })
		require.NoError(t, err)
		assert.LessOrEqual(t, r.Elapsed, 2*time.Second)
	})
	_, err := Run(t.Context(), Plan{Concurrency: 2, Duration: time.Second}, func(context.Context) (Client, error) { return nil, errors.New("no socket") })
	assert.EqualError(t, err, "no socket")
}

// A percentile needs ten values beyond it.
func TestPercentileNeedsValues(t *testing.T) {
	h := newHistogram()
	for range 999 {
		require.NoError(t, h.RecordValue(5))
	}
	_, known := Percentile(h, 95)
	assert.True(t, known)
	_, known = Percentile(h, 99.9)
	assert.False(t, known)
	for range 9001 {
		require.NoError(t, h.RecordValue(5))
	}
	v, known := Percentile(h, 99.9)
	assert.True(t, known)
	assert.InDelta(t, 5, v, 0)
}
