package qemu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/internal/child"
	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// Options describe one machine.
type Options struct {
	Image    *Image
	Accel    Accel
	CPUs     int // 0 means 2
	MemoryMB int // 0 means 2048
	// Guest is capsem-guest, built for the image's architecture.
	Guest string
	// Programs are files that the guest finds in its PATH, by their names there.
	Programs map[string]string
	// Workspace is the directory that the guest sees as /root.
	Workspace string
	// Tools are the programs of the host.
	Tools Tools
	// Begin is when the preparation of the machine began, the first stage.
	Begin time.Time
	// Name is what other commands find the machine by; "" takes the first of
	// vm1, vm2 and so on that is free.
	Name string
	// ProxyCommand is the command that leads ssh to the machine, for the
	// configuration file that Publish writes; "" writes none.
	ProxyCommand string
	// Patience is how long a stage of the boot may take; 0 is 30 s, or 2 min
	// under TCG.
	Patience time.Duration
	// OnStage is called at every step of the boot, from several goroutines.
	OnStage func(StageTime)
}

// The size of a guest: the benchmarks' largest file, 256 MiB, fits into a
// quarter of its memory.
const (
	defaultCPUs     = 2
	defaultMemoryMB = 2048
)

func (o Options) withDefaults() Options {
	if o.CPUs == 0 {
		o.CPUs = defaultCPUs
	}
	if o.MemoryMB == 0 {
		o.MemoryMB = defaultMemoryMB
	}
	return o
}

// A VM is one machine. Close it in any case.
type VM struct {
	opt     Options
	name    string
	dir     string
	scratch *scratch.Dir // which is dir
	account *account
	link    transport
	ports   map[uint32]uint32 // well-known port -> the one in use
	listen  map[uint32]net.Listener
	console *console
	stages  *Stages
	serving chan struct{} // closed when the guest serves
	off     chan struct{} // closed when the guest says that it powers off
	failed  chan string

	mu       sync.Mutex
	children []*process
	ended    chan struct{} // closed when a child has ended
	cause    error         // why, set before ended is closed
	closed   bool
	once     sync.Once
	offOnce  sync.Once
	downOnce sync.Once
}

// A process is one of the machine: QEMU or a device of it.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // set before done is closed
}

// New makes the machine's directory and the listeners for what the guest
// calls. Nothing runs yet.
func New(opt Options) (vm *VM, err error) {
	vm = &VM{
		opt: opt.withDefaults(), ports: make(map[uint32]uint32), listen: make(map[uint32]net.Listener),
		serving: make(chan struct{}), off: make(chan struct{}), failed: make(chan string, 1), ended: make(chan struct{}),
		stages: newStages(opt.OnStage),
	}
	vm.console = &console{onStage: vm.onStage}
	if vm.name, vm.scratch, err = namedDir(opt.Name); err != nil {
		return nil, err
	}
	vm.dir = vm.scratch.Path()
	defer func() {
		if err != nil {
			_ = vm.Close()
		}
	}()
	vm.account = vm.opt.account()
	vm.link = newTransport(opt.Tools.Vsock, vm.dir)
	if err := os.Mkdir(vm.link.dir, 0o700); err != nil {
		return nil, err
	}
	for _, port := range hostPorts() {
		vm.listen[port], vm.ports[port], err = vm.link.listen(port)
		if err != nil {
			return nil, err
		}
	}
	if !opt.Begin.IsZero() {
		vm.stages.last = opt.Begin
		vm.stages.Mark("prepare")
	}
	return vm, nil
}

// Proxy accepts the guest's connections to the proxy, until Close.
func (vm *VM) Proxy() net.Listener { return vm.listen[vmconfig.ProxyPort] }

// Gateway accepts those to the MCP gateway.
func (vm *VM) Gateway() net.Listener { return vm.listen[vmconfig.GatewayPort] }

// Caches accepts those of guests that ask for the host's caches to be dropped.
func (vm *VM) Caches() net.Listener { return vm.listen[vmconfig.CachesPort] }

// Stages are the steps of the boot so far.
func (vm *VM) Stages() *Stages { return vm.stages }

// Dial connects to a vsock port of the guest.
func (vm *VM) Dial(ctx context.Context, port uint32) (net.Conn, error) {
	c, err := vm.link.dial(ctx, port)
	if err != nil {
		return nil, vm.Explain(err)
	}
	return c, nil
}

// Ended is closed when the machine runs no longer; Err says why.
func (vm *VM) Ended() <-chan struct{} { return vm.ended }

// Err is why the machine ended, with the end of its console; nil while it
// runs and after a power-off that the guest announced.
func (vm *VM) Err() error {
	select {
	case <-vm.ended:
	default:
		return nil
	}
	select {
	case <-vm.off:
		return nil
	default:
	}
	return vm.Explain(nil)
}

// The limits of a boot. Each stage begins a new one: what must not happen is
// that nothing happens. Under TCG on a busy machine the longest stage, the
// kernel's, has been seen to take 12 s; with KVM it takes 1.
const (
	stageLimitKVM = 30 * time.Second
	stageLimitTCG = 2 * time.Minute
)

