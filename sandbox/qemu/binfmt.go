package qemu

import (
	"os"
	"path/filepath"
	"strings"
)

// binfmtDir is where the kernel is told which program runs the programs of
// another processor (Documentation/admin-guide/binfmt-misc.rst).
const binfmtDir = "/proc/sys/fs/binfmt_misc"

// userEmulator is QEMU's program for single programs of an architecture, and
// its name there.
func userEmulator(arch Arch) string {
	if arch == ARM64 {
		return "qemu-aarch64"
	}
	return "qemu-x86_64"
}

// binfmtRequirement says whether the kernel runs programs of an architecture.
// mmdebstrap needs that to configure the packages of another one. The kernel
// must keep the emulator open (flag F), for in the new root it has no path.
func binfmtRequirement(arch Arch) Requirement {
	r := Requirement{Program: "binfmt_misc", Package: "binfmt-support"}
	path := filepath.Join(binfmtDir, userEmulator(arch))
	text, err := os.ReadFile(path)
	if err != nil {
		return r
	}
	enabled, fixed := false, false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		enabled = enabled || line == "enabled"
		flags, ok := strings.CutPrefix(line, "flags:")
		fixed = fixed || ok && strings.Contains(flags, "F")
	}
	if enabled && fixed {
		r.Path = path
	}
	return r
}
