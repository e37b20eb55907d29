package machine

import (
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/stretchr/testify/assert"
)

func TestMachine(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{catalogue.EnvLabels: "release=1.4.0", catalogue.EnvBuild: "commit=abc,dirty=true"}
	m := Describe(dir, func(name string) string { return env[name] })
	assert.Equal(t, map[string]string{"release": "1.4.0"}, m.Labels)
	assert.Equal(t, "abc", m.Commit)
	assert.True(t, m.Dirty)
	assert.NotEmpty(t, m.Hostname)
	assert.Equal(t, "linux", m.OS)
	assert.Contains(t, []string{"x86_64", "aarch64"}, m.Arch)
	assert.Regexp(t, `^\d+\.\d+`, m.Kernel)
	assert.Positive(t, m.CPUs)
	assert.Greater(t, m.MemoryBytes, int64(1<<20))
	assert.NotEmpty(t, m.Filesystems[dir])
	assert.NotEmpty(t, m.Filesystems["/usr"])
}

func TestKnownHypervisors(t *testing.T) {
	for text, want := range map[string]string{
		"QEMU\n": "qemu", "Standard PC (Q35 + ICH9, 2009)": "", "Apple Virtualization Generic Platform": "apple",
		"linux,dummy-virt\x00": "kvm", "kvm-clock tsc acpi_pm": "kvm", "tsc hpet acpi_pm": "", "APICH\x00FIRECKFCVMMADT": "firecracker",
		"hyperv_clocksource_tsc_page": "microsoft", "": "",
	} {
		assert.Equal(t, want, known([]byte(text)), text)
	}
}
