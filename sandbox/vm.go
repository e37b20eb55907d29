package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/host/gateway"
	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/internal/vmconfig"
	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/capsem/capsem-bench/sandbox/remote"
)

// A VMConfig configures a VM.
type VMConfig struct {
	Dir string // on the disk to measure; a directory in it is the workspace
	// Machine is the machine; its workspace is set here.
	Machine qemu.Options
	// Binary is the guest binary; "" leaves it out, and Run with it.
	Binary string
	// Env is the environment to take the guest binary's variables from; Set
	// are further ones.
	Env, Set []string
	// Session gets a row for every request; the caller closes it. nil keeps none.
	Session *session.Writer
	Wrap    Wrap // nil wraps nothing
	// From is a directory that becomes the workspace, moved, on the filesystem of
	// Dir: that of a fork. "" is an empty one.
	From string
}

// A VM is a QEMU machine between the host services, as a Capsem VM has them.
// Close it to power it off, stop the services and remove the workspace.
type VM struct {
	cfg      VMConfig
	dir      *scratch.Dir // of the workspace and its snapshots
	services *Services
	machine  *qemu.VM
	client   *remote.Client
}

// guestBinary is the guest binary's name in a guest.
const guestBinary = contract.GuestBinary

// NewVM boots a machine. An interrupt of ctx ends it at any point. A machine
// without console output is booted once more: now and then an emulated one
// stops before the kernel's first line.
func NewVM(ctx context.Context, cfg VMConfig) (*VM, error) {
	v, err := newVM(ctx, cfg)
	if errors.Is(err, qemu.ErrNoOutput) && ctx.Err() == nil {
		v, err = newVM(ctx, cfg)
	}
	return v, err
}

func newVM(ctx context.Context, cfg VMConfig) (v *VM, err error) {
	v = &VM{cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.Close())
			v = nil
		}
	}()
	if _, err := guestDir(cfg.Env); err != nil {
		return v, err
	}
	workspace, store, err := v.directories()
	if err != nil {
		return v, err
	}
	v.services, err = NewServices(ServicesConfig{
		Workspace: workspace, Store: store, Session: cfg.Session, URLs: urls(cfg.Env), Wrap: cfg.Wrap,
		KeepCaches: Lookup(cfg.Env, catalogue.EnvDropped) == catalogue.DroppedFiles,
	})
	if err != nil {
		return v, err
	}
	machine := cfg.Machine
	machine.Workspace = workspace
	if cfg.Binary != "" {
		programs := maps.Clone(machine.Programs)
		if programs == nil {
			programs = make(map[string]string)
		}
		programs[guestBinary] = cfg.Binary
		machine.Programs = programs
	}
	if v.machine, err = qemu.New(machine); err != nil {
		return v, err
	}
	v.services.ServeProxy(v.machine.Proxy())
	v.services.ServeGateway(v.machine.Gateway())
	v.services.ServeCaches(v.machine.Caches())
	return v, v.boot(ctx, machine)
}

// boot starts the machine and logs in, with keys made for it.
func (v *VM) boot(ctx context.Context, machine qemu.Options) error {
	key, authorized, err := remote.NewKey()
	if err != nil {
		return err
	}
	hostKey, hostPublic, err := remote.NewKey()
	if err != nil {
		return err
	}
	err = v.machine.Boot(ctx, vmconfig.Config{
		CAPEM: string(v.services.CAPEM()), AuthorizedKey: string(authorized), HostKeyPEM: string(hostKey),
		Env: guestVariables(v.cfg, machine),
	})
	if err != nil {
		return err
	}
	v.client, err = connect(ctx, v.machine, machine.Accel, remote.Config{Key: key, HostKey: hostPublic, Ended: v.machine.Ended()})
	if err != nil {
		return v.explain(err)
	}
	v.machine.Stages().Mark("ssh")
	if err := v.checkDir(ctx); err != nil {
		return err
	}
	return v.machine.Publish(key, hostPublic)
}

// A dialer is a machine of this process, or a running one.
type dialer interface {
	Dial(ctx context.Context, port uint32) (net.Conn, error)
}

func connect(ctx context.Context, machine dialer, accel qemu.Accel, cfg remote.Config) (*remote.Client, error) {
	cfg.Silence = silence(accel)
	cfg.Dial = func(ctx context.Context) (net.Conn, error) { return machine.Dial(ctx, vmconfig.SSHPort) }
	return remote.Connect(ctx, cfg)
}

// Attach connects to a machine that another process runs. The caller closes
// the client.
func Attach(ctx context.Context, machine qemu.Running) (*remote.Client, error) {
	key, err := os.ReadFile(machine.Key)
	if err != nil {
		return nil, err
	}
	return connect(ctx, machine, machine.Accel, remote.Config{Key: key, HostKey: []byte(machine.HostKey)})
}

// silence is how long the guest may say nothing. Under TCG on a busy machine
// all of its processors can be taken for ten seconds.
func silence(a qemu.Accel) time.Duration {
	if a == qemu.KVM {
		return 30 * time.Second
	}
	return 90 * time.Second
}

// directories makes the workspace and its snapshots beside the results, so
// that the disk measured is the user's.
func (v *VM) directories() (workspace, store string, err error) {
	sweep(v.cfg.Dir)
	if v.dir, err = scratch.New(v.cfg.Dir, workPrefix); err != nil {
		return "", "", err
	}
	workspace, store = filepath.Join(v.dir.Path(), "workspace"), filepath.Join(v.dir.Path(), "auto_snapshots")
	if v.cfg.From == "" {
		err = os.Mkdir(workspace, 0o700)
	} else {
		err = os.Rename(v.cfg.From, workspace)
	}
	return workspace, store, errors.Join(err, os.Mkdir(store, 0o700))
}

