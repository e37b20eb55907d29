package hostcheck

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestKernel reads a machine from a tree of /proc and /sys.
func TestKernel(t *testing.T) {
	const quiet = `
-- proc/loadavg --
0.10 0.20 0.30 1/200 4242
-- proc/stat --
cpu  100 0 50 1000 10 0 5 3 0 0
cpu0 100 0 50 1000 10 0 5 3 0 0
-- proc/meminfo --
MemTotal:       2048000 kB
MemAvailable:   1536000 kB
-- proc/pressure/memory --
some avg10=0.00 avg60=0.00 avg300=0.00 total=0
full avg10=0.00 avg60=0.00 avg300=0.00 total=0
-- proc/17/comm --
sh
-- sys/devices/system/cpu/cpu0/cpufreq/scaling_governor --
performance
-- sys/devices/system/clocksource/clocksource0/current_clocksource --
tsc
`
	const troubled = `
-- proc/loadavg --
x
-- proc/stat --
cpu  a b c d e f g h
-- proc/meminfo --
MemAvailable:   65536 kB
-- proc/pressure/memory --
some avg10=12.50 avg60=0.00 avg300=0.00 total=0
-- proc/17/comm --
qemu-system-x86
-- proc/18/comm --
firecracker
-- sys/devices/system/cpu/cpu0/cpufreq/scaling_governor --
powersave
-- sys/devices/system/cpu/cpu1/cpufreq/scaling_governor --
performance
-- sys/devices/system/clocksource/clocksource0/current_clocksource --
hpet
`
	tests := []struct {
		name, tree string
		want       map[string]State
		vms        int
	}{
		{"quiet", quiet, map[string]State{"governor": OK, "memory pressure": OK, "memory": OK, "other VMs": OK, "clock": OK}, 0},
		{"troubled", troubled, map[string]State{"governor": Doubt, "memory pressure": Unfit, "memory": Doubt, "other VMs": Doubt, "clock": Doubt}, 2},
		{"nothing known", "", map[string]State{"governor": Info, "memory pressure": Info, "memory": Info, "other VMs": OK, "clock": Info}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for _, f := range txtar.Parse([]byte(tt.tree)).Files {
				name := filepath.Join(root, f.Name)
				require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
				require.NoError(t, os.WriteFile(name, f.Data, 0o600))
			}
			var r Report
			r.kernel(Options{Dir: root, root: root})
			got := make(map[string]State)
			for _, c := range r.Checks {
				got[c.Name] = c.State
				assert.NotEmpty(t, c.Value)
				assert.Equal(t, c.State == Doubt || c.State == Unfit, c.Advice != "", "%s", c.Name)
			}
			for name, state := range tt.want {
				assert.Equal(t, state, got[name], name)
			}
			assert.Equal(t, tt.vms, r.Machine.VMs)
			for _, name := range []string{"disk", "KVM", "caches"} {
				assert.Contains(t, got, name)
			}
		})
	}
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "proc"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "proc/stat"), []byte("cpu  100 0 50 1000 10 0 5 3 0 0\n"), 0o600))
	got := readTicks(root)
	assert.Equal(t, []float64{1168, 155, 3}, []float64{got.total, got.busy, got.steal})
	assert.Positive(t, got.own)
}

func TestMissingDirectory(t *testing.T) {
	var r Report
	r.kernel(Options{Dir: "/does/not/exist", root: t.TempDir()})
	var found bool
	for _, c := range r.Checks {
		found = found || c.Name == "disk" && c.State == Unfit
	}
	assert.True(t, found)
}

// A boot that failed says more of KVM than a device that opens.
func TestBrokenKVM(t *testing.T) {
	var r Report
	r.kvm("it runs no guest")
	require.Len(t, r.Checks, 1)
	assert.Equal(t, Doubt, r.Checks[0].State)
}

// TestThisMachine holds the real files to the shape that is read.
func TestThisMachine(t *testing.T) {
	from := readTicks("")
	assert.Positive(t, from.total)
	assert.Positive(t, from.cpus)
	assert.Less(t, from.own, from.total)
}
