package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// initSystem is PID 1 of a guest. It makes the system, starts guestd, adopts
// and reaps orphans, and powers off when guestd ends or on SIGTERM. It does
// not return: without PID 1 the kernel panics.
//
// guestd is a process of its own so that reaping is simple: here any child
// may be waited for, there only the ones that it started.
func initSystem() {
	stage(vmconfig.StageKernel, "")
	// Nothing is watching yet, so every error is the end of the boot.
	if err := bootAndServe(); err != nil {
		stage(vmconfig.StageFailed, err.Error())
	}
	powerOff()
}

func bootAndServe() error {
	if err := mountKernel(); err != nil {
		return err
	}
	text, err := os.ReadFile(vmconfig.Path)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	cfg, err := vmconfig.Decode(text)
	if err != nil {
		return err
	}
	if cfg.Mode == vmconfig.ModeProbe {
		return nil
	}
	if err := setIdentity(cfg); err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	stage(vmconfig.StageModules, "")
	if err := enterRootfs(); err != nil {
		return err
	}
	return supervise(text)
}

// supervise runs guestd until it ends or a SIGTERM asks for the end.
func supervise(config []byte) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command(vmconfig.Program, contract.Guestd)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting guestd: %w", err)
	}
	_ = r.Close()
	// The configuration holds a private key: it goes through a pipe, for a
	// pipe leaves nothing behind.
	go func() { _, _ = w.Write(config); _ = w.Close() }()
	for sig := range signals {
		if sig != syscall.SIGCHLD {
			return nil
		}
		if status, ended := reap(cmd.Process.Pid); ended {
			return fmt.Errorf("guestd ended: %s", describe(status))
		}
	}
	return nil
}

// reap waits for every child that has ended and reports whether one of them
// was the given one. SIGCHLD is not counted, so one may stand for many.
func reap(child int) (status unix.WaitStatus, ended bool) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || pid <= 0:
			return status, ended
		case pid == child:
			status, ended = ws, true
		}
	}
}

func describe(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return "signal " + ws.Signal().String()
	}
	return fmt.Sprintf("status %d", ws.ExitStatus())
}

// stopGrace is what processes get between SIGTERM and SIGKILL at power-off.
const stopGrace = 500 * time.Millisecond

// powerOff ends everything and the machine. Only the workspace outlives the
// VM, and its writes are the host's once they return; sync is for mmap.
func powerOff() {
	_ = unix.Kill(-1, unix.SIGTERM)
	for end := time.Now().Add(stopGrace); time.Now().Before(end); {
		reap(0)
		if unix.Kill(-1, 0) != nil {
			break // nobody is left
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = unix.Kill(-1, unix.SIGKILL)
	unix.Sync()
	_ = unix.Unmount(vmconfig.Home, unix.MNT_DETACH)
	stage(vmconfig.StageOff, "")
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("powering off:", err)
	}
	select {} // returning would be a panic of the kernel
}

// stage reports a step of the boot on the console.
func stage(s vmconfig.Stage, reason string) {
	var up unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &up)
	_, _ = os.Stdout.WriteString(vmconfig.StageLine(s, time.Duration(up.Nano()), reason))
}

// setIdentity sets the host name and the clock. Two clocks are at hand, both
// behind, so the later one is taken: the kernel's from the machine's RTC, if
// there is one, which has whole seconds; and the host's from when the VM was
// started, which lacks what went by until the kernel's clock ran: with an
// emulated CPU on a busy machine, seconds.
func setIdentity(cfg vmconfig.Config) error {
	if err := unix.Sethostname([]byte(cfg.Hostname)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	if cfg.TimeNS > 0 {
		var up unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &up)
		tv := unix.NsecToTimeval(cfg.TimeNS + up.Nano())
		if tv.Nano() <= time.Now().UnixNano() {
			return nil
		}
		if err := unix.Settimeofday(&tv); err != nil {
			return fmt.Errorf("setting the clock: %w", err)
		}
	}
	return nil
}

// loadModules loads the drivers of the initramfs. Their names begin with
// numbers: the host has put them in the order of their dependencies.
func loadModules() error {
	paths, err := filepath.Glob("/modules/*.ko")
	if err != nil {
		return err
	}
	for _, path := range paths { // Glob sorts
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		_ = f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("loading %s: %w", filepath.Base(path), err)
		}
		_ = os.Remove(path) // the initramfs is memory
	}
	return nil
}
