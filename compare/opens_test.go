package compare

import (
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/stretchr/testify/assert"
)

// A base whose random reads of the rootfs opened a file each time did other
// work than a candidate that keeps descriptors.
func TestOtherWayOfOpeningIsOtherWork(t *testing.T) {
	const op = "rootfs/rand_read_4k"
	m := boottest.New(6)
	m.Edit = func(b *boottest.Boot) {
		if b.Side == boottest.Cand {
			return
		}
		for _, values := range b.Find(op).Values {
			delete(values, "open-p50-ns")
			delete(values, "open-p95-ns")
		}
		o := b.Find(op)
		o.Units = o.Units[:len(o.Units)-2]
	}
	c := judged(t, m, Options{}, 10)
	f := c.find(t, op)
	assert.Equal(t, NotComparable, f.Verdict)
	assert.Contains(t, f.Reason, "files are opened")
}
