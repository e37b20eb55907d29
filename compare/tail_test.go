package compare

import (
	"testing"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/stretchr/testify/assert"
)

// TestSlowTailInTheHeadline names what is slow in some boots, in place of a
// bound of the others that is its own.
func TestSlowTailInTheHeadline(t *testing.T) {
	t.Parallel()
	m := boottest.New(21)
	m.Edit = func(b *boottest.Boot) {
		if b.Side == boottest.Cand && b.Mark.Slot%3 == 0 {
			for _, v := range b.Find("startup/node").Values {
				v["ns/op"] *= 3
			}
		}
	}
	c := judged(t, m, Options{}, 16)
	d := Gate(c)
	assert.Equal(t, Pass, d.Status, d.Reasons)
	assert.Regexp(t, `^PASS: none of 29 metrics regressed. None of the others is slower by more than [0-4]\.\d %. Slow in some boots: startup/node: [3-8] of 16 new boots over 1.5x, 0 of 16 old.$`, c.Headline(d))
}
