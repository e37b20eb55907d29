package qemu

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestArgs(t *testing.T) {
	for _, arch := range []Arch{AMD64, ARM64} {
		for _, accel := range []Accel{KVM, TCG} {
			for _, kind := range []VsockKind{VhostVsock, VhostUser} {
				name := fmt.Sprintf("%s-%s-%s", arch, accel, kind)
				t.Run(name, func(t *testing.T) {
					c := Config{
						Arch: arch, Accel: accel, CPUs: 2, MemoryMB: 2048,
						Kernel: "/proc/self/fd/3", Initrd: "/proc/self/fd/4", RootfsFD: 5, FSFD: 6, Vsock: kind, CID: 70000, VsockFD: 7,
					}
					got := c.Program() + "\n" + strings.Join(c.Args(), "\n") + "\n"
					golden := filepath.Join("testdata", name+".txt")
					if *update {
						require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
					}
					want, err := os.ReadFile(golden)
					require.NoError(t, err, "run go test ./sandbox/qemu -update")
					assert.Equal(t, string(want), got)
				})
			}
		}
	}
}

// No machine has a network card or a device that was not asked for.
func TestNoNetworkCard(t *testing.T) {
	args := strings.Join(Config{Arch: AMD64, Accel: TCG, CPUs: 1, MemoryMB: 512, Kernel: "k", Initrd: "i"}.Args(), " ")
	assert.Contains(t, args, "-nodefaults")
	for _, word := range []string{"-net", "-nic", "-device", "-drive"} {
		assert.NotContains(t, strings.Fields(args), word)
	}
}