func stageLimit(a Accel) time.Duration {
	if a == KVM {
		return stageLimitKVM
	}
	return stageLimitTCG
}

// ErrNoOutput says that a guest printed nothing before the boot timeout.
var ErrNoOutput = errors.New("no console output of the guest before the boot timeout")

// Boot starts the machine and returns when the guest serves. The ports of cfg
// are set here. After an error the machine is of no more use; Close it.
func (vm *VM) Boot(ctx context.Context, cfg vmconfig.Config) error {
	cfg.Mode = vmconfig.ModeServe
	cfg.Hostname = vmconfig.Hostname
	cfg.ProxyPort, cfg.GatewayPort = vm.ports[vmconfig.ProxyPort], vm.ports[vmconfig.GatewayPort]
	cfg.CachesPort = vm.ports[vmconfig.CachesPort]
	d, err := vm.startDevices(ctx)
	if err != nil {
		return err
	}
	defer d.close()
	vm.stages.Mark("devices")
	cfg.TimeNS = time.Now().UnixNano()
	initrd := filepath.Join(vm.dir, "initrd")
	if err := writeInitrd(initrd, vm.opt.Image.Modules(), vm.opt.Guest, vm.opt.Programs, cfg); err != nil {
		return err
	}
	if err := vm.startQEMU(initrd, d); err != nil {
		return err
	}
	return vm.awaitVerified(ctx)
}

// awaitVerified waits for the guest and compares the image with its manifest
// meanwhile. An image that is another ends the boot at once, and is the reason
// for whatever became of that.
func (vm *VM) awaitVerified(ctx context.Context) error {
	verified := make(chan error, 1)
	boot, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		err := vm.opt.Image.Verify()
		if err != nil {
			cancel()
		}
		verified <- err
	}()
	err := vm.awaitServing(boot)
	select {
	case bad := <-verified:
		if bad != nil {
			return bad
		}
	case <-ctx.Done():
	}
	return err
}

// awaitServing waits for the last stage; every stage buys the next one time.
func (vm *VM) awaitServing(ctx context.Context) error {
	limit := cmp.Or(vm.opt.Patience, stageLimit(vm.opt.Accel))
	seen := len(vm.stages.List())
	begin := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case reason := <-vm.failed:
			return vm.Explain(fmt.Errorf("the guest could not boot: %s", termtext.Block(reason)))
		case <-vm.ended:
			return vm.Explain(errors.New("the guest did not come up"))
		case <-vm.serving:
			_ = os.Remove(filepath.Join(vm.dir, "initrd")) // it has a key in it
			return nil
		case <-tick.C:
		}
		if n := len(vm.stages.List()); n > seen {
			seen, begin = n, time.Now()
		}
		if time.Since(begin) > limit {
			if vm.console.isEmpty() {
				return vm.Explain(fmt.Errorf("%w of %v", ErrNoOutput, limit))
			}
			return vm.Explain(fmt.Errorf("the guest did not come up: nothing happened for %v", limit))
		}
	}
}

// onStage is called for the lines that the guest reports stages with. Only the
// first report of a stage counts.
func (vm *VM) onStage(line string) {
	stage, up, reason, ok := vmconfig.ParseStage(line)
	if !ok {
		return
	}
	switch stage {
	case vmconfig.StageFailed:
		select {
		case vm.failed <- reason:
		default:
		}
		return
	case vmconfig.StageOff:
		vm.offOnce.Do(func() { close(vm.off) })
		return
	}
	for _, t := range vm.stages.List() {
		if t.Name == string(stage) {
			return
		}
	}
	vm.stages.mark(string(stage), up)
	if stage == lastStage {
		vm.once.Do(func() { close(vm.serving) })
	}
}

// Explain adds to an error what is known of the machine: which process ended
// and the end of the console.
func (vm *VM) Explain(err error) error {
	select {
	case <-vm.ended:
		err = errors.Join(err, vm.cause)
	default:
	}
	if vm.console.hasPanicked() {
		err = errors.Join(err, errors.New("the guest's kernel panicked"))
	}
	if err == nil {
		err = errors.New("the machine ended")
	}
	return fmt.Errorf("%w; %s", err, vm.console.tail())
}

// WaitOff waits until the machine has ended by itself.
func (vm *VM) WaitOff(ctx context.Context) error {
	select {
	case <-vm.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close kills what runs, closes the listeners and removes the directory.
func (vm *VM) Close() error {
	vm.mu.Lock()
	if vm.closed {
		vm.mu.Unlock()
		return nil
	}
	vm.closed = true
	children := vm.children
	vm.mu.Unlock()
	// QEMU first: the others would be missed by it.
	for i := len(children) - 1; i >= 0; i-- {
		child.KillGroup(children[i].cmd.Process.Pid)
		<-children[i].done
	}
	for _, ln := range vm.listen {
		if ln != nil {
			_ = ln.Close()
		}
	}
	return vm.scratch.Close()
}
