// Package coldcache empties the page cache before a cold operation and proves
// that it is empty.
//
// "Cold" means that after dropping at most 10 % of the pages of the files that
// the operation reads were still in the page cache, counted by cachestat(2) or
// mincore(2): a read of them is at most that much faster than one from the
// disk. Their number is recorded, and shown from 1 % on. Pages that another
// process has mapped cannot be dropped. The host of a VM is asked to drop its
// caches too.
package coldcache

import (
	"context"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
)

const (
	// coldShare is how many of the pages stay in the cache of any cold start: a
	// file's header page often comes back while it is being looked at.
	coldShare = 0.01
	// warmShare is from how many on the cache is called warm. Less is a remark
	// beside the number: it moves a figure by less than boots differ.
	warmShare = 0.10
)

// The values of record.Status.Dropped.
const (
	droppedAll   = "drop_caches"
	droppedFiles = "fadvise"
)

// Reach is how far dropping goes beyond the files that are measured.
type Reach struct {
	// FilesOnly spares everything else on a machine that others use too, also
	// where we are root.
	FilesOnly bool
	// Host is the address of the service that drops the host's caches, "" if
	// there is none: see EnvHostCaches of package catalogue.
	Host string
}

// DropPart is Drop for files that are only part of what will be read: unless
// everything was dropped, the cache is unverified then.
func DropPart(files []string, reach Reach) record.Status {
	st := Drop(files, reach)
	if st.Cache == record.CacheCold && st.Dropped != droppedAll {
		st.Cache = record.CacheUnverified
	}
	return st
}

// Warm repeats the work of a cold pass once after its timer has stopped and
// returns how long that took. If the cold pass was not slower, the disk did not
// decide its time, whatever the proof of cold says. More turns, of which the
// fastest would count, have been tried: they only ran where the first was twice
// as fast as the cold pass, which is all that is asked.
//
// cached says how many pages of the files are in the page cache; touched is how
// many the pass has filled. If some of them are missing, the files are larger
// than memory and a repetition is no warm read: Warm returns 0, as when the work
// fails. If all are missing, the filesystem leaves caching to the host.
func Warm(ctx context.Context, cached func() (n int64, known bool), touched int64, work func() (time.Duration, error)) time.Duration {
	n, known := cached()
	if !known || n > 0 && float64(n) < (1-coldShare)*float64(touched) {
		return 0
	}
	took, err := work()
	if err != nil || ctx.Err() != nil {
		return 0
	}
	return took
}
