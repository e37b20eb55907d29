//go:build vmtest

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/delay"
	"github.com/capsem/capsem-bench/internal/testbuild"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/capsem/capsem-bench/sandbox/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A between is a VM with something between the guest and its services.
type between struct {
	*sandbox.VM
	wrap          func(service string, ln net.Listener) net.Listener
	before, after func(v *sandbox.VM) // of the guest binary
}

func (b *between) Run(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	b.before(b.VM)
	defer b.after(b.VM)
	return b.VM.Run(ctx, args, stdout, stderr)
}

// measureBetween runs the command in this process on such a VM.
func measureBetween(t *testing.T, in *between, categories ...catalogue.Category) (status int, doc document, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	guest, tools := guestBinary(t), guestTools(t)
	qemuTools, err := qemu.FindTools()
	require.NoError(t, err)
	image := userImage(t)
	kind := sandboxKind{name: "between", prepare: func(context.Context, func(string)) (openFunc, error) {
		return func(ctx context.Context, b sandbox.Boot) (sandbox.Sandbox, error) {
			db, err := b.Session()
			if err != nil {
				return nil, err
			}
			in.VM, err = sandbox.NewVM(ctx, sandbox.VMConfig{
				Dir: b.Dir, Binary: guest, Session: db, Wrap: in.wrap,
				Machine: qemu.Options{Image: image, Accel: qemu.TCG, Guest: tools, Tools: qemuTools},
			})
			return in, err
		}, nil
	}}
	var stdout, errout bytes.Buffer
	a := &app{stdout: &stdout, stderr: &errout, term: newTerm(&errout)}
	opt := &runOptions{measureOptions: measureOptions{count: 1, out: filepath.Join(t.TempDir(), "out")}, sandbox: kind.name}
	var e *exitError
	require.ErrorAs(t, a.runSandbox(ctx, opt, []sandboxKind{kind}, categories), &e)
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &doc), e.Error())
	left, err := filepath.Glob(filepath.Join(opt.out, ".*"))
	require.NoError(t, err)
	assert.Empty(t, left)
	return e.status, doc, errout.String() + e.Error()
}

// A gatewayProcess is the gateway in a process that can be killed.
type gatewayProcess struct {
	binary, socket, store string
	cmd                   *exec.Cmd
}

func (g *gatewayProcess) start(workspace string) error {
	_ = os.Remove(g.socket)
	g.cmd = exec.Command(g.binary, "serve", "--workspace", workspace, "--store", g.store, "--gateway", "unix:"+g.socket)
	return g.cmd.Start()
}

func (g *gatewayProcess) kill() {
	if g.cmd == nil || g.cmd.Process == nil {
		return
	}
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait()
}

// unfinished reports whether a snapshot was begun and not finished.
func (g *gatewayProcess) unfinished() bool { return one(filepath.Join(g.store, ".new-*")) }

// relay hands each connection to whoever listens on the socket, for which it
// waits, and ends with the listener.
func relay(ln net.Listener, socket string) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			to, err := dialPatiently(socket)
			if err != nil {
				return
			}
			defer to.Close()
			go func() { _, _ = io.Copy(to, c); _ = to.CloseWrite() }()
			_, _ = io.Copy(c, to)
		}()
	}
}

func dialPatiently(socket string) (c *net.UnixConn, err error) {
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if c, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"}); err == nil {
			break
		}
	}
	return c, err
}

// idle is a listener that nobody reaches.
type idle struct {
	net.Listener
	once sync.Once
	done chan struct{}
}

func (i *idle) Accept() (net.Conn, error) { <-i.done; return nil, net.ErrClosed }

func (i *idle) Close() error {
	i.once.Do(func() { close(i.done) })
	return i.Listener.Close()
}

// ballast fills a workspace so that a snapshot of it takes some 50 ms at least,
// whatever the machine: time enough to kill the gateway in it.
func ballast(t *testing.T, workspace string) {
	t.Helper()
	dir := filepath.Join(workspace, "ballast")
	require.NoError(t, os.Mkdir(dir, 0o755))
	for i := range 5_000 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o644))
	}
}

