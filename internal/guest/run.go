package guest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"golang.org/x/sys/unix"
)

// cleanupGrace is how long a pass may take to clean up after a signal or the
// watchdog before it is done for it: removing a 256 MiB file takes well under
// a second.
const cleanupGrace = 5 * time.Second

// run is one execution of the binary: its output, its context, and what it
// has to remove.
type run struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	start  time.Time

	names    []string        // operations to attempt, in order
	expected map[string]bool // the same, to look up

	mu        sync.Mutex
	announced map[string]bool         // categories
	remove    map[string]func() error // what an early end has to undo
	under     *opRun                  // the operation whose rounds are under way, until it is reported
	pending   *opRun                  // its lines wait until testing has printed its own
	failed    bool                    // some operation did, or a clean-up
	trouble   string                  // why a clean-up did
	ended     bool                    // the end line is out: nothing may follow it
	done      chan struct{}           // closed when ended
	unread    chan struct{}           // nobody reads what is printed
}

func newRun(names []string) *run {
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &run{
		ctx: ctx, cancel: cancel, start: time.Now(), names: names, expected: make(map[string]bool),
		announced: make(map[string]bool), remove: make(map[string]func() error), done: make(chan struct{}),
		unread: make(chan struct{}, 1),
	}
	for _, name := range names {
		r.expected[name] = true
	}
	return r
}

// Context is the context of the run: a signal or the watchdog ends it.
func Context() context.Context {
	if r := current.Load(); r != nil {
		return r.ctx
	}
	return context.Background()
}

// emit prints comment lines; after the end line nothing.
func (r *run) emit(records ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		write(records...)
	}
}

// write prints comment lines, each in one write. Samples that make too long
// a line lose their single values; their summary stays.
func write(records ...any) {
	for _, v := range records {
		line, err := record.Append(nil, v)
		if s, ok := v.(record.Samples); ok && err != nil {
			s.Values, s.Errors = nil, nil
			line, err = record.Append(nil, s)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "capsem-bench:", err)
			continue
		}
		if _, err := os.Stdout.Write(line); errors.Is(err, syscall.EPIPE) {
			noReader()
		}
	}
}

// noReader ends the run: there is nobody to measure for.
func noReader() {
	if r := current.Load(); r != nil {
		select {
		case r.unread <- struct{}{}:
		default:
		}
	}
}

// A stop is why a run ended early.
type stop struct {
	status string // of the end line
	reason string
	code   int // exit status
}

func (s *stop) Error() string { return s.reason }

// finish prints the end line and returns the exit status of the process.
// testing's own status knows only of failures in the first round.
func (r *run) finish(status int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if status == 0 && r.failed {
		status = exitFailed
	}
	end := stop{"ok", r.trouble, status}
	if status != 0 {
		end.status = "failed"
	}
	var early *stop
	if errors.As(context.Cause(r.ctx), &early) {
		end = *early
	}
	r.end(end)
	return end.code
}

// end prints the end line, once; r.mu is held.
func (r *run) end(s stop) {
	if r.ended {
		return
	}
	r.ended = true
	close(r.done)
	write(record.End{
		Type: record.TypeEnd, Time: record.Seconds(time.Now()), ElapsedNS: time.Since(r.start).Nanoseconds(),
		Status: s.status, Reason: s.reason,
	})
}

// watchSignals ends the run early on a signal; a second signal means now.
func (r *run) watchSignals() (unwatch func()) {
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A file size limit is an error of the write, not the end of the process. So
	// is a reader that went away: the process has yet to remove what it made.
	// Ignored signals are no way, as the measured programs would inherit that.
	limit := make(chan os.Signal, 1)
	signal.Notify(limit, syscall.SIGXFSZ, syscall.SIGPIPE)
	go func() {
		select {
		case <-r.unread:
			r.stop(&stop{"interrupted", "nobody reads standard output", exitInterrupted}, ch)
		case sig := <-ch:
			name := sig.String()
			if n, ok := sig.(syscall.Signal); ok {
				name = unix.SignalName(n)
			}
			r.stop(&stop{"interrupted", "interrupted by " + name, exitInterrupted}, ch)
		case <-r.done:
		}
	}()
	return func() {
		signal.Stop(ch)
		signal.Stop(limit)
	}
}

// stop cancels the context, so that the pass under way cleans up and the
// rest is not begun. If that takes too long the process ends without it.
func (r *run) stop(s *stop, now <-chan os.Signal) {
	r.cancel(s)
	select {
	case <-r.done:
		return
	case <-now:
	case <-time.After(cleanupGrace):
	}
	r.abort(*s)
}

// abort ends the process from outside of the benchmark's goroutine: what is
// known is printed, what was made is removed. Standard output may be in the
// middle of a line of testing's, which must not swallow ours.
func (r *run) abort(s stop) {
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		return
	}
	fmt.Println()
	if r.under != nil {
		o := *r.under // its own goroutine may be about to go on
		o.worst = &s
		write(o.lines()...)
	}
	r.end(s)
	undo := slices.Collect(maps.Values(r.remove))
	r.mu.Unlock()
	removed := make(chan struct{})
	go func() {
		defer close(removed)
		for _, f := range undo {
			_ = f()
		}
	}()
	select {
	case <-removed:
	case <-time.After(cleanupGrace): // the disk may be what hangs
	}
	os.Exit(s.code) // the benchmark's goroutine cannot be ended otherwise
}

// beginPass starts the watchdog of one pass; the returned function ends it.
func (r *run) beginPass(o *opRun) (end func()) {
	limit := passTimeout()
	r.mu.Lock()
	r.under = o
	r.mu.Unlock()
	watchdog := time.AfterFunc(limit, func() {
		r.stop(&stop{"timeout", fmt.Sprintf("no end after %v; %s sets the limit of one pass", limit, catalogue.EnvTimeout), exitFailed}, nil)
	})
	return func() { watchdog.Stop() }
}
