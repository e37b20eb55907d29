//go:build !linux

package guest

import (
	"context"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
)

// Drop can neither drop nor prove anything here.
func Drop([]string) record.Status { return record.Status{Cache: record.CacheUnverified} }

// Warm cannot tell here what is cached.
func Warm(context.Context, []string, int64, time.Duration, func() (time.Duration, error)) time.Duration {
	return 0
}
