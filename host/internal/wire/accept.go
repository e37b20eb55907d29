package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"
)

// acceptRetry is how long Accept waits when there is no file descriptor left
// for a connection.
const acceptRetry = 10 * time.Millisecond

// Accept takes connections from ln as long as slots has room; beyond it they
// wait in the listener's queue. It puts one element into slots before each
// connection, which whoever serves it takes out again. serve must not block.
// Accept returns nil when ctx ends, which must also close the listener, and an
// error of the listener otherwise.
func Accept(ctx context.Context, ln net.Listener, slots chan struct{}, log *slog.Logger, serve func(net.Conn)) error {
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		c, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
			return nil
		case isTemporary(err):
			<-slots
			log.Warn("accepting a connection; trying again", "error", err)
			if !pause(ctx, acceptRetry) {
				return nil
			}
		case err != nil:
			return err
		default:
			serve(c)
		}
	}
}

// isTemporary reports an error such as running out of file descriptors, after
// which accepting can go on.
func isTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// pause reports whether the time passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
