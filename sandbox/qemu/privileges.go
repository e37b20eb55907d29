package qemu

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Where the command is root, the emulator and the vsock device are not: they
// speak to the guest, and whoever breaks out of them is a user that owns
// nothing. That user could follow no path to the image and the sockets, which
// are in directories of root's, so both get what they need as open files.
//
// virtiofsd stays root. It has to give files the owners that the guest gives
// them, and the host writes files into the same directory as root. It is
// confined by its own filter of system calls, seven capabilities, and
// namespaces in which the workspace is all there is (Tools.virtiofsd).

// An account is the user that processes of one machine run as.
type account struct {
	id     uint32   // of the user, and of its group
	groups []uint32 // further ones
}

// The numbers that systemd gives to users that last as long as a service
// (systemd.exec(5), DynamicUser=). No package gives them to anybody.
const (
	firstAccount = 61184
	lastAccount  = 65519
)

// newAccount is an account that nobody else has; nil, the command's own, where
// the command is not root or is root of a user namespace without such users.
func newAccount() *account {
	if os.Geteuid() != 0 {
		return nil
	}
	for range 100 {
		id := uint32(firstAccount + rand.IntN(lastAccount-firstAccount+1))
		if _, err := user.LookupId(strconv.Itoa(int(id))); err != nil && isMapped("uid", id) && isMapped("gid", id) {
			return &account{id: id}
		}
	}
	return nil
}

// isMapped reports whether this user namespace has the user or group
// (user_namespaces(7)).
func isMapped(kind string, id uint32) bool {
	f, err := os.Open("/proc/self/" + kind + "_map")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var inside, outside, count uint64
		if n, _ := fmt.Sscan(lines.Text(), &inside, &outside, &count); n == 3 && inside <= uint64(id) && uint64(id) < inside+count {
			return true
		}
	}
	return false
}

// opening is the account as a member of the group that may open a device; nil
// if no group may.
func (a *account) opening(device string) *account {
	info, err := os.Stat(device)
	if a == nil || err != nil {
		return a // who opens it will say what is wrong
	}
	const all, group = 0o006, 0o060
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode().Perm(); {
	case mode&all == all:
		return a
	case ok && mode&group == group && stat.Gid != 0:
		return &account{id: a.id, groups: append(a.groups[:len(a.groups):len(a.groups)], stat.Gid)}
	}
	return nil
}

// reaching is the account where it can start the program, else nil: a program
// in a directory of root's own is run by root.
func (a *account) reaching(program string) *account {
	path, err := filepath.EvalSymlinks(program)
	if a == nil || err != nil {
		return a
	}
	const others = 0o001
	for ; ; path = filepath.Dir(path) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&others == 0 {
			return nil
		}
		if path == filepath.Dir(path) {
			return a
		}
	}
}

// account is one that can do what a machine of these options needs.
func (o Options) account() *account {
	a := newAccount()
	if o.Accel == KVM {
		a = a.opening("/dev/kvm")
	}
	return a
}

// run makes a command one of the account.
func (a *account) run(cmd *exec.Cmd) {
	if a != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.id, Gid: a.id, Groups: a.groups}}
	}
}

// own gives a file of ours to the account.
func (a *account) own(f *os.File) error {
	if a == nil {
		return nil
	}
	return f.Chown(int(a.id), int(a.id))
}

// program is a command of the account, whose path it need not be able to follow.
func (a *account) program(path string, args ...string) (cmd *exec.Cmd, done func(), err error) {
	cmd = exec.Command(path, args...)
	if a == nil {
		return cmd, func() {}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	cmd.Path = inherit(cmd, f)
	a.run(cmd)
	return cmd, func() { _ = f.Close() }, nil
}

// inherit leaves an open file to a command and returns its path there.
func inherit(cmd *exec.Cmd, f *os.File) string {
	return "/proc/self/fd/" + strconv.Itoa(inheritFD(cmd, f))
}

// inheritFD returns its number there.
func inheritFD(cmd *exec.Cmd, f *os.File) int {
	cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	return 2 + len(cmd.ExtraFiles)
}

// open opens a file that the account will open once more, by its descriptor,
// which asks for the file's mode and not for that of the directories above. A
// file whose mode forbids that is copied into dir.
func (a *account) open(path, dir string) (*os.File, error) {
	f, err := os.Open(path)
	if a == nil || err != nil {
		return f, err
	}
	const all = 0o004
	if info, err := f.Stat(); err == nil && info.Mode().Perm()&all == all {
		return f, nil
	}
	_ = f.Close()
	name := filepath.Join(dir, "."+filepath.Base(path))
	if err := copyFile(name, path); err != nil {
		return nil, err
	}
	if f, err = os.Open(name); err != nil {
		return nil, err
	}
	if err := a.own(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// connect connects to a socket and returns its descriptor.
func connect(path string) (*os.File, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.File()
}
