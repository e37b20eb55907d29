package machine

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/capsem/capsem-bench/internal/record"
	"golang.org/x/sys/unix"
)

// platform fills in what the kernel says of itself and of the machine.
func platform(r *record.Run) {
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		r.Arch, r.Kernel = unix.ByteSliceToString(uts.Machine[:]), unix.ByteSliceToString(uts.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		r.MemoryBytes = int64(info.Totalram) * int64(info.Unit)
	}
	model, hypervisor := cpuinfo()
	r.CPU, r.Virtualization = model, virtualization(hypervisor)
}

// cpuinfo returns the first CPU's model and whether it says that it runs
// under a hypervisor.
func cpuinfo() (model string, hypervisor bool) {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "", false
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan() && sc.Text() != ""; {
		key, value, _ := strings.Cut(sc.Text(), ":")
		switch strings.TrimSpace(key) {
		case "model name":
			model = strings.TrimSpace(value)
		case "flags":
			hypervisor = strings.Contains(value+" ", " hypervisor ")
		}
	}
	return model, hypervisor
}

// virtualization names the hypervisor, in the words of systemd-detect-virt
// where it has one, by what firmware, device tree, ACPI tables (root only)
// and clock sources say; "none" for bare metal, "" when unknown.
func virtualization(hypervisor bool) string {
	if runtime.GOARCH == "amd64" && !hypervisor {
		return "none" // EC2's bare metal says Amazon EC2 too
	}
	if names, _ := filepath.Glob("/sys/firmware/devicetree/base/fw-cfg@*"); names != nil {
		return "qemu" // the model alone says dummy-virt, with KVM and without
	}
	for _, path := range []string{
		"/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name", "/sys/firmware/devicetree/base/model",
		"/sys/firmware/acpi/tables/APIC", "/sys/devices/system/clocksource/clocksource0/available_clocksource",
	} {
		if name := known(head(path)); name != "" {
			return name
		}
	}
	if _, err := os.Stat("/sys/firmware/devicetree/base/hypervisor"); err == nil || hypervisor {
		return "vm-other"
	}
	if _, err := os.Stat("/sys/class/dmi/id"); err == nil {
		return "none"
	}
	return ""
}

// head returns the beginning of a file; vendors stand there.
func head(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	buf := make([]byte, 256)
	n, _ := f.Read(buf)
	return buf[:n]
}

// known returns the name of the hypervisor whose mark the text has.
func known(text []byte) string {
	for _, h := range []struct{ mark, name string }{
		{"Firecracker", "firecracker"},
		{"FIRECK", "firecracker"},
		{"QEMU", "qemu"},
		{"BOCHS", "qemu"},
		{"KVM", "kvm"},
		{"VMware", "vmware"},
		{"VirtualBox", "oracle"},
		{"Microsoft Corporation", "microsoft"},
		{"Apple Virtualization", "apple"},
		{"Amazon EC2", "amazon"},
		{"Google", "google"},
		{"linux,dummy-virt", "kvm"},
		{"kvm-clock", "kvm"},
		{"hyperv", "microsoft"},
		{"xen", "xen"},
	} {
		if bytes.Contains(text, []byte(h.mark)) {
			return h.name
		}
	}
	return ""
}

// filesystem names the type of the filesystem that holds path.
func filesystem(path string) string {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return ""
	}
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay",
		unix.BTRFS_SUPER_MAGIC: "btrfs", unix.XFS_SUPER_MAGIC: "xfs", unix.FUSE_SUPER_MAGIC: "fuse",
		unix.SQUASHFS_MAGIC: "squashfs", unix.EROFS_SUPER_MAGIC_V1: "erofs", unix.NFS_SUPER_MAGIC: "nfs",
		unix.F2FS_SUPER_MAGIC: "f2fs", unix.V9FS_MAGIC: "9p", 0x2fc12fc1: "zfs",
	}
	if name, ok := names[int64(st.Type)]; ok {
		return name
	}
	return fmt.Sprintf("0x%x", st.Type)
}
