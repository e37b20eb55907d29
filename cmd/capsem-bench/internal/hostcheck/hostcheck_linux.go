package hostcheck

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/capsem/capsem-bench/internal/machine"
)

// ticks are counters of the processors, in clock ticks over all of them.
type ticks struct {
	total, busy, steal float64
	own                float64 // of this process
	load               float64
	cpus               int
}

// userHz is the unit of /proc/stat; it is 100 on every Linux Go runs on.
const userHz = 100

func readTicks(root string) ticks {
	t := ticks{cpus: runtime.NumCPU()}
	if f := strings.Fields(text(root, "/proc/loadavg")); len(f) > 0 {
		t.load, _ = strconv.ParseFloat(f[0], 64)
	}
	line, _, _ := strings.Cut(text(root, "/proc/stat"), "\n")
	f := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal guest guest_nice
	if len(f) < 9 || f[0] != "cpu" {
		return t
	}
	for i, s := range f[1:9] {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return ticks{load: t.load, cpus: t.cpus}
		}
		t.total += v
		switch i {
		case 3, 4: // idle, iowait
		case 7:
			t.steal = v
		default:
			t.busy += v
		}
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		t.own = userHz * float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	return t
}

func text(root, path string) string {
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// kernel asks the kernel about everything but the processors.
func (r *Report) kernel(opt Options) {
	r.governor(opt.root)
	r.pressure(opt.root)
	r.memory(opt.root)
	r.otherVMs(opt.root)
	r.clock(opt.root)
	var fs unix.Statfs_t
	if err := unix.Statfs(opt.Dir, &fs); err != nil {
		r.add("disk", Unfit, "choose a directory that exists", "%s: %v", opt.Dir, err)
	} else {
		r.freeDisk(opt.Dir, fs.Bavail*uint64(fs.Bsize))
	}
	r.kvm(opt.NoKVM)
	r.caches()
}

func (r *Report) governor(root string) {
	names, _ := filepath.Glob(filepath.Join(root, "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"))
	var governors []string
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil {
			governors = append(governors, string(bytes.TrimSpace(b)))
		}
	}
	slices.Sort(governors)
	governors = slices.Compact(governors)
	switch {
	case len(governors) == 0:
		r.add("governor", Info, "", "not visible here; the burn-in loop tells")
	case len(governors) == 1 && governors[0] == "performance":
		r.add("governor", OK, "", "performance")
	default:
		r.add("governor", Doubt, "'cpupower frequency-set -g performance'", "%s", strings.Join(governors, ", "))
	}
}

// pressure is the share of the last ten seconds in which some task waited for
// memory.
func (r *Report) pressure(root string) {
	line, _, _ := strings.Cut(text(root, "/proc/pressure/memory"), "\n")
	for _, f := range strings.Fields(line) {
		v, ok := strings.CutPrefix(f, "avg10=")
		share, err := strconv.ParseFloat(v, 64)
		if ok && err == nil {
			r.Machine.Pressure = share
			r.add("memory pressure", graded(share, doubtPressure, unfitPressure), "free memory: something waits for it",
				"%.1f %% of the last 10 s", share)
			return
		}
	}
	r.add("memory pressure", Info, "", "not known: no /proc/pressure (boot with psi=1)")
}

func (r *Report) memory(root string) {
	if free, ok := machine.Kilobytes([]byte(text(root, "/proc/meminfo")), "MemAvailable:"); ok {
		state := OK
		if free < doubtMemory {
			state = Doubt
		}
		r.add("memory", state, "free memory", "%s available", humanize.IBytes(uint64(free)))
		return
	}
	r.add("memory", Info, "", "not known: no MemAvailable")
}

// monitors are the names of virtual machine monitors as the kernel keeps
// them: 15 bytes.
func monitors() []string {
	return []string{
		"qemu-system", "qemu-kvm", "kvm-", "firecracker", "cloud-hyperviso", "crosvm", "VBoxHeadless", "VirtualBoxVM",
		"vmware-vmx", "lkvm",
	}
}

func (r *Report) otherVMs(root string) {
	names, _ := filepath.Glob(filepath.Join(root, "/proc/[0-9]*/comm"))
	var found []string
	for _, name := range names {
		b, err := os.ReadFile(name)
		comm := string(bytes.TrimSpace(b))
		if err == nil && slices.ContainsFunc(monitors(), func(m string) bool { return strings.HasPrefix(comm, m) }) {
			found = append(found, comm+" "+filepath.Base(filepath.Dir(name)))
		}
	}
	r.Machine.VMs = len(found)
	if len(found) == 0 {
		r.add("other VMs", OK, "", "none")
		return
	}
	more := ""
	if len(found) > 3 {
		more = fmt.Sprintf(" and %d more", len(found)-3)
	}
	r.add("other VMs", Doubt, "stop them while measuring", "%s%s", strings.Join(found[:min(3, len(found))], ", "), more)
}

// clock names sources that are read without a trap into the hypervisor or an
// access to a device.
func (r *Report) clock(root string) {
	source := text(root, "/sys/devices/system/clocksource/clocksource0/current_clocksource")
	switch source {
	case "":
		r.add("clock", Info, "", "not known here")
	case "tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "riscv_clocksource":
		r.add("clock", OK, "", "%s", source)
	default:
		r.add("clock", Doubt, "reading this clock costs microseconds; use tsc or kvm-clock", "%s", source)
	}
}

// kvm makes an empty guest. Whether it can run code is proven by a boot only:
// broken is what that one said.
func (r *Report) kvm(broken string) {
	const (
		getAPIVersion = 0xae00 // linux/kvm.h
		createVM      = 0xae01
		apiVersion    = 12
	)
	const advice = "VMs run emulated, ten times slower and as comparable as other emulated ones; sandbox local is not concerned"
	fd, err := unix.Open("/dev/kvm", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		r.add("KVM", Doubt, advice, "/dev/kvm: %v", err)
		return
	}
	defer unix.Close(fd)
	if v, err := unix.IoctlRetInt(fd, getAPIVersion); err != nil || v != apiVersion {
		r.add("KVM", Doubt, advice, "API version %d, want %d", v, apiVersion)
		return
	}
	vm, err := unix.IoctlRetInt(fd, createVM)
	if err != nil {
		r.add("KVM", Doubt, advice, "cannot make a guest: %v", err)
		return
	}
	_ = unix.Close(vm)
	if broken != "" {
		r.add("KVM", Doubt, advice, "%s", broken)
		return
	}
	r.add("KVM", OK, "", "/dev/kvm opens; 'vm doctor' boots a guest")
}

// caches says how cold operations get cold on this machine.
func (r *Report) caches() {
	const advice = "run as root, so that cold means cold for metadata too"
	err := unix.Access("/proc/sys/vm/drop_caches", unix.W_OK)
	// A sysctl file of a read-only /proc answers access(2) by its mode only
	// to root, so the open is tried too; nothing is written.
	if err == nil {
		var fd int
		if fd, err = unix.Open("/proc/sys/vm/drop_caches", unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
			_ = unix.Close(fd)
		}
	}
	switch {
	case err == nil:
		r.add("caches", OK, "", "can be dropped")
	case errors.Is(err, unix.EROFS), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		r.add("caches", Doubt, advice, "drop_caches: %v; files are dropped one by one", err)
	default:
		r.add("caches", Doubt, advice, "drop_caches: %v", err)
	}
}
