// Package caches drops the host's page cache for a guest before it measures
// something cold. The host may still cache what a guest has dropped, and then a
// cold read in the guest reads the host's memory.
//
// The protocol: a connection is a request. The answer is one line, "dropped" or
// "kept: " and the reason, then the end. The guest sends nothing.
//
// The guest is not trusted, and an empty cache slows the whole host. So one
// request is served at a time, a few at once and one a second after that: who
// asks more often waits for the answer, in the listener's queue. The wait is
// never inside a measurement, because the guest asks before its timer.
package caches

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/host/internal/wire"
)

// The rate of dropping. One round of all benchmarks has 19 cold operations,
// the shortest of which take a tenth of a second.
const (
	burst = 20
	pause = time.Second
)

// writeTimeout is how long writing the answer to a guest may take; the answer fits into
// any buffer.
const writeTimeout = 5 * time.Second

// A Config configures a Service. The zero value drops this machine's caches.
type Config struct {
	// Drop drops the caches; nil is the kernel's drop_caches, for which this
	// process has to be root.
	Drop func() error
	Log  *slog.Logger // nil discards
}

// A Service drops caches for one guest.
type Service struct {
	cfg    Config
	tokens chan struct{} // one may be taken for each drop
	pause  time.Duration
}

// New returns a service; Serve runs it.
func New(cfg Config) *Service {
	if cfg.Drop == nil {
		cfg.Drop = dropCaches
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{cfg: cfg, tokens: make(chan struct{}, burst), pause: pause}
	for range burst {
		s.tokens <- struct{}{}
	}
	return s
}

// dropCaches drops clean pages, dentries and inodes
// (Documentation/admin-guide/sysctl/vm.rst). What a guest has synced is clean.
func dropCaches() error { return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3\n"), 0) }

// Serve answers until ctx ends, then returns nil; an error means that the
// listener failed. It closes the listener.
func (s *Service) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	defer ln.Close()
	running.Go(func() { s.refill(ctx) })
	one := make(chan struct{}, 1)
	err := wire.Accept(ctx, ln, one, s.cfg.Log, func(c net.Conn) {
		running.Go(func() {
			defer func() { <-one }()
			s.answer(ctx, c)
		})
	})
	if err != nil {
		return fmt.Errorf("caches: %w", err)
	}
	return nil
}

// refill adds one drop at a time to those that may be asked for at once.
func (s *Service) refill(ctx context.Context) {
	tick := time.NewTicker(s.pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case s.tokens <- struct{}{}:
		default:
		}
	}
}

func (s *Service) answer(ctx context.Context, c net.Conn) {
	defer c.Close()
	select {
	case <-s.tokens:
	case <-ctx.Done():
		return
	}
	line := "dropped\n"
	if err := s.cfg.Drop(); err != nil {
		s.cfg.Log.Debug("dropping the caches", "error", err)
		line = "kept: " + reason(err) + "\n"
	}
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = c.Write([]byte(line))
}

// reason is for people, without the path, which is always the same.
func reason(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		return "the host side is not root"
	case errors.As(err, &path):
		return "drop_caches: " + path.Err.Error()
	}
	return err.Error()
}
