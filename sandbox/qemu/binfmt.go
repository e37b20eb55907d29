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

// binfmtProgram stands for the kernel's side among the programs.
const binfmtProgram = "binfmt_misc"

// binfmtRequirement says whether the kernel runs programs of an architecture.
// mmdebstrap needs that to configure the packages of another one. The kernel
// must keep the emulator open (flag F), for in the new root it has no path.
func binfmtRequirement(arch Arch) Requirement {
	r := Requirement{Program: binfmtProgram, Package: "binfmt-support"}
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

// EnableCommand is the command that makes the kernel run programs of an
// architecture, once its packages are installed; nil where it does so already.
// Installing is enough where systemd runs, but not in a container.
func EnableCommand(arch Arch, root bool) []string {
	if arch == HostArch() || binfmtRequirement(arch).Path != "" {
		return nil
	}
	argv := []string{"update-binfmts", "--enable", userEmulator(arch)}
	if !root {
		argv = append([]string{"sudo"}, argv...)
	}
	return argv
}
