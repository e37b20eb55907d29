package guest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// Exit statuses of the guest binary beyond testing's own 0 and 1.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// cleanupGrace is how long a pass may take to clean up after a signal before
// it is done for it: removing a 256 MiB file takes well under a second.
const cleanupGrace = 5 * time.Second

// Main is the body of TestMain: it runs the benchmarks and returns the exit
// status. Without -test.bench it behaves as testing does and prints nothing
// of its own, so that -test.list stays a list.
func Main(m *testing.M) int {
	flag.Parse()
	pattern := flag.Lookup("test.bench").Value.String()
	if pattern == "" {
		return m.Run()
	}
	settings, err := Settings()
	if err == nil {
		err = defaultBenchtime()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "capsem-bench:", err)
		return exitUsage
	}
	r := newRun(expected(pattern, settings))
	current.Store(r)
	r.header()
	stop := r.watchSignals()
	status := m.Run()
	stop()
	r.flush()
	cause := context.Cause(r.ctx)
	switch {
	case errors.Is(cause, errInterrupted):
		r.end("interrupted", cause.Error())
		return exitInterrupted
	case status != 0:
		r.end("failed", "")
	default:
		r.end("ok", "")
	}
	return status
}

// defaultBenchtime makes one pass the default, as a pass is fixed work.
func defaultBenchtime() error {
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.benchtime" })
	if set {
		return nil
	}
	return flag.Set("test.benchtime", "1x")
}

// expected returns the names of the operations that the -test.bench pattern
// selects, matched as testing does: part by part between slashes.
func expected(pattern string, s catalogue.Settings) []string {
	var elems []*regexp.Regexp
	for elem := range strings.SplitSeq(pattern, "/") {
		re, err := regexp.Compile(elem)
		if err != nil {
			return nil // testing reports it
		}
		elems = append(elems, re)
	}
	names := []string{}
	for _, op := range catalogue.Ops(s) {
		parts := strings.Split("Benchmark"+op.Name, "/")
		ok := len(parts) >= len(elems)
		for i := 0; ok && i < len(elems); i++ {
			ok = elems[i].MatchString(parts[i])
		}
		if ok {
			names = append(names, op.Name)
		}
	}
	return names
}

var errInterrupted = errors.New("interrupted")

// run is one execution of the binary: its output, its context, what it has
// to remove and what it still has to print.
type run struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	start  time.Time

	names    []string        // operations to attempt, in order
	expected map[string]bool // the same, to look up

	mu        sync.Mutex
	announced map[string]bool         // categories
	remove    map[string]func() error // by path
	pass      *passInfo               // the pass under way
	pending   *opRun                  // its lines wait until testing has printed its own
	ended     bool
}

// passInfo is what the watchdog and the signal handler say of a pass.
type passInfo struct {
	op       string
	samples  []record.Samples
	watchdog *time.Timer
}

func newRun(names []string) *run {
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &run{
		ctx: ctx, cancel: cancel, start: time.Now(), names: names, expected: make(map[string]bool),
		announced: make(map[string]bool), remove: make(map[string]func() error),
	}
	for _, name := range names {
		r.expected[name] = true
	}
	return r
}

// header prints the unit lines and the run line.
func (r *run) header() {
	for _, u := range catalogue.Units() {
		switch u.Name {
		case "ns/op", "B/s": // known to every tool
		default:
			fmt.Println(u.UnitLine())
		}
	}
	info := machine()
	info.Type, info.Schema, info.Version = record.TypeRun, record.Schema, record.ToolVersion
	info.Time = unixSeconds(r.start)
	info.Seed = seed()
	info.Expected = r.names
	info.Rounds = rounds()
	info.Sandbox, info.Accel, info.Image = os.Getenv(EnvSandbox), os.Getenv(EnvAccel), os.Getenv(EnvImage)
	emit(info)
}

func rounds() int {
	n := 1
	_, _ = fmt.Sscan(flag.Lookup("test.count").Value.String(), &n)
	return n
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// emit prints one comment line. What cannot be encoded or is too long is
// said in a shorter line instead of being lost.
func emit(v any) {
	line, err := record.Append(nil, v)
	if err != nil {
		fmt.Fprintln(os.Stderr, "capsem-bench:", err)
		return
	}
	_, _ = os.Stdout.Write(line)
}

// end prints the last line, once.
func (r *run) end(status, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.ended = true
	emit(record.End{
		Type: record.TypeEnd, Time: unixSeconds(time.Now()), ElapsedNS: time.Since(r.start).Nanoseconds(),
		Status: status, Reason: reason,
	})
}

// flush prints what an operation without a sub-benchmark left pending.
func (r *run) flush() {
	r.mu.Lock()
	o := r.pending
	r.pending = nil
	r.mu.Unlock()
	if o != nil {
		o.report()
	}
}

// watchSignals cancels the run on SIGINT and SIGTERM. A pass that does not
// return in time is cleaned up for, and the process ends.
func (r *run) watchSignals() (stop func()) {
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		var sig os.Signal
		select {
		case sig = <-ch:
		case <-done:
			return
		}
		r.cancel(fmt.Errorf("%w by %v", errInterrupted, sig))
		select {
		case <-done:
		case <-ch: // a second signal means now
			r.abort("interrupted", errInterrupted.Error(), exitInterrupted)
		case <-time.After(cleanupGrace):
			r.abort("interrupted", errInterrupted.Error(), exitInterrupted)
		}
	}()
	return func() {
		signal.Stop(ch)
		close(done)
	}
}

// abort ends the process from outside the benchmark's goroutine: what is
// known is printed, what was made is removed. Standard output may be in the
// middle of testing's line, so it starts a new one.
func (r *run) abort(status, reason string, code int) {
	r.mu.Lock()
	pass, removers := r.pass, r.remove
	r.mu.Unlock()
	fmt.Println()
	if pass != nil {
		for _, s := range pass.samples {
			emit(s)
		}
		emit(record.Status{Type: record.TypeStatus, Op: pass.op, Status: record.Failed, Reason: reason})
	}
	for _, remove := range removers {
		_ = remove()
	}
	r.end(status, reason)
	os.Exit(code)
}

// beginPass starts the watchdog of one pass; the returned function ends it.
func (r *run) beginPass(p *passInfo) (end func()) {
	limit := passTimeout()
	r.mu.Lock()
	r.pass = p
	r.mu.Unlock()
	p.watchdog = time.AfterFunc(limit, func() {
		r.abort("timeout", fmt.Sprintf("no end after %v; %s sets the limit of one pass", limit, EnvTimeout), exitFailed)
	})
	return func() {
		p.watchdog.Stop()
		r.mu.Lock()
		r.pass = nil
		r.mu.Unlock()
	}
}
