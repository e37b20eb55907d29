//go:build !linux

package coldcache

import (
	"os"

	"github.com/capsem/capsem-bench/internal/record"
)

// Drop can neither drop nor prove anything here.
func Drop([]string, Reach) record.Status { return record.Status{Cache: record.CacheUnverified} }

// CachedPages and CachedPagesOf cannot tell here.
func CachedPages(*os.File, int64) (n int64, known bool) { return 0, false }
func CachedPagesOf([]string) (n int64, known bool)      { return 0, false }
