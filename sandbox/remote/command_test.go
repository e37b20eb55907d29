package remote_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/sandbox/remote"
)

func TestRun(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"unix", "tcp"} {
		c := newGuest(t, network).connect(t)
		for _, tt := range []struct {
			line           string
			status         int
			stdout, stderr string
		}{
			{"true", 0, "", ""},
			{"echo out; echo err >&2; exit 7", 7, "out\n", "err\n"},
			{"exit 255", 255, "", ""},
			{"no-such-command 2>/dev/null", 127, "", ""},
			{"kill -TERM $$", 143, "", ""},
			{"kill -KILL $$", 137, "", ""},
			{"kill -SEGV $$", 139, "", ""},
			{"printf '%s' \"$CAPSEM_TEST\"", 0, "from the config", ""},
			{"cat", 0, "", ""}, // no stdin is an empty one
			{shell.Join("printf", `%s|`, "a b", "", "ü'\"$x\n"), 0, "a b||ü'\"$x\n|", ""},
			{"(sleep 0.2; echo late) | cat", 0, "late\n", ""},
		} {
			status, stdout, stderr := sh(t, c, tt.line)
			assert.Equal(t, tt.status, status, tt.line)
			assert.Equal(t, tt.stdout, stdout, tt.line)
			assert.Equal(t, tt.stderr, stderr, tt.line)
		}
	}
}

func TestRunStartsInDir(t *testing.T) {
	t.Parallel()
	g := newGuest(t, "unix")
	_, out, _ := sh(t, g.connect(t), "pwd -P")
	want, err := filepath.EvalSymlinks(g.dir)
	require.NoError(t, err)
	assert.Equal(t, want+"\n", out)
}

// Bytes pass unchanged both ways, with the end of stdin seen by the command
// while its output still comes.
func TestStreams(t *testing.T) {
	t.Parallel()
	c := newGuest(t, "unix").connect(t)
	data := make([]byte, 8<<20)
	_, _ = rand.Read(data)
	var out buffer
	status, err := c.Run(t.Context(), remote.Command{Line: "cat; echo end", Stdin: strings.NewReader(string(data)), Stdout: &out})
	require.NoError(t, err)
	assert.Zero(t, status)
	assert.Equal(t, sha256.Sum256(append(data, "end\n"...)), sha256.Sum256([]byte(out.String())))

	// A command that does not read its stdin ends all the same.
	status, err = c.Run(t.Context(), remote.Command{Line: "exit 3", Stdin: strings.NewReader(string(data))})
	require.NoError(t, err)
	assert.Equal(t, 3, status)
}

// A reader that is slow for longer than the grace loses nothing.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	c := newGuest(t, "unix").connect(t)
	w := &slowWriter{pause: 3 * outputGrace}
	status, err := c.Run(t.Context(), remote.Command{Line: "head -c 3000000 /dev/zero", Stdout: w})
	require.NoError(t, err)
	assert.Zero(t, status)
	assert.Equal(t, 3000000, w.n)
}

type slowWriter struct {
	pause time.Duration
	n     int
}

func (w *slowWriter) Write(p []byte) (int, error) {
	if w.n == 0 {
		<-time.After(w.pause)
	}
	w.n += len(p)
	return len(p), nil
}

// A stdin that never ends does not hold a command that has.
func TestOpenStdin(t *testing.T) {
	t.Parallel()
	c := newGuest(t, "unix").connect(t)
	r, w := io.Pipe()
	defer w.Close()
	status, err := c.Run(t.Context(), remote.Command{Line: "read x; echo $x; exit 4", Stdin: io.MultiReader(strings.NewReader("hello\n"), r)})
	require.NoError(t, err)
	assert.Equal(t, 4, status)
}

func TestSignals(t *testing.T) {
	t.Parallel()
	c := newGuest(t, "unix").connect(t)
	for _, tt := range []struct {
		sig    os.Signal
		name   string
		status int
	}{{os.Interrupt, "INT", 9}, {syscall.SIGTERM, "TERM", 9}, {syscall.SIGUSR1, "USR1", 9}, {syscall.SIGHUP, "HUP", 9}} {
		var out buffer
		signals := make(chan os.Signal, 1)
		done := make(chan int, 1)
		go func() {
			line := fmt.Sprintf("trap 'echo got; exit 9' %s; echo ready; while :; do sleep 0.05; done", tt.name)
			status, err := c.Run(t.Context(), remote.Command{Line: line, Stdout: &out, Signals: signals})
			assert.NoError(t, err)
			done <- status
		}()
		require.Eventually(t, out.has("ready"), soon, 5*time.Millisecond)
		signals <- tt.sig
		assert.Equal(t, tt.status, <-done, tt.name)
		assert.Equal(t, "ready\ngot\n", out.String())
	}
}

// When ctx ends the command is interrupted and may still say something.
func TestCancel(t *testing.T) {
	t.Parallel()
	c := newGuest(t, "unix").connect(t)
	var out buffer
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int, 1)
	go func() {
		status, err := c.Run(ctx, remote.Command{Line: "trap 'echo bye; exit 130' INT; echo ready; while :; do sleep 0.05; done", Stdout: &out})
		assert.NoError(t, err)
		done <- status
	}()
	require.Eventually(t, out.has("ready"), soon, 5*time.Millisecond)
	cancel()
	assert.Equal(t, 130, <-done)
	assert.Equal(t, "ready\nbye\n", out.String())

	_, err := c.Run(ctx, remote.Command{Line: "true"})
	assert.ErrorIs(t, err, context.Canceled)
}

