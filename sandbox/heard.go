package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// passGrace is what the guest binary may take beyond the limit of a pass: it
// cleans up for 5 s, undoes for 5 s, and an emulated machine is slow.
const passGrace = 30 * time.Second

// passVariable sets the limit of one pass, which the guest binary keeps to by
// itself; passDefault is what it is without.
const (
	passVariable = "CAPSEM_BENCH_TIMEOUT"
	passDefault  = 5 * time.Minute
)

func passLimit(env []string) time.Duration {
	if d, err := time.ParseDuration(lookup(env, passVariable)); err == nil && d > 0 {
		return d
	}
	return passDefault
}

// errMute says that the guest binary has not kept its own limit.
var errMute = errors.New("the guest binary says nothing")

// heard passes a guest binary's output on and cancels when none comes: after
// every pass there has to be a line.
type heard struct {
	w     io.Writer
	limit time.Duration
	timer *time.Timer
}

func listenTo(w io.Writer, limit time.Duration, cancel context.CancelCauseFunc) *heard {
	return &heard{w, limit, time.AfterFunc(limit, func() {
		cancel(fmt.Errorf("%w: nothing came for %v; %s sets the limit of one pass", errMute, limit, passVariable))
	})}
}

func (h *heard) Write(p []byte) (int, error) {
	h.timer.Reset(h.limit)
	return h.w.Write(p)
}

func (h *heard) stop() { h.timer.Stop() }
