package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// A Proof is what was found out about KVM on this machine since it booted.
type Proof struct {
	BootID string `json:"boot_id"` // of the host
	QEMU   string `json:"qemu"`    // the emulator's path
	Works  bool   `json:"works"`
	Reason string `json:"reason,omitempty"` // why it does not
}

// proofLimit is how long a guest may take to say hello with KVM. It takes
// 0.5 s, on a slow machine under load 3.
const proofLimit = 20 * time.Second

// ChooseAccel returns KVM where it runs a guest, else TCG with the reason. A
// /dev/kvm that opens, creates a machine and never runs it exists, on hosts
// that are guests themselves: only a boot is a proof. It is made once in the
// life of the host's kernel and kept in the cache directory.
//
// A guest of another architecture is always translated.
func ChooseAccel(ctx context.Context, image *Image, guest string) (Accel, string, error) {
	if image.Arch != HostArch() {
		return TCG, fmt.Sprintf("the guest is %s and this machine %s", image.Arch, HostArch()), nil
	}
	proof, err := loadProof()
	if err != nil || !proof.current(image.Arch) {
		proof = prove(ctx, image, guest)
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		proof.save()
	}
	if !proof.Works {
		return TCG, proof.Reason, nil
	}
	return KVM, "", nil
}

// NoKVM is why no guest of this machine's architecture runs with KVM, if that
// was found out since the machine booted.
func NoKVM() string {
	if p, err := loadProof(); err == nil && p.current(HostArch()) && !p.Works {
		return p.Reason
	}
	return ""
}

func prove(ctx context.Context, image *Image, guest string) Proof {
	path, _ := exec.LookPath(Config{Arch: image.Arch}.Program())
	p := Proof{BootID: bootID(), QEMU: path}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		p.Reason = err.Error()
		return p
	}
	_ = f.Close()
	if err := Probe(ctx, image, guest, KVM, proofLimit); err != nil {
		p.Reason = "/dev/kvm is there but runs no guest: " + gist(err.Error())
		return p
	}
	p.Works = true
	return p
}

// gist is how QEMU ended and the first thing that it said of it; the rest is a
// trace of its own source.
func gist(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	said := strings.SplitN(line, "; ", 3)
	return strings.Join(said[:min(len(said), 2)], "; ")
}

// Probe boots the kernel with the guest's own init, which says hello and
// powers off.
func Probe(ctx context.Context, image *Image, guest string, accel Accel, limit time.Duration) error {
	return bootOnly(ctx, Options{Image: image, Accel: accel}, limit, func(initrd string) error {
		return writeInitrd(initrd, "", guest, nil, vmconfig.Config{Mode: vmconfig.ModeProbe})
	})
}

// runToOff runs a machine without devices until the guest has powered off.
func (vm *VM) runToOff(ctx context.Context, initrd string, limit time.Duration) error {
	cfg, cmd, done, err := vm.emulator(initrd)
	if err != nil {
		return err
	}
	defer done()
	if err := vm.startEmulator(cfg, cmd); err != nil {
		return err
	}
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-deadline.C:
		return fmt.Errorf("nothing came of a guest within %v", limit)
	case <-vm.ended:
	}
	select {
	case <-vm.off:
		return nil
	default:
		return vm.cause
	}
}

// newProbe is a machine without devices or listeners.
func newProbe(opt Options) (*VM, error) {
	dir, err := newDir(scratch.Temp(), probePrefix)
	if err != nil {
		return nil, err
	}
	vm := &VM{
		opt: opt.withDefaults(), dir: dir.Path(), scratch: dir, stages: newStages(nil), account: opt.account(),
		serving: make(chan struct{}), off: make(chan struct{}), failed: make(chan string, 1), ended: make(chan struct{}),
	}
	vm.console = &console{onStage: vm.onStage}
	return vm, nil
}

// current reports whether the proof still says something: the kernel and the
// emulator are the same.
func (p Proof) current(arch Arch) bool {
	path, err := exec.LookPath(Config{Arch: arch}.Program())
	return err == nil && p.BootID != "" && p.BootID == bootID() && p.QEMU == path
}

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

func proofFile() (string, error) {
	dir, err := CacheDir()
	return filepath.Join(dir, "kvm.json"), err
}

func loadProof() (Proof, error) {
	var p Proof
	name, err := proofFile()
	if err != nil {
		return p, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return p, err
	}
	if len(text) > 1<<16 {
		return p, errors.New("too large")
	}
	return p, json.Unmarshal(text, &p)
}

// save keeps the proof. If it cannot be kept it is made again next time.
func (p Proof) save() {
	name, err := proofFile()
	if err != nil || os.MkdirAll(filepath.Dir(name), 0o755) != nil {
		return
	}
	text, err := json.Marshal(p)
	if err != nil {
		return
	}
	tmp := fmt.Sprintf("%s.%d", name, os.Getpid())
	if os.WriteFile(tmp, text, 0o644) == nil && os.Rename(tmp, name) != nil {
		_ = os.Remove(tmp)
	}
}
