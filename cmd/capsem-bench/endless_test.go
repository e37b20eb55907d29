package main

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// A trickle is a guest that prints a line a minute and heeds no interrupt.
type trickle struct{ line string }

func (g trickle) Run(ctx context.Context, _ []string, stdout, _ io.Writer) (int, error) {
	for tick := time.NewTicker(time.Minute); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return -1, context.Cause(ctx)
		case <-tick.C:
			fmt.Fprintln(stdout, g.line)
		}
	}
}

func (trickle) Close() error { return nil }

// Guest to time of the host: a guest that prints now and then for ever is
// ended, whether that means anything or not.
func TestTrickleEnds(t *testing.T) {
	for name, line := range map[string]string{
		"nothing": ".", "results": "BenchmarkHTTP/n=50/c=5 \t 1 \t 5 ns/op", "comments": `#capsem {"type":"status","op":"HTTP/n=50/c=5","status":"ok"}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newApp(nil, io.Discard, io.Discard)
				m := a.newMeasurement(&measureOptions{count: 1, quiet: true}, []catalogue.Category{catalogue.HTTP})
				defer m.p.Close()
				begin := time.Now()
				assert.False(t, m.boot(t.Context(), trickle{line}, textName, nil))
				assert.Equal(t, 2*silenceLimit(), time.Since(begin), "one operation, and the end")
				require.Len(t, m.boots, 1)
				assert.EqualError(t, m.boots[0].err, "the guest did not come to an end within 20m20s and was ended; CAPSEM_BENCH_TIMEOUT sets the limit of one pass")
			})
		})
	}
}

// No run that works comes near it.
func TestLongestBoot(t *testing.T) {
	t.Parallel()
	const limit = 10 * time.Minute
	assert.Equal(t, 6*limit, longestBoot(limit, []catalogue.Category{catalogue.Startup}, 1))
	assert.Equal(t, 51*limit, longestBoot(limit, []catalogue.Category{catalogue.Startup}, 10))
	assert.Greater(t, longestBoot(limit, nil, 1), 20*limit)
	assert.Equal(t, 101*limit, longestBoot(limit, []catalogue.Category{catalogue.Load}, 1))
	assert.Positive(t, longestBoot(time.Duration(1<<63-1), nil, maxCount))
}
