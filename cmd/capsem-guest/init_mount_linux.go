package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// A mount is one call of mount(2), at a directory that is made if need be.
type mount struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}

func (m mount) do() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.source, m.target, m.fstype, m.flags, m.data); err != nil {
		return fmt.Errorf("mounting %s (%s) at %s: %w", m.source, m.fstype, m.target, err)
	}
	return nil
}

func doAll(mounts []mount) error {
	for _, m := range mounts {
		if err := m.do(); err != nil {
			return err
		}
	}
	return nil
}

const safe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// mountKernel mounts what the kernel itself provides.
func mountKernel() error {
	return doAll([]mount{
		{"proc", "/proc", "proc", safe, ""},
		{"sysfs", "/sys", "sysfs", safe, ""},
		{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755"},
	})
}

// rootDevice is the virtio disk with the squashfs.
const rootDevice = "/dev/vda"

// deviceWait is how long the disk may take to show up after its driver has
// been loaded: probing is asynchronous. It takes 50 ms on an emulated CPU.
const deviceWait = 20 * time.Second

// enterRootfs mounts the squashfs under an overlay in memory, and the
// workspace, and makes that the root. The upper layer is limited to half of
// the memory, as any tmpfs is.
func enterRootfs() error {
	if err := awaitDevice(rootDevice, deviceWait); err != nil {
		return err
	}
	tune()
	const upper = "/layers"
	err := doAll([]mount{
		{rootDevice, "/lower", "squashfs", unix.MS_RDONLY, ""},
		{"tmpfs", upper, "tmpfs", 0, "mode=0755"},
	})
	if err != nil {
		return err
	}
	for _, dir := range []string{upper + "/upper", upper + "/work"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	const root = "/root.new"
	err = doAll([]mount{
		{"overlay", root, "overlay", 0, "lowerdir=/lower,upperdir=" + upper + "/upper,workdir=" + upper + "/work"},
		{"/proc", root + "/proc", "", unix.MS_MOVE, ""},
		{"/sys", root + "/sys", "", unix.MS_MOVE, ""},
		{"/dev", root + "/dev", "", unix.MS_MOVE, ""},
		{"devpts", root + "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"},
		{"tmpfs", root + "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"tmpfs", root + "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
		{"tmpfs", root + "/tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	})
	if err != nil {
		return err
	}
	stage(vmconfig.StageRootfs, "")
	if err := installPrograms(root); err != nil {
		return err
	}
	home := mount{vmconfig.WorkspaceTag, root + vmconfig.Home, "virtiofs", unix.MS_NOSUID | unix.MS_NODEV, ""}
	if err := home.do(); err != nil {
		return err
	}
	stage(vmconfig.StageHome, "")
	return switchRoot(root)
}

// installPrograms makes this program and those that came with it visible in
// the new root. They lie in the initramfs, whose pages are in memory anyway,
// so they are bound and not copied.
func installPrograms(root string) error {
	programs := map[string]string{vmconfig.Program: "/init"}
	paths, err := filepath.Glob(vmconfig.ProgramsDir + "/*")
	if err != nil {
		return err
	}
	for _, path := range paths {
		programs[filepath.Join(vmconfig.RunDir, filepath.Base(path))] = path
	}
	for target, source := range programs {
		if err := os.WriteFile(root+target, nil, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(source, root+target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("installing %s: %w", target, err)
		}
		link := filepath.Join(root, binDir, filepath.Base(target))
		if err := os.Symlink(target, link); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// binDir is where commands are found that are not Debian's.
const binDir = "/usr/local/bin"

// switchRoot is what switch_root(8) does: the mount moves over / and becomes
// the root. The configuration, which has a key in it, does not stay behind.
func switchRoot(root string) error {
	if err := os.RemoveAll("/capsem"); err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("entering the root: %w", err)
	}
	return os.Chdir("/")
}

func awaitDevice(path string, limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(2 * time.Millisecond) {
		_, err := os.Stat(path)
		if err == nil {
			return nil
		}
		if !errors.Is(err, os.ErrNotExist) || time.Now().After(end) {
			return fmt.Errorf("waiting for the disk: %w", err)
		}
	}
}
