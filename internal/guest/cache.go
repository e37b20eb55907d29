package guest

import (
	"context"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
)

// coldShare is how many of the pages may stay in the cache of a cold start:
// a file's header page often comes back while it is being looked at.
const coldShare = 0.01

// The values of record.Status.Dropped.
const (
	droppedAll   = "drop_caches"
	droppedFiles = "fadvise"
)

// DropProgram is Drop for what the start of a program reads. Of a wrapper
// only part of that is known, so without root its cache is unverified.
func DropProgram(p Program) record.Status {
	st := Drop(p.Files)
	if p.Wrapper && st.Cache == record.CacheCold && st.Dropped != droppedAll {
		st.Cache = record.CacheUnverified
	}
	return st
}

// warmTurns is how often warm work is done at most: the fastest turn counts,
// for others on the machine can only slow it down.
const warmTurns = 3

// Warm does a cold pass's work again, after the pass and outside of its timer,
// and returns how long the fastest turn took: a pass that was not slower was
// not decided by the disk, whatever the proof of cold says. All turns together
// take no longer than the cold one, or there is one.
//
// cached says how many pages of the files are in the page cache, of which the
// pass touched a number. Without all of them the files are larger than memory,
// and reading again is no warm read: it returns 0, as when the work fails. None
// at all means a filesystem that leaves caching to the host.
func Warm(ctx context.Context, cached func() (n int64, known bool), touched int64, cold time.Duration, work func() (time.Duration, error)) time.Duration {
	n, known := cached()
	if !known || n > 0 && float64(n) < (1-coldShare)*float64(touched) {
		return 0
	}
	var best, spent time.Duration
	for turn := 0; turn < warmTurns && (turn == 0 || spent+best <= cold); turn++ {
		took, err := work()
		if err != nil || ctx.Err() != nil {
			return 0
		}
		if spent += took; turn == 0 || took < best {
			best = took
		}
	}
	return best
}
