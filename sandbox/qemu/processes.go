package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/internal/child"
	"github.com/capsem/capsem-bench/internal/scratch"
)

// devices are the sockets of what QEMU connects to.
type devices struct {
	fs, vsock *os.File // nil is none
}

func (d devices) close() {
	for _, f := range []*os.File{d.fs, d.vsock} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// startDevices starts the processes that QEMU connects to, and connects to
// them.
func (vm *VM) startDevices(ctx context.Context) (d devices, err error) {
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	fs := filepath.Join(vm.dir, "fs")
	start := confined(nil)
	if os.Geteuid() != 0 { // whoever maps the users' numbers for it has to become root
		start = child.Start
	}
	if err := vm.run("virtiofsd", vm.opt.Tools.virtiofsd(fs, vm.opt.Workspace), start); err != nil {
		return d, err
	}
	switch vm.opt.Tools.Vsock {
	case VhostVsock:
		if d.vsock, err = os.OpenFile(vhostDevice, os.O_RDWR, 0); err != nil {
			return d, err
		}
	case VhostUser:
		if err := vm.startVsockDevice(); err != nil {
			return d, err
		}
		if d.vsock, err = vm.connect(ctx, filepath.Join(vm.link.dir, vsockSocket)); err != nil {
			return d, err
		}
	}
	d.fs, err = vm.connect(ctx, fs)
	return d, err
}

// vsockSocket is where vhost-device-vsock waits for QEMU, in the directory that
// it starts in.
const vsockSocket = "vhost"

func (vm *VM) startVsockDevice() error {
	dir, err := os.Open(vm.link.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := vm.account.own(dir); err != nil {
		return err
	}
	cmd, done, err := vm.account.program(vm.opt.Tools.VsockDevice,
		fmt.Sprintf("--guest-cid=%d", userCID), "--socket="+vsockSocket, "--uds-path="+udsName,
		// A group of its own: guests of one group can speak to each other.
		"--groups="+filepath.Base(vm.dir))
	if err != nil {
		return err
	}
	defer done()
	return vm.run("vhost-device-vsock", cmd, confined(dir))
}

// userCID is the context identifier of every guest of vhost-device-vsock, whose
// sockets are the machine's own.
const userCID = 3

// socketWait is how long a device process may take to listen; it takes 20 ms.
const socketWait = 20 * time.Second

// connect connects to a device process once that listens.
func (vm *VM) connect(ctx context.Context, path string) (*os.File, error) {
	for end := time.Now().Add(socketWait); ; {
		f, err := connect(path)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) { // there, and not listening yet
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-vm.ended:
			return nil, vm.cause
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("%s did not come up within %v", filepath.Base(path), socketWait)
		}
	}
}

// startQEMU starts the machine with all its devices.
func (vm *VM) startQEMU(initrd string, d devices) error {
	rootfs, err := os.Open(vm.opt.Image.Rootfs())
	if err != nil {
		return err
	}
	defer rootfs.Close()
	cfg, cmd, done, err := vm.emulator(initrd)
	if err != nil {
		return err
	}
	defer done()
	cfg.RootfsFD, cfg.FSFD = inheritFD(cmd, rootfs), inheritFD(cmd, d.fs)
	cfg.Vsock, cfg.CID = vm.opt.Tools.Vsock, vm.link.cid
	if d.vsock != nil {
		cfg.VsockFD = inheritFD(cmd, d.vsock)
	}
	if err := vm.startEmulator(cfg, cmd); err != nil {
		return err
	}
	vm.stages.Mark("qemu")
	return nil
}

// emulator is the machine without any device, and a command for it that has
// kernel and initramfs open. done closes them here.
func (vm *VM) emulator(initrd string) (cfg Config, cmd *exec.Cmd, done func(), err error) {
	image := vm.opt.Image
	cfg = Config{Arch: image.Arch, Accel: vm.opt.Accel, CPUs: vm.opt.CPUs, MemoryMB: vm.opt.MemoryMB}
	kernel, err := vm.account.open(image.Kernel(), vm.dir)
	if err != nil {
		return cfg, nil, nil, err
	}
	ramdisk, err := os.Open(initrd)
	if err == nil {
		err = vm.account.own(ramdisk)
	}
	if err != nil {
		_ = kernel.Close()
		_ = ramdisk.Close()
		return cfg, nil, nil, err
	}
	cmd = exec.Command(cfg.Program())
	vm.account.reaching(cmd.Path).run(cmd)
	cfg.Kernel, cfg.Initrd = inherit(cmd, kernel), inherit(cmd, ramdisk)
	return cfg, cmd, func() { _, _ = kernel.Close(), ramdisk.Close() }, nil
}

func (vm *VM) startEmulator(cfg Config, cmd *exec.Cmd) error {
	cmd.Args = append(cmd.Args, cfg.Args()...)
	cmd.Stdout = vm.console
	return vm.run(cfg.Program(), cmd, confined(nil))
}

// deviceExitGrace is how long the end of a device is taken for a consequence of
// QEMU's.
const deviceExitGrace = 2 * time.Second

// A startFunc is a way to start a program that ends with this process.
type startFunc = func(cmd *exec.Cmd, orphan syscall.Signal) (<-chan error, error)

// confined starts a program that gets no further privileges, in a directory if
// that is not nil.
func confined(dir *os.File) startFunc {
	return func(cmd *exec.Cmd, orphan syscall.Signal) (<-chan error, error) {
		return child.StartConfined(cmd, orphan, dir)
	}
}

// run starts one process of the machine. When any of them ends, the machine
// has ended.
func (vm *VM) run(name string, cmd *exec.Cmd, start startFunc) error {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.closed {
		return errors.New("the machine is closed")
	}
	said := &console{}
	cmd.Stderr = said
	if cmd.Stdout == nil {
		cmd.Stdout = said
	}
	// A process of the machine that outlives it would hold the pipes.
	cmd.WaitDelay = time.Second
	ended, err := start(cmd, syscall.SIGKILL)
	if err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	c := &process{name: name, cmd: cmd, done: make(chan struct{})}
	vm.children = append(vm.children, c)
	go func() {
		c.err = <-ended
		close(c.done)
		if c.err == nil && !strings.HasPrefix(name, emulatorPrefix) {
			select { // a device ends with status 0 when QEMU has ended, which is the cause then
			case <-vm.ended:
			case <-time.After(deviceExitGrace):
			}
		}
		vm.downOnce.Do(func() {
			vm.cause = describeEnd(c, said)
			close(vm.ended)
		})
	}()
	return nil
}

func describeEnd(c *process, said *console) error {
	how := "with status 0"
	if c.err != nil {
		how = "with " + c.err.Error()
	}
	said.mu.Lock()
	defer said.mu.Unlock()
	text := ""
	for i, line := range said.lines {
		if i >= len(said.lines)-3 {
			text += "; " + line
		}
	}
	return fmt.Errorf("%s ended %s%s", c.name, how, text)
}

// newDir makes a directory of this process, after removing those that killed
// ones left there.
func newDir(base, prefix string) (*scratch.Dir, error) {
	scratch.Sweep(base, prefix)
	return scratch.New(base, prefix)
}
