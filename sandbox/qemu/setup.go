package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/capsem/capsem-bench/internal/scratch"
)

// A Requirement is one program and where it comes from.
type Requirement struct {
	Program string
	Path    string // "" when it is missing
	Package string // of Debian
}

// userNamespaces is the program by which mmdebstrap works without root, with
// the user's range in /etc/subuid.
const userNamespaces = "newuidmap"

// Requirements are the programs that VMs need on this machine.
func Requirements(profile Profile, arch Arch) []Requirement {
	emulator := Requirement{Program: Config{Arch: arch}.Program(), Package: "qemu-system-x86"}
	if arch == ARM64 {
		emulator.Package = "qemu-system-arm"
	}
	list := []Requirement{
		emulator,
		{Program: "mmdebstrap", Package: "mmdebstrap"},
		{Program: "mksquashfs", Package: "squashfs-tools"},
		{Program: "dpkg-deb", Package: "dpkg"},
	}
	if os.Geteuid() != 0 {
		list = append(list, Requirement{Program: userNamespaces, Package: "uidmap"})
	}
	if profile == Full {
		list = append(list, Requirement{Program: "npm", Package: "npm"})
	}
	for i := range list {
		list[i].Path, _ = exec.LookPath(list[i].Program)
	}
	fs := Requirement{Program: "virtiofsd", Package: virtiofsdPackage()}
	fs.Path, _ = findVirtiofsd()
	list = append(list, fs)
	if detectVsock() == VhostVsock {
		return append(list, Requirement{Program: "/dev/vhost-vsock", Path: "/dev/vhost-vsock"})
	}
	dev := Requirement{Program: "vhost-device-vsock", Package: "vhost-device-vsock, by 'capsem-bench vm setup'"}
	dev.Path, _ = findVsockDevice()
	return append(list, dev)
}

// virtiofsdPackage is where the suite has it: Debian 12 inside QEMU's own
// packages, later ones alone.
func virtiofsdPackage() string {
	if exec.Command("apt-cache", "show", "virtiofsd").Run() == nil {
		return "virtiofsd"
	}
	return "qemu-system-common"
}

// MissingPackages are the packages of Debian that apt-get has to install.
func MissingPackages(profile Profile, arch Arch) []string {
	var out []string
	for _, r := range Requirements(profile, arch) {
		if r.Path == "" && r.Program != "vhost-device-vsock" {
			out = append(out, r.Package)
		}
	}
	if _, err := os.Stat(keyring); err != nil {
		out = append(out, "debian-archive-keyring")
	}
	return out
}

// InstallCommands are the commands that install packages.
func InstallCommands(packages []string, root bool) [][]string {
	if len(packages) == 0 {
		return nil
	}
	apt := []string{"apt-get", "-o", "DPkg::Lock::Timeout=300"}
	if !root {
		apt = append([]string{"sudo"}, apt...)
	}
	update := append(apt[:len(apt):len(apt)], "-q", "update")
	install := append(apt[:len(apt):len(apt)], "-q", "-y", "--no-install-recommends", "install")
	return [][]string{update, append(install, packages...)}
}

// vsockSuites are the releases that are asked for vhost-device-vsock, in this
// order. The program needs nothing newer than Debian 12's libc.
func vsockSuites() []string { return []string{Suite, "trixie", "forky", "sid"} }

const setupPrefix = "capsem-setup-"

// FetchVsockDevice puts vhost-device-vsock into the cache directory, from the
// first suite that has it. apt verifies the package by Debian's keys.
func FetchVsockDevice(ctx context.Context, mirror string, notify func(string)) (string, error) {
	path, err := privateVsockDevice()
	if err != nil {
		return "", err
	}
	mirrors := Mirrors{Main: mirror}
	if mirror == "" {
		if mirrors, err = FindMirrors(ctx); err != nil {
			return "", err
		}
	}
	work, err := scratch.New(os.TempDir(), setupPrefix)
	if err != nil {
		return "", err
	}
	defer work.Close()
	if err := os.Chmod(work.Path(), 0o711); err != nil { // apt downloads as another user
		return "", err
	}
	for _, suite := range vsockSuites() {
		notify("vhost-device-vsock: package lists of " + suite)
		apt, err := newPrivateApt(ctx, filepath.Join(work.Path(), suite), HostArch(), Mirrors{Main: mirrors.Main}.sources(suite))
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			continue // a mirror need not have every suite
		}
		deb, err := apt.download(ctx, "vhost-device-vsock")
		if err != nil {
			continue
		}
		tree := filepath.Join(work.Path(), "tree")
		if _, err := output(ctx, "dpkg-deb", "--extract", deb, tree); err != nil {
			return "", err
		}
		return path, install(path, filepath.Join(tree, "usr", "bin", "vhost-device-vsock"))
	}
	return "", errors.New("no suite of the mirror has vhost-device-vsock; load the kernel module vhost_vsock instead")
}

// install copies a program into its place, whole or not at all, and runs it.
func install(to, from string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d", to, os.Getpid())
	defer os.Remove(tmp)
	if err := copyFile(tmp, from); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if out, err := exec.Command(tmp, "--version").CombinedOutput(); err != nil {
		return fmt.Errorf("vhost-device-vsock does not run here: %w: %s", err, out)
	}
	return os.Rename(tmp, to)
}
