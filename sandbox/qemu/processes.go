package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/scratch"
)

// startDevices starts the processes that QEMU connects to.
func (vm *VM) startDevices(ctx context.Context) error {
	fs := filepath.Join(vm.dir, "fs")
	cmd := vm.opt.Tools.virtiofsd(fs, vm.opt.Workspace)
	if err := vm.run("virtiofsd", cmd); err != nil {
		return err
	}
	sockets := []string{fs}
	if vm.opt.Tools.Vsock == VhostUser {
		cmd := exec.Command(vm.opt.Tools.VsockDevice,
			"--guest-cid=3", "--socket="+filepath.Join(vm.dir, "vhost"), "--uds-path="+vm.link.uds,
			// A group of its own: guests of one group can speak to each other.
			"--groups="+filepath.Base(vm.dir))
		if err := vm.run("vhost-device-vsock", cmd); err != nil {
			return err
		}
		sockets = append(sockets, filepath.Join(vm.dir, "vhost"))
	}
	for _, path := range sockets {
		if err := vm.awaitSocket(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// socketWait is how long a device process may take to listen; it takes 20 ms.
const socketWait = 20 * time.Second

func (vm *VM) awaitSocket(ctx context.Context, path string) error {
	for end := time.Now().Add(socketWait); ; {
		if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-vm.ended:
			return vm.cause
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s did not come up within %v", filepath.Base(path), socketWait)
		}
	}
}

func (vm *VM) startQEMU(initrd string) error {
	image := vm.opt.Image
	cfg := Config{
		Arch: image.Arch, Accel: vm.opt.Accel, CPUs: vm.opt.CPUs, MemoryMB: vm.opt.MemoryMB,
		Kernel: image.Kernel(), Initrd: initrd, Rootfs: image.Rootfs(),
		FSSocket: filepath.Join(vm.dir, "fs"),
		Vsock:    vm.opt.Tools.Vsock, CID: vm.link.cid, VsockSocket: filepath.Join(vm.dir, "vhost"),
	}
	cmd := exec.Command(cfg.Program(), cfg.Args()...)
	cmd.Stdout = vm.console
	if err := vm.run(cfg.Program(), cmd); err != nil {
		return err
	}
	vm.stages.Mark("qemu")
	return nil
}

// peace is how long the end of a device is taken for a consequence of QEMU's.
const peace = 2 * time.Second

// run starts one process of the machine. When any of them ends, the machine
// has ended.
func (vm *VM) run(name string, cmd *exec.Cmd) error {
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
	ended, err := start(cmd)
	if err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	c := &child{name: name, cmd: cmd, done: make(chan struct{})}
	vm.children = append(vm.children, c)
	go func() {
		c.err = <-ended
		close(c.done)
		if c.err == nil && !strings.HasPrefix(name, "qemu-") {
			select { // a device ends in peace when QEMU has ended, which is the cause then
			case <-vm.ended:
			case <-time.After(peace):
			}
		}
		vm.downOnce.Do(func() {
			vm.cause = describeEnd(c, said)
			close(vm.ended)
		})
	}()
	return nil
}

func describeEnd(c *child, said *console) error {
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
