package qemu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/capsem/capsem-bench/internal/cachedir"
)

// Tools are the host's programs, found or not.
type Tools struct {
	Vsock       VsockKind
	VsockDevice string // vhost-device-vsock
	Virtiofsd   string
	// namespaces says that virtiofsd can have some of its own.
	namespaces bool
	// oldVirtiofsd is the one of QEMU up to 7.2, which has other options.
	oldVirtiofsd bool
}

// ErrTool says that a program is missing.
var ErrTool = errors.New("not found")

// FindTools finds what a machine needs beside the emulator.
func FindTools() (Tools, error) {
	t := Tools{Vsock: detectVsock()}
	var errs []error
	var err error
	if t.Virtiofsd, err = findVirtiofsd(); err != nil {
		errs = append(errs, err)
	} else {
		t.oldVirtiofsd = isOldVirtiofsd(t.Virtiofsd)
	}
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath(userNamespaces); err != nil {
			errs = append(errs, fmt.Errorf("%s, by which virtiofsd works without root (Debian package uidmap): %w", userNamespaces, ErrTool))
		}
	}
	// They are not to be had in every container.
	t.namespaces = asRoot("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "true").Run() == nil
	if t.Vsock == VhostUser {
		if t.VsockDevice, err = findVsockDevice(); err != nil {
			errs = append(errs, err)
		}
	}
	return t, errors.Join(errs...)
}

// findVirtiofsd looks where distributions put it, which is not in PATH.
func findVirtiofsd() (string, error) {
	paths := []string{"/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/lib/qemu/virtiofsd"}
	if path, err := exec.LookPath("virtiofsd"); err == nil {
		paths = append([]string{path}, paths...)
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("virtiofsd: %w", ErrTool)
}

// isOldVirtiofsd tells QEMU's own daemon, in C, from the later one in Rust.
func isOldVirtiofsd(path string) bool {
	out, err := asRoot(path, "--version").CombinedOutput()
	return err == nil && strings.Contains(string(out), "QEMU")
}

func findVsockDevice() (string, error) {
	if path, err := exec.LookPath("vhost-device-vsock"); err == nil {
		return path, nil
	}
	if path, err := privateVsockDevice(); err == nil {
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("vhost-device-vsock (there is no /dev/vhost-vsock either): %w", ErrTool)
}

// privateVsockDevice is where setup puts the device when the system's suite
// has no package of it.
func privateVsockDevice() (string, error) {
	dir, err := CacheDir()
	return filepath.Join(dir, "tools", "vhost-device-vsock"), err
}

// CacheDir is where images and tools are kept.
func CacheDir() (string, error) {
	return cachedir.Make()
}

// virtiofsd is the command that shares a directory. The guest must see at
// once what the host changes, because a revert is done by the host, so names
// and attributes are not cached. The older daemon can cache pages without
// them; the later one caches both or neither. It makes no device nodes: the
// host would open them.
//
// In namespaces of its own the shared directory is all that it could reach if
// a guest broke into it, and it has no network. Without them only the root
// directory is another one.
func (t Tools) virtiofsd(socket, dir string) *exec.Cmd {
	sandbox := "chroot"
	if t.namespaces {
		sandbox = "namespace"
	}
	if t.oldVirtiofsd {
		return asRoot(t.Virtiofsd, "--socket-path="+socket, "-f",
			"-o", "log_level=warn,sandbox="+sandbox+",modcaps=-mknod,cache=auto,timeout=0,source="+strings.ReplaceAll(dir, ",", `\,`))
	}
	return asRoot(t.Virtiofsd, "--socket-path="+socket, "--shared-dir="+dir, "--log-level=warn", "--sandbox="+sandbox, "--modcaps=-mknod", "--cache=never")
}

// asRoot is a command that is root, if need be in namespaces of its own: there
// the user is root, other owners of files are of the user's range in
// /etc/subuid, and /run, where the older virtiofsd has its process id, is empty.
// The program gets no privileges beyond those.
func asRoot(args ...string) *exec.Cmd {
	if os.Geteuid() != 0 {
		args = append([]string{
			"unshare", "--user", "--map-root-user", "--map-auto", "--mount", "sh", "-c", `mount -t tmpfs none /run && exec setpriv --no-new-privs -- "$@"`, "sh",
		}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}
