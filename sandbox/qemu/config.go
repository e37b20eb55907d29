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

// Config is a virtual machine. Paths must not be empty; those with a comma
// are quoted as QEMU wants it.
type Config struct {
	Arch     Arch
	Accel    Accel
	CPUs     int
	MemoryMB int
	Kernel   string
	Initrd   string
	// Rootfs is the squashfs image; "" leaves the disk out.
	Rootfs string
	// FSSocket is virtiofsd's; "" leaves the workspace out.
	FSSocket string
	Vsock    VsockKind
	// CID identifies the guest to the kernel's vhost-vsock.
	CID uint32
	// VsockSocket is vhost-device-vsock's.
	VsockSocket string
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
	if c.Rootfs != "" {
		args = append(args,
			"-drive", "if=none,id=root,format=raw,readonly=on,file="+quote(c.Rootfs),
			"-device", "virtio-blk-pci,drive=root")
	}
	if c.FSSocket != "" {
		args = append(args,
			"-chardev", "socket,id=fs,path="+quote(c.FSSocket),
			"-device", "vhost-user-fs-pci,chardev=fs,tag=workspace,queue-size=1024")
	}
	switch c.Vsock {
	case VhostVsock:
		args = append(args, "-device", fmt.Sprintf("vhost-vsock-pci,guest-cid=%d", c.CID))
	case VhostUser:
		args = append(args,
			"-chardev", "socket,id=vsock,reconnect=0,path="+quote(c.VsockSocket),
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

// quote doubles the commas of a path, as QEMU's options want.
func quote(path string) string { return strings.ReplaceAll(path, ",", ",,") }