// A gateway that is killed while it takes a snapshot, and started again, costs
// the operation that was under way. Nothing of it stays.
func TestVMGatewayKilled(t *testing.T) {
	dir := t.TempDir()
	g := &gatewayProcess{
		binary: testbuild.Command(t),
		socket: filepath.Join(dir, "s"), store: filepath.Join(dir, "store"),
	}
	done := make(chan struct{})
	var killer sync.WaitGroup
	killed := false
	wrap := func(service string, ln net.Listener) net.Listener {
		if service != delay.Gateway {
			return ln
		}
		go relay(ln, g.socket)
		return &idle{Listener: ln, done: make(chan struct{})}
	}
	before := func(v *sandbox.VM) {
		workspace := filepath.Join(v.Dir(), "workspace")
		ballast(t, workspace)
		require.NoError(t, g.start(workspace))
		require.Eventually(t, func() bool { return one(filepath.Join(g.store, "0")) }, 5*time.Minute, 5*time.Millisecond, "its own first snapshot")
		killer.Go(func() {
			for ; !killed; time.Sleep(time.Millisecond) {
				select {
				case <-done:
					return
				default:
				}
				if !one(filepath.Join(workspace, ".capsem-bench-*")) || !one(filepath.Join(g.store, ".new-*", "workspace", "ballast")) {
					continue
				}
				g.kill()
				killed = g.unfinished() // else it was just finished; once more
				if !assert.NoError(t, g.start(workspace)) {
					return
				}
			}
		})
	}
	after := func(*sandbox.VM) {
		close(done)
		killer.Wait()
	}
	status, doc, stderr := measureBetween(t, &between{wrap: wrap, before: before, after: after}, catalogue.Snapshot)
	defer g.kill()
	require.True(t, killed, "it was never killed in the midst of a snapshot")
	assert.Equal(t, exitFailed, status, stderr)
	assert.True(t, doc.Additions.Complete)
	assert.Empty(t, doc.Additions.Missing)
	failed := 0
	for id, op := range doc.Additions.Ops {
		if op.Status == "failed" {
			failed++
			assert.Regexp(t, `connection closed by the host|connection lost|broken pipe|reset`, op.Reason, id)
			continue
		}
		assert.Equal(t, opStatus{"ok", "", 1}, op, id)
	}
	assert.Positive(t, failed)
	assert.Less(t, failed, 5)
	assert.Equal(t, "ok", doc.Additions.Ops["snapshot/500/delete"].Status)
	assert.False(t, g.unfinished())
}

// A cut listener ends its connections and accepts none until it is mended.
type cut struct {
	net.Listener
	after int64 // bytes to the guest over one connection before it cuts

	mu    sync.Mutex
	conns map[*cutConn]bool
	cuts  int
	until time.Time
}

type cutConn struct {
	net.Conn
	of   *cut
	sent int64
}

func (c *cut) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		if time.Now().After(c.until) {
			cc := &cutConn{Conn: conn, of: c}
			c.conns[cc] = true
			c.mu.Unlock()
			return cc, nil
		}
		c.mu.Unlock()
		_ = conn.Close()
	}
}

func (c *cutConn) Write(p []byte) (int, error) {
	c.of.mu.Lock()
	c.sent += int64(len(p))
	if c.sent > c.of.after && c.of.cuts == 0 {
		c.of.cuts++
		c.of.until = time.Now().Add(200 * time.Millisecond)
		for other := range c.of.conns {
			_ = other.Close()
		}
	}
	c.of.mu.Unlock()
	return c.Conn.Write(p)
}

// A proxy that dies in the midst of a download and comes back costs that
// download and nothing else.
func TestVMProxyKilled(t *testing.T) {
	c := &cut{after: 20 << 20, conns: make(map[*cutConn]bool)}
	wrap := func(service string, ln net.Listener) net.Listener {
		if service != delay.Proxy {
			return ln
		}
		c.Listener = ln
		return c
	}
	var again bytes.Buffer
	after := func(v *sandbox.VM) {
		_, err := v.Exec(t.Context(), remote.Command{
			Line:   "curl -sS --retry 5 --retry-all-errors -o /dev/null -w '%{http_code}' https://www.google.com/",
			Stdout: &again, Stderr: &again,
		})
		assert.NoError(t, err)
	}
	status, doc, stderr := measureBetween(t, &between{wrap: wrap, before: func(*sandbox.VM) {}, after: after},
		catalogue.HTTP, catalogue.Throughput)
	assert.Equal(t, 1, c.cuts)
	assert.Equal(t, exitFailed, status, stderr)
	assert.True(t, doc.Additions.Complete)
	assert.Equal(t, opStatus{"ok", "", 1}, doc.Additions.Ops["http/get"])
	op := doc.Additions.Ops["throughput/get"]
	assert.Equal(t, "failed", op.Status)
	assert.Regexp(t, `^body ended after \d+ of 104857600 bytes$|reset`, op.Reason)
	assert.Equal(t, "200", again.String())
}
