package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/vmconfig"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/capsem/capsem-bench/sandbox/remote"
	"github.com/spf13/cobra"
)

// This file is what uses a VM that another command has booted.

func (a *app) vmListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the VMs that run",
		Long:    "list shows the VMs that commands of this user have booted and that have not\nended yet: those of vm exec, vm shell and run --sandbox qemu.",
		Example: "  capsem-bench vm list\n  capsem-bench vm list --json",
		Args:    atMostArgs(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			list, err := qemu.List()
			if err != nil {
				return exit(exitUnfit, err)
			}
			if asJSON {
				return a.outputJSON(list)
			}
			if len(list) == 0 {
				fmt.Fprintln(a.stderr, "no VM runs; 'capsem-bench vm shell' boots one")
				return nil
			}
			rows := [][]string{{"NAME", "PID", "UP", "IMAGE", "ARCH", "ACCEL", "DIRECTORY"}}
			for _, r := range list {
				up := time.Since(r.Started).Round(time.Second).String()
				// An image's words for itself may come from elsewhere.
				rows = append(rows, []string{
					r.Name, strconv.Itoa(r.PID), up, termtext.Cell(r.Profile), termtext.Cell(string(r.Arch)), termtext.Cell(string(r.Accel)), termtext.Cell(r.Dir),
				})
			}
			return a.show(columns(rows, a.stdoutWidth()))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of a table")
	return cmd
}

// findVM finds a running VM; that there is none is a matter of the environment.
func findVM(name string) (qemu.Running, error) {
	r, err := qemu.Find(name)
	switch {
	case errors.Is(err, qemu.ErrName):
		return r, usage("%w", err)
	case errors.Is(err, qemu.ErrNotRunning):
		return r, exit(exitUnfit, fmt.Errorf("%w; 'capsem-bench vm list' shows those that do", err))
	}
	return r, exit(exitUnfit, err)
}

// attach connects to a running VM.
func (a *app) attach(ctx context.Context, name string) (*remote.Client, error) {
	r, err := findVM(name)
	if err != nil {
		return nil, err
	}
	client, err := sandbox.Attach(ctx, r)
	if err != nil {
		return nil, unfit(ctx, fmt.Errorf("VM %s: %w", name, err))
	}
	return client, nil
}

// execInRunning runs one command, or a login shell, in a VM that goes on after it.
func (a *app) execInRunning(ctx context.Context, opt *execOptions, line string) error {
	client, err := a.attach(ctx, opt.vm)
	if err != nil {
		return err
	}
	defer client.Close()
	status, err := a.execCommand(ctx, client.Run, line, opt.terminal)
	return commandEnd(ctx, status, err)
}

func (a *app) vmCopyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cp SOURCE DESTINATION",
		Short: "Copy files into a running VM, or out of one",
		Long: `cp copies a file or a directory with all that is in it, as cp -R does: into the
destination if that is a directory, else to that name. One of the two is in a
VM and begins with its name and a colon; what follows is relative to the VM's
workspace. A local file whose name has a colon is written with a slash, as in ./a:b.

What a VM sends is written inside of the destination only. A link that leads
out of what is copied, and what is neither a file nor a directory, is left out;
cp says so and ends with status 1. It ends with status 3 where what comes would
leave the disk with less than 512 MiB free, or a twentieth of a smaller disk, and
after 1,048,576 files; a file that is not whole is removed.`,
		Example: "  capsem-bench vm cp src vm1:\n  capsem-bench vm cp vm1:/var/log logs",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("cp: want a source and a destination, as in 'capsem-bench vm cp FILE vm1:'")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.copyVM(cmd.Context(), args[0], args[1]) },
	}
}

// guestPath splits NAME:PATH. As scp(1) has it, a colon after a slash belongs
// to the name of a file.
func guestPath(arg string) (vm, path string, ok bool) {
	vm, path, ok = strings.Cut(arg, ":")
	if !ok || vm == "" || strings.Contains(vm, "/") {
		return "", arg, false
	}
	if path == "" {
		path = "."
	}
	return vm, path, true
}

func (a *app) copyVM(ctx context.Context, from, to string) error {
	fromVM, src, out := guestPath(from)
	toVM, dst, in := guestPath(to)
	if in == out {
		return usage("cp: want one of the two in a VM, as in 'capsem-bench vm cp FILE vm1:' or 'capsem-bench vm cp vm1:FILE .'")
	}
	if in {
		if _, err := os.Stat(src); err != nil {
			return exit(exitUsage, err)
		}
	}
	client, err := a.attach(ctx, fromVM+toVM)
	if err != nil {
		return err
	}
	defer client.Close()
	p := newProgress(a.term, false)
	p.step("copying "+termtext.Block(from), 0)
	transfer := client.Upload
	if out {
		transfer = client.Download
	}
	done, err := transfer(ctx, src, dst)
	p.Close()
	for _, w := range done.Warnings {
		fmt.Fprintln(a.stderr, "capsem-bench:", termtext.Block(w))
	}
	switch {
	case ctx.Err() != nil:
		return unfit(ctx, ctx.Err())
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		return exit(exitUsage, err)
	case err != nil:
		return exit(exitUnfit, err)
	case len(done.Warnings) > 0:
		return exit(exitFailed, errors.New("not everything was copied"))
	}
	return nil
}

func (a *app) vmProxyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "proxy NAME",
		Short: "Connect standard input and output to a running VM's SSH server",
		Long: `proxy is for the ProxyCommand of ssh, scp, sftp, rsync and whatever else uses
ssh. 'capsem-bench vm ssh-config' has a configuration with it, and with the
VM's key and host key, from the DIRECTORY that 'capsem-bench vm list' shows.`,
		Example: "  ssh -F \"$(capsem-bench vm ssh-config vm1)\" vm1\n" +
			"  ssh -o ProxyCommand='capsem-bench vm proxy %h' -i DIRECTORY/key -o UserKnownHostsFile=DIRECTORY/known_hosts root@vm1",
		Args: oneArg("the name of a VM"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := findVM(args[0])
			if err != nil {
				return err
			}
			return a.proxy(cmd.Context(), r)
		},
	}
}

// proxyLinger is how long the guest may take to close its end when ours has
// ended: ssh is gone by then.
const proxyLinger = 5 * time.Second

func (a *app) proxy(ctx context.Context, r qemu.Running) error {
	c, err := r.Dial(ctx, vmconfig.SSHPort)
	if err != nil {
		return unfit(ctx, fmt.Errorf("VM %s: %w", r.Name, err))
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	go func() {
		_, _ = io.Copy(c, a.stdin)
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		time.AfterFunc(proxyLinger, func() { _ = c.Close() })
	}()
	_, err = io.Copy(a.stdout, c)
	if ctx.Err() != nil {
		return unfit(ctx, ctx.Err())
	}
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return exit(exitUnfit, err)
}

func (a *app) vmSSHConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ssh-config NAME",
		Short: "Print the name of a running VM's configuration file for ssh",
		Long: `ssh-config prints the name of a file that leads ssh, scp and sftp to a running VM,
by its name. The file is there as long as the VM is.`,
		Example: "  ssh -F \"$(capsem-bench vm ssh-config vm1)\" vm1 uname -a",
		Args:    oneArg("the name of a VM"),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := findVM(args[0])
			if err != nil {
				return err
			}
			return a.output(r.SSHConfig + "\n")
		},
	}
}

// proxyCommand is the command line of vm proxy, without the name.
func proxyCommand() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	return shell.Join(exe, "vm", "proxy"), nil
}
