package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/atomicfile"
)

// The files in a machine's directory that other commands use.
const (
	runningFile    = "vm.json" // comes last: the others are there when it is
	keyFile        = "key"
	knownHostsFile = "known_hosts"
	sshConfigFile  = "ssh_config"
)

// A Running is a machine that some process of this user runs, as others see it.
type Running struct {
	Name    string    `json:"name"`
	PID     int       `json:"pid"` // of the process that runs it
	Started time.Time `json:"started"`
	Profile string    `json:"profile"`
	Arch    Arch      `json:"arch"`
	Accel   Accel     `json:"accel"`
	Image   string    `json:"image"` // digest
	Vsock   VsockKind `json:"vsock"`
	CID     uint32    `json:"cid"`      // the guest's; with vhost-user it means nothing to the host
	HostKey string    `json:"host_key"` // the guest's, as a line of authorized_keys
	Dir     string    `json:"dir"`      // its directory, with the files below
	Key     string    `json:"key"`      // file of the private key
	// SSHConfig is a configuration file for ssh; "" is none.
	SSHConfig string `json:"ssh_config,omitempty"`
}

// ErrNotRunning says that there is no such machine.
var ErrNotRunning = errors.New("no such VM runs")

// Publish lets other commands of this user find the machine and log in: with
// the key, to a guest that has the host key, a line of authorized_keys.
func (vm *VM) Publish(key, hostKey []byte) error {
	r := Running{
		Name: vm.name, PID: os.Getpid(), Started: time.Now().UTC().Truncate(time.Second),
		Profile: vm.opt.Image.Profile, Arch: vm.opt.Image.Arch, Accel: vm.opt.Accel, Image: vm.opt.Image.Digest,
		Vsock: vm.opt.Tools.Vsock, CID: vm.cid(), HostKey: strings.TrimSpace(string(hostKey)),
		Dir: vm.dir, Key: filepath.Join(vm.dir, keyFile),
	}
	known := filepath.Join(vm.dir, knownHostsFile)
	files := map[string][]byte{
		r.Key: key,
		known: []byte(r.Name + " " + r.HostKey + "\n"),
	}
	if vm.opt.ProxyCommand != "" {
		r.SSHConfig = filepath.Join(vm.dir, sshConfigFile)
		files[r.SSHConfig] = []byte(r.sshConfig(known, vm.opt.ProxyCommand))
	}
	for name, data := range files {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			return err
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(vm.dir, runningFile), text)
}

// Name is what other commands find the machine by.
func (vm *VM) Name() string { return vm.name }

// PIDs are the processes that were started for the machine: QEMU, and the
// devices beside it. Each may have started others.
func (vm *VM) PIDs() (emulator int, devices []int) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	for _, c := range vm.children {
		if strings.HasPrefix(c.name, emulatorPrefix) {
			emulator = c.cmd.Process.Pid
		} else {
			devices = append(devices, c.cmd.Process.Pid)
		}
	}
	return emulator, devices
}

// emulatorPrefix begins the name of QEMU's programs.
const emulatorPrefix = "qemu-"

// cid is the guest's own context identifier.
func (vm *VM) cid() uint32 {
	if vm.opt.Tools.Vsock == VhostUser {
		return userCID
	}
	return vm.link.cid
}

// sshConfig is what ssh_config(5) wants to reach the machine by its name. The
// known host is the only one that is believed.
func (r Running) sshConfig(known, proxy string) string {
	return fmt.Sprintf(`Host %s
  User root
  IdentityFile %s
  IdentitiesOnly yes
  UserKnownHostsFile %s
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  ProxyCommand %s
`, r.Name, sshQuote(r.Key), sshQuote(known), strings.ReplaceAll(proxy, "%", "%%")+" %h")
}

// sshQuote quotes a file name for ssh_config(5), where % begins a token.
func sshQuote(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(name) + `"`
}

// List returns the machines of this user, by name. Of those that are booting
// still there is nothing to say, and none that others may have written to is
// believed.
func List() ([]Running, error) {
	base := machines()
	list := []Running{}
	for _, dir := range ownDirs(base) {
		r, err := readRunning(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Running) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Find returns the machine of that name; the error is an ErrNotRunning if
// there is none.
func Find(name string) (Running, error) {
	if err := CheckName(name); err != nil {
		return Running{}, err
	}
	base := machines()
	dir := filepath.Join(base, dirPrefix+name)
	if !slices.Contains(ownDirs(base), dir) {
		return Running{}, fmt.Errorf("%w: %s", ErrNotRunning, name)
	}
	r, err := readRunning(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w yet: %s is booting", ErrNotRunning, name)
	}
	return r, err
}

// maxRunning is far above the 600 bytes that there are.
const maxRunning = 64 << 10

func readRunning(dir string) (r Running, err error) {
	if !isPrivate(dir) {
		return r, fmt.Errorf("%s: %w: others may have written to it", dir, fs.ErrPermission)
	}
	f, err := os.Open(filepath.Join(dir, runningFile))
	if err != nil {
		return r, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxRunning)).Decode(&r); err != nil {
		return r, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	if r.Name != nameOf(dir) {
		return r, fmt.Errorf("reading %s: it is that of another VM, %.40q", f.Name(), r.Name)
	}
	r.Dir = dir
	return r, nil
}

// Dial connects to a vsock port of the guest.
func (r Running) Dial(ctx context.Context, port uint32) (net.Conn, error) {
	t := newTransport(r.Vsock, r.Dir)
	t.cid = r.CID
	return t.dial(ctx, port)
}
