package qemu

import (
	"fmt"
	"strconv"
	"strings"
)

// An Arch is a guest's architecture, in Go's and Debian's words.
type Arch string

const (
	AMD64 Arch = "amd64"
	ARM64 Arch = "arm64"
)

// An Accel is how a guest's instructions are run.
type Accel string

const (
	KVM Accel = "kvm" // by the processor
	TCG Accel = "tcg" // by translation: 5 to 30 times slower
)

// A VsockKind is who implements the guest's vsock device.
type VsockKind string

const (
	VhostVsock VsockKind = "vhost"      // the host's kernel, /dev/vhost-vsock
	VhostUser  VsockKind = "vhost-user" // a process, vhost-device-vsock
	NoVsock    VsockKind = ""           // a guest that only proves that it runs
)

// Config is a virtual machine. What belongs to root is given to the emulator as
// open files, by their numbers there.
type Config struct {
	Arch     Arch
	Accel    Accel
	CPUs     int
	MemoryMB int
	Kernel   string // a path, as is Initrd
	Initrd   string
	// RootfsFD is the squashfs image; 0 leaves the disk out.
	RootfsFD int
	// FSFD is a connection to virtiofsd; 0 leaves the workspace out.
	FSFD  int
	Vsock VsockKind
	// VsockFD is a connection to vhost-device-vsock, or the kernel's device.
	VsockFD int
	// CID identifies the guest to the kernel's vhost-vsock.
	CID uint32
}

// Program is the emulator's name.
func (c Config) Program() string {
	if c.Arch == ARM64 {
		return "qemu-system-aarch64"
	}
	return "qemu-system-x86_64"
}

// Args are the emulator's arguments. The guest's serial console is its
// standard output and it reads nothing. There is no network card, no monitor
// and no device that is not named here.
func (c Config) Args() []string {
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		// The emulator's own filter of system calls (seccomp(2)): a guest that
		// breaks out of it starts no program and becomes nobody else.
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-machine", c.machine(),
		"-accel", string(c.Accel),
		"-cpu", c.cpu(),
		"-smp", strconv.Itoa(c.CPUs),
		"-m", strconv.Itoa(c.MemoryMB) + "M",
		// Devices in other processes read the guest's memory: it is shared.
		"-object", fmt.Sprintf("memory-backend-memfd,id=mem,size=%dM,share=on", c.MemoryMB),
		"-kernel", c.Kernel, "-initrd", c.Initrd, "-append", c.kernelLine(),
		// The caller gives it /dev/null to read.
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
	}
	if c.RootfsFD != 0 {
		// A set of descriptors is opened without asking for the file's mode.
		args = append(args,
			"-add-fd", fmt.Sprintf("fd=%d,set=1", c.RootfsFD),
			"-drive", "if=none,id=root,format=raw,readonly=on,file=/dev/fdset/1",
			"-device", "virtio-blk-pci,drive=root")
	}
	if c.FSFD != 0 {
		args = append(args,
			"-chardev", fmt.Sprintf("socket,id=fs,fd=%d", c.FSFD),
			"-device", "vhost-user-fs-pci,chardev=fs,tag=workspace,queue-size=1024")
	}
	switch c.Vsock {
	case VhostVsock:
		args = append(args, "-device", fmt.Sprintf("vhost-vsock-pci,guest-cid=%d,vhostfd=%d", c.CID, c.VsockFD))
	case VhostUser:
		args = append(args,
			"-chardev", fmt.Sprintf("socket,id=vsock,fd=%d", c.VsockFD),
			"-device", "vhost-user-vsock-pci,chardev=vsock")
	}
	return args
}

func (c Config) machine() string {
	if c.Arch == ARM64 {
		return "virt,gic-version=max,memory-backend=mem"
	}
	return "q35,memory-backend=mem"
}

// cpu is everything that the accelerator offers. Emulated pointer
// authentication of arm64 is left out: it halves the speed. So are five-level page
// tables, which only lengthen every walk.
func (c Config) cpu() string {
	switch {
	case c.Accel == KVM:
		return "host"
	case c.Arch == ARM64:
		return "max,pauth=off"
	}
	return "max,la57=off"
}

// kernelLine is the kernel's command line. A panic ends the machine at once.
// What the emulated hardware cannot have is not mitigated: under TCG nothing
// of the processor's speculation is there.
func (c Config) kernelLine() string {
	console := "ttyS0"
	if c.Arch == ARM64 {
		console = "ttyAMA0"
	}
	words := []string{"console=" + console, "quiet", "panic=-1", "oops=panic", "init_on_alloc=0"}
	if c.Accel == TCG {
		words = append(words, "mitigations=off", "tsc=reliable")
	}
	return strings.Join(words, " ")
}