// guestVariables are the settings that the guest gets, and what its binary
// copies into its results.
func guestVariables(cfg VMConfig, machine qemu.Options) []string {
	out := append(Handed(cfg.Env, Decides()...), cfg.Set...)
	return append(out, catalogue.EnvSandbox+"=qemu", catalogue.EnvAccel+"="+string(machine.Accel),
		catalogue.EnvImage+"="+machine.Image.Digest)
}

// checkDir refuses a directory to work in that the guest does not have.
func (v *VM) checkDir(ctx context.Context) error {
	dir := Lookup(v.cfg.Env, catalogue.EnvDir)
	if dir == "" || v.cfg.Binary == "" {
		return nil
	}
	line := "exec " + shell.Join("sh", "-c", `[ -d "$1" ] && [ -w "$1" ]`, "capsem-bench", dir)
	status, err := v.Exec(ctx, remote.Command{Line: line})
	if err == nil && status != 0 {
		err = fmt.Errorf("%w: %s=%s: the VM has no such directory that can be written to", ErrDir, catalogue.EnvDir, dir)
	}
	return err
}

// Run runs the guest binary once.
func (v *VM) Run(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	line := "exec " + shell.Join(append([]string{vmconfig.RunDir + "/" + guestBinary}, args...)...)
	return v.Exec(ctx, remote.Command{Line: line, Stdout: stdout, Stderr: stderr})
}

// Exec runs a command in the guest.
func (v *VM) Exec(ctx context.Context, cmd remote.Command) (int, error) {
	status, err := v.client.Run(ctx, cmd)
	if err != nil && ctx.Err() == nil && !errors.Is(err, syscall.EPIPE) { // which is of the reader of our output
		err = v.explain(err)
	}
	return status, err
}

// Explain adds to an error what is known of the machine: which process of it
// ended, and the end of the console.
func (v *VM) Explain(err error) error { return v.machine.Explain(err) }

// explainWait is how long a broken connection waits for the reason: the end
// of QEMU is known a moment after the end of its sockets, on a busy machine a
// longer one.
const explainWait = 5 * time.Second

// explain adds what is known of the machine to an error of a connection.
func (v *VM) explain(err error) error {
	select {
	case <-v.machine.Ended():
	case <-time.After(explainWait):
	}
	return v.machine.Explain(err)
}

// Client is the connection to the guest.
func (v *VM) Client() *remote.Client { return v.client }

// Machine is the machine itself.
func (v *VM) Machine() *qemu.VM { return v.machine }

// Services are the host's side.
func (v *VM) Services() *Services { return v.services }

// Fork copies the workspace as it is into dir, an empty directory, for a VM
// whose From it is then. The guest goes on meanwhile.
func (v *VM) Fork(ctx context.Context, dir string) (gateway.Forked, error) {
	return v.services.Fork(ctx, dir)
}

// Dir is the directory that holds the workspace and its snapshots.
func (v *VM) Dir() string { return v.dir.Path() }

// offWait is how long a guest may take to power off when asked to. Nothing is
// lost when it is killed: all it may keep is on the host already. It takes
// 0.6 s under TCG.
const offWait = 10 * time.Second

// PowerOff asks the guest to power off and waits until it has.
func (v *VM) PowerOff(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, offWait)
	defer cancel()
	// The connection ends with the guest, so the command's end is not seen.
	go func() { _, _ = v.client.Run(ctx, remote.Command{Line: "kill -TERM 1"}) }()
	if err := v.machine.WaitOff(ctx); err != nil {
		return fmt.Errorf("the guest did not power off within %v", offWait)
	}
	v.machine.Stages().Mark("off")
	return nil
}

// Close powers the machine off, stops the services and removes the workspace.
// A guest that does not power off is killed.
func (v *VM) Close() error {
	var errs []error
	if v.client != nil {
		select {
		case <-v.machine.Ended():
		default:
			_ = v.PowerOff(context.Background())
		}
		_ = v.client.Close()
	}
	// The services first: a listener that closes under them is an error.
	if v.services != nil {
		errs = append(errs, v.services.Close())
	}
	if v.machine != nil {
		errs = append(errs, v.machine.Close())
	}
	if v.dir != nil {
		errs = append(errs, v.dir.Close())
	}
	return errors.Join(errs...)
}

// ReadClock compares the guest's clock with ours.
func (v *VM) ReadClock(ctx context.Context) (record.ClockReading, error) {
	return v.client.ReadClock(ctx)
}

// BootStages returns what the steps of the boot took.
func (v *VM) BootStages() []record.BootStage {
	var out []record.BootStage
	for _, s := range v.machine.Stages().List() {
		out = append(out, record.BootStage{Name: s.Name, TookNS: int64(s.Took)})
	}
	return out
}

// RoundTrip is the shortest of ten round trips of an empty request over vsock.
func (v *VM) RoundTrip(ctx context.Context) (time.Duration, error) {
	var best time.Duration
	for range 10 {
		begin := time.Now()
		if err := v.client.Ping(ctx); err != nil {
			return 0, v.explain(err)
		}
		if d := time.Since(begin); best == 0 || d < best {
			best = d
		}
	}
	return best, nil
}
