package reference

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/internal/child"
)

// daemonGrace is how long a program may take to listen, and to end.
const daemonGrace = 30 * time.Second

// A daemon is a program that serves until it is stopped.
type daemon struct {
	name  string
	pid   int
	ended <-chan error
}

// startDaemon starts a program and waits until it listens at addr. An error
// quotes the end of what it wrote to its log, and to standard error.
func startDaemon(ctx context.Context, addr, log string, argv ...string) (*daemon, error) {
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &complaints, &complaints
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = daemonGrace
	ended, err := child.Start(cmd, syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	d := &daemon{filepath.Base(argv[0]), cmd.Process.Pid, ended}
	if err := d.await(ctx, addr); err != nil {
		_ = d.stop() // the error is that it does not answer
		said, _ := os.ReadFile(log)
		said = append(said, complaints.Bytes()...)
		return nil, fmt.Errorf("%w: %s", err, said[max(0, len(said)-500):])
	}
	return d, nil
}

// await waits until the daemon listens.
func (d *daemon) await(ctx context.Context, addr string) error {
	deadline := time.After(daemonGrace)
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case ended := <-d.ended:
			return fmt.Errorf("%s ended before it listened: %w", d.name, errors.Join(ended, err))
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("%s does not listen: %w", d.name, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// stop ends the daemon and what it started. How it ends is its own affair.
func (d *daemon) stop() error {
	child.StopGroup(d.pid, d.ended, daemonGrace)
	return nil
}

// freeAddress is one on loopback that nothing listened at a moment ago.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
