package caches

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve serves a unix socket until the test ends.
func serve(t *testing.T, drop func() error) (ask func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(Config{Drop: drop}).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return func() string {
		c, err := net.Dial("unix", path)
		require.NoError(t, err)
		defer c.Close()
		answer, err := io.ReadAll(c)
		require.NoError(t, err)
		return string(answer)
	}
}

func TestAnswers(t *testing.T) {
	notRoot := "kept: drop_caches: permission denied\n"
	if os.Geteuid() != 0 {
		notRoot = "kept: the host side is not root\n"
	}
	for want, err := range map[string]error{
		"dropped\n":            nil,
		"kept: out of order\n": errors.New("out of order"),
		notRoot:                &fs.PathError{Op: "open", Path: "/proc/sys/vm/drop_caches", Err: syscall.EACCES},
		"kept: drop_caches: read-only file system\n": &fs.PathError{Op: "open", Path: "x", Err: syscall.EROFS},
	} {
		assert.Equal(t, want, serve(t, func() error { return err })())
	}
}

// A guest that says nothing more and one that is gone do not hold others up.
func TestGuestsThatGo(t *testing.T) {
	var drops atomic.Int32
	ask := serve(t, func() error { drops.Add(1); return nil })
	for range 5 {
		assert.Equal(t, "dropped\n", ask())
	}
	assert.Equal(t, int32(5), drops.Load())
}

// However often a guest asks, the caches are dropped a few times at once and
// then once a second.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &endless{closed: make(chan struct{})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+pause/2)
		defer cancel()
		drops := 0
		require.NoError(t, New(Config{Drop: func() error { drops++; return nil }}).Serve(ctx, ln))
		assert.Equal(t, burst+60, drops)
		assert.LessOrEqual(t, ln.accepted, drops+2, "more connections than answers")
	})
}

// endless is a listener whose guest always asks again.
type endless struct {
	accepted int
	closed   chan struct{}
}

func (e *endless) Accept() (net.Conn, error) {
	select {
	case <-e.closed:
		return nil, net.ErrClosed
	default:
	}
	e.accepted++
	guest, host := net.Pipe()
	go func() {
		_, _ = io.Copy(io.Discard, guest)
		_ = guest.Close()
	}()
	return host, nil
}

func (e *endless) Addr() net.Addr { return &net.UnixAddr{} }

func (e *endless) Close() error {
	select {
	case <-e.closed:
	default:
		close(e.closed)
	}
	return nil
}
