package compare

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The judge of 64 boots a side on 20 machines takes a bounded amount of
// processor time, of which 5 s is what people wait for.
func TestManyMachinesCost(t *testing.T) {
	m := boottest.New(6)
	m.Ops, m.Rounds = boottest.ManyOps(50), 10
	m.Edit = func(b *boottest.Boot) { b.Mark.Machine = fmt.Sprint("node", (b.Mark.Slot-1)/2%20) }
	base, cand := new(Side), new(Side)
	olds, news := m.Stages(20, 20, 24)
	for _, side := range []struct {
		to    *Side
		boots []*boottest.Boot
	}{{base, olds}, {cand, news}} {
		for i, b := range side.boots {
			boots, _, err := ParseBoots(b.Text(), fmt.Sprint(b.Side, i))
			require.NoError(t, err)
			side.to.Boots = append(side.to.Boots, boots...)
		}
	}
	plan, err := PlanOf([]int{20, 40, 64})
	require.NoError(t, err)
	start := processorTime()
	c, err := Judge(base, cand, Options{Plan: plan})
	require.NoError(t, err)
	took := processorTime() - start
	t.Logf("judged in %s of processor time", took.Round(time.Millisecond))
	assert.Equal(t, 20, c.Machines)
	assert.Equal(t, Interleaved, c.Order.Interleaving, c.Order.Reason)
	assert.Less(t, took, 5*time.Second)
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
