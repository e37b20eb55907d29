package hostcheck

import (
	"context"
	"runtime"
	"slices"
	"time"
)

const (
	turns = 10
	// fewTurns are for the looks between the boots of a series: they are many,
	// and a median of five is as good to hold against that of the boot before.
	fewTurns = 5
	// tries is how often the loop may be started again: a single interrupt
	// of some milliseconds is no unfit machine, a second and third one are.
	tries = 3
	// steps take 20 to 40 ms on a processor of 2 to 4 GHz: long enough for
	// the scheduler's ticks to average out, short enough to be repeated.
	steps = 1 << 23
)

// burn is what the loop took.
type burn struct {
	median time.Duration // of one turn
	spread float64       // slowest over fastest turn, minus 1
}

// burnIn runs the fixed loop and returns its steadiest try. The first turn of
// all wakes the processor and does not count.
func burnIn(ctx context.Context, turns int) burn {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	turn()
	var best burn
	for range tries {
		took := make([]time.Duration, turns)
		for i := range took {
			if ctx.Err() != nil {
				return best
			}
			start := time.Now()
			turn()
			took[i] = time.Since(start)
		}
		slices.Sort(took)
		b := burn{took[turns/2], float64(took[turns-1])/float64(took[0]) - 1}
		if best.median == 0 || b.spread < best.spread {
			best = b
		}
		if best.spread <= maxSpread {
			break
		}
	}
	return best
}

// sink keeps the compiler from leaving the work out.
//
//go:noinline
func sink(uint64) {}

// turn is the work: a chain of dependent integer operations without memory
// (Marsaglia 2003, Xorshift RNGs), so it depends on the clock rate alone.
func turn() {
	x := uint64(88172645463325252)
	for range steps {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	sink(x)
}