// What a command leaves behind dies with its session: children in its process
// group, jobs of a shell in groups of their own, and when the client is gone.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	g := newGuest(t, "unix")
	c := g.connect(t)
	_, out, _ := sh(t, c, "sleep 1000 >/dev/null 2>&1 & echo $!")
	gone(t, out)
	_, out, _ = sh(t, c, "set -m; sleep 1000 >/dev/null 2>&1 & echo $!")
	gone(t, out)
	_, out, _ = sh(t, c, "sleep 1000 & echo $!") // holds the output
	gone(t, out)

	// An escaped process lives on, and does not hold the session.
	_, out, _ = sh(t, c, "setsid sh -c 'echo $$ >pid; exec sleep 1000' & until [ -s pid ]; do sleep 0.05; done; cat pid")
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))

	var said buffer
	go func() {
		_, _ = c.Run(context.Background(), remote.Command{Line: "trap '' HUP INT TERM; echo $$; while :; do sleep 1; done", Stdout: &said})
	}()
	require.Eventually(t, said.has("\n"), soon, 5*time.Millisecond)
	_ = c.Close()
	gone(t, said.String())

	c = g.connect(t)
	said = buffer{}
	go func() { _, _ = c.Run(context.Background(), remote.Command{Line: "echo $$; sleep 1000", Stdout: &said}) }()
	require.Eventually(t, said.has("\n"), soon, 5*time.Millisecond)
	g.end()
	gone(t, said.String())
}

// gone waits until a process does not exist, or is a zombie that nobody reaps.
func gone(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n))
		return err != nil || strings.Contains(string(text), ") Z ")
	}, soon, 10*time.Millisecond, "process %d lives on", n)
}

// A command whose output nobody takes is ended.
func TestBrokenOutput(t *testing.T) {
	t.Parallel()
	c := newGuest(t, "unix").connect(t)
	_, err := c.Run(t.Context(), remote.Command{Line: "yes", Stdout: brokenWriter{}})
	assert.ErrorIs(t, err, errBroken)
}

var errBroken = errors.New("broken")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

// A guest that is quiet for several times as long as it may be silent answers the
// keepalives; one that hangs is given up. On a busy machine a guest may be too
// slow for a short time, so it gets more.
func TestSilentGuest(t *testing.T) {
	t.Parallel()
	g := newGuest(t, "unix")
	var stalled *stallConn
	dial := g.Dial
	g.Dial = func(ctx context.Context) (net.Conn, error) {
		c, err := dial(ctx)
		stalled = &stallConn{Conn: c, stall: make(chan struct{}), closed: make(chan struct{})}
		return stalled, err
	}
	for g.Silence = 500 * time.Millisecond; ; g.Silence *= 2 {
		c := g.connect(t)
		done := make(chan error, 1)
		go func() {
			_, err := c.Run(context.Background(), remote.Command{Line: "sleep 1000"})
			done <- err
		}()
		select {
		case err := <-done:
			require.ErrorIs(t, err, remote.ErrSilent)
			require.Less(t, g.Silence, soon, "a guest that answers is given up")
			continue
		case <-time.After(4 * g.Silence):
		}
		close(stalled.stall)
		select {
		case err := <-done:
			assert.ErrorIs(t, err, remote.ErrSilent)
		case <-time.After(g.Silence + soon):
			require.Fail(t, "a dead guest holds us")
		}
		_, err := c.Run(t.Context(), remote.Command{Line: "true"})
		assert.ErrorIs(t, err, remote.ErrSilent)
		return
	}
}

// stallConn stops delivering and taking, as a guest that hangs does.
type stallConn struct {
	net.Conn
	stall, closed chan struct{}
}

func (c *stallConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.stall:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c *stallConn) Write(p []byte) (int, error) {
	select {
	case <-c.stall:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return c.Conn.Write(p)
	}
}

func (c *stallConn) Close() error {
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	return c.Conn.Close()
}

func TestConnect(t *testing.T) {
	t.Parallel()
	g := newGuest(t, "unix")
	otherKey, otherPublic, err := remote.NewKey()
	require.NoError(t, err)

	cfg := g.Config
	cfg.HostKey = otherPublic
	_, err = remote.Connect(t.Context(), cfg)
	assert.ErrorContains(t, err, "another host key")

	cfg = g.Config
	cfg.Key = otherKey
	_, err = remote.Connect(t.Context(), cfg)
	assert.ErrorContains(t, err, "unable to authenticate")

	cfg = g.Config
	cfg.Key = []byte("garbage")
	_, err = remote.Connect(t.Context(), cfg)
	assert.ErrorContains(t, err, "reading the key")

	// A peer that says nothing.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	here, there := net.Pipe()
	defer there.Close()
	cfg = g.Config
	cfg.Dial = func(context.Context) (net.Conn, error) { return here, nil }
	_, err = remote.Connect(ctx, cfg)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

// A guest that is of no more use is given up although it answers. What it said
// before is there.
func TestEnded(t *testing.T) {
	t.Parallel()
	g := newGuest(t, "unix")
	ended := make(chan struct{})
	g.Ended = ended
	c := g.connect(t)
	var out buffer
	done := make(chan error, 1)
	go func() {
		_, err := c.Run(t.Context(), remote.Command{Line: "echo said; sleep 600", Stdout: &out})
		done <- err
	}()
	require.Eventually(t, func() bool { return out.String() == "said\n" }, soon, time.Millisecond)
	require.NoError(t, c.Ping(t.Context()))
	close(ended)
	select {
	case err := <-done:
		assert.ErrorIs(t, err, remote.ErrEnded)
	case <-time.After(soon):
		assert.Fail(t, "it is not given up")
	}
	assert.Equal(t, "said\n", out.String())
}
