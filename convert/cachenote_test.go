package convert

import (
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
)

// What stayed in the cache is shown as a share, whatever the guest called it,
// and is warm only where it matters.
func TestCacheNoteByShare(t *testing.T) {
	op, _ := catalogue.ByID("rootfs/seq_read")
	for _, tt := range []struct {
		note record.Status
		want string
	}{
		{record.Status{Cache: record.CacheCold, Resident: 10, Pages: 1000}, ""},
		{record.Status{Cache: record.CacheCold, Resident: 25, Pages: 1000}, "2.5% of the pages were still cached (25 of 1000)"},
		{record.Status{Cache: record.CacheWarm, Resident: 25, Pages: 1000}, "2.5% of the pages were still cached (25 of 1000)"},
		{record.Status{Cache: record.CacheWarm, Resident: 250, Pages: 1000}, "cache was warm (25% of the pages resident, 250 of 1000)"},
		{record.Status{Cache: record.CacheWarm}, "cache was warm"},
	} {
		assert.Equal(t, tt.want, cacheNote(&Result{Op: op, Note: tt.note}))
	}
}
