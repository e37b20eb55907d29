package compare

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/internal/catalogue"
)

// A percentile of load that the requests do not support is not a failure of the
// build: the rate beside it is judged.
func TestTooFewRequestsForAPercentile(t *testing.T) {
	for _, side := range []string{boottest.Base, boottest.Cand} {
		m := boottest.New(1)
		m.Ops = []catalogue.Op{catalogue.LoadOp(catalogue.LoadMCP, 10, "")}
		m.Edit = func(b *boottest.Boot) {
			for i := range b.Ops {
				for _, values := range b.Ops[i].Values {
					values["p95-ns"] = 5
					if b.Side == side {
						delete(values, "p95-ns")
					}
				}
			}
		}
		c := judged(t, m, Options{}, 6, 4, 6)
		f := c.find(t, "load/mcp/10 p95-ns")
		assert.Equal(t, Skipped, f.Verdict, side)
		assert.Contains(t, f.Reason, "too few requests for p95-ns")
		require.NotEqual(t, Missing, c.find(t, "load/mcp/10 req/s").Verdict)
		assert.Empty(t, c.Failures, side)
	}
}
