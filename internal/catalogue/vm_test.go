package catalogue

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Stages, numbers of VMs and sizes are part of what is measured, whichever a
// sandbox or a user has.
func TestOperationsOfVMs(t *testing.T) {
	for name, id := range map[string]string{
		"Lifecycle/op=provision": "lifecycle/provision", "BenchmarkLifecycle/op=exec_ready-8": "lifecycle/exec_ready",
		"Lifecycle/op=boot/stage=kernel": "lifecycle/boot/kernel", "Lifecycle/op=memory/of=guest": "lifecycle/memory/guest",
		"Fork/op=image_size": "fork/image_size", "Parallel/vms=4/op=vm": "parallel/4/vm", "Parallel/vms=1/op=vm": "parallel/1/vm",
		"Exec/op=true/count=7": "exec/true", "Exec/op=stdin/size=3MiB": "exec/stdin",
	} {
		op, ok := Lookup(name)
		assert.True(t, ok, name)
		assert.Equal(t, id, op.ID)
		assert.Equal(t, id, Key(name))
		assert.Equal(t, TrimName(name), op.Name)
		byID, ok := ByID(id)
		assert.True(t, ok, id)
		assert.Equal(t, op.ID, byID.ID)
		assert.Equal(t, op.Units, byID.Units)
	}
	for _, name := range []string{
		"Lifecycle", "Lifecycle/op=boot", "Lifecycle/op=boot/stage=", "Lifecycle/op=nap", "Fork/op=exec", "Parallel/vms=0/op=vm", "Parallel/vms=04/op=vm",
		"Parallel/vms=99999999999999999999/op=vm", "Exec/op=true", "Exec/op=stdin/count=3", "Lifecycle/op=memory/of=guest/x=1", "Parallel/vms=4/op=vm/vm=1",
	} {
		_, ok := Lookup(name)
		assert.False(t, ok, name)
	}
	for _, c := range []Category{Lifecycle, Fork, Parallel, Exec} {
		assert.True(t, c.Row().Host, c)
		assert.Equal(t, c.Benchmark(), c.vmFunc())
		assert.Empty(t, Select(Ops(Settings{}), c), "it is measured where it is named")
		assert.NotContains(t, GuestCategories(), c)
	}
	assert.Contains(t, GuestCategories(), Load)
	for _, unit := range append(LifecycleOp(OpProvision).Units, "rss-B", "pss-B", "size-B", "slowdown") {
		assert.Equal(t, Lower, UnitOf(unit).Better, unit)
	}
}
