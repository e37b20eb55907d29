package remote_test

import (
	"bytes"
	"context"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/capsem/capsem-bench/internal/sshd"
	"github.com/capsem/capsem-bench/sandbox/remote"
)

// TestMain runs more tests at once than there are processors: they wait for
// processes that sleep.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // one that is given comes later
	goleak.VerifyTestMain(m)
}

// soon is how long anything here may take on a busy machine.
const soon = time.Minute

// outputGrace is how long the server waits for output that a process holds open.
const outputGrace = 500 * time.Millisecond

// A guest is a server on a unix socket, and what is needed to reach it.
type guest struct {
	remote.Config
	dir        string // where sessions start
	keyFile    string
	knownHosts string // a line's key part
	end        context.CancelFunc
	ended      chan error
}

func newGuest(t *testing.T, network string) *guest {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, address)
	require.NoError(t, err)
	key, public, err := remote.NewKey()
	require.NoError(t, err)
	hostKey, hostPublic, err := remote.NewKey()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	g := &guest{dir: t.TempDir(), end: cancel, ended: make(chan error, 1), knownHosts: string(hostPublic)}
	g.keyFile = filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(g.keyFile, key, 0o600))
	go func() {
		g.ended <- sshd.Serve(ctx, ln, sshd.Config{
			AuthorizedKey: public, HostKey: hostKey, Dir: g.dir, Grace: outputGrace,
			Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir, "CAPSEM_TEST=from the config", "PS1=$ "},
		})
	}()
	g.Config = remote.Config{
		Key: key, HostKey: hostPublic,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, ln.Addr().String())
		},
	}
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-g.ended:
			require.NoError(t, err)
		case <-time.After(soon):
			t.Error("the server does not end")
		}
	})
	return g
}

func (g *guest) connect(t *testing.T) *remote.Client {
	t.Helper()
	c, err := remote.Connect(t.Context(), g.Config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// sh runs a line and returns what it printed.
func sh(t *testing.T, c *remote.Client, line string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs buffer
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	status, err := c.Run(ctx, remote.Command{Line: line, Stdout: &out, Stderr: &errs})
	require.NoError(t, err)
	return status, out.String(), errs.String()
}

// buffer may be written and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) has(s string) func() bool {
	return func() bool { return strings.Contains(b.String(), s) }
}
