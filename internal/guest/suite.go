package guest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// current is the run of this process. Benchmark functions get nothing but a
// *testing.B, so this is how they find it.
var current atomic.Pointer[run]

// A Pass is one round of one operation. It sets up, times the measured part
// itself, cleans up, and returns the exact values. The status it returns
// carries remarks only (cache, doubts, command); the error decides how the
// operation ended: nil is ok, SkipError skipped, InvalidError invalid, any
// other failed. Samples count also with an error: they hold what was
// measured until then.
type Pass func(ctx context.Context) (record.Samples, record.Status, error)

// A Suite runs the operations of one category.
type Suite struct {
	b   *testing.B
	run *run
}

// Begin prints the settings of a category, once a process.
func Begin(b *testing.B, c record.Category) *Suite {
	r := current.Load()
	r.flush()
	c.Type = record.TypeCategory
	if r.announce(c.Category) {
		emit(c)
	}
	return &Suite{b: b, run: r}
}

// announce reports whether the category is new to this run.
func (r *run) announce(category string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.announced[category] {
		return false
	}
	r.announced[category] = true
	return true
}

// Op runs one operation as a sub-benchmark, every round one pass, and prints
// its samples and its status after it. Nothing is printed in between: testing
// may have written the name already, and the line would be torn.
//
// An operation without a leaf (Throughput) is the benchmark function itself;
// its lines are printed when the next category begins.
func (s *Suite) Op(op catalogue.Op, pass Pass) {
	o := &opRun{op: op, pass: pass, run: s.run, info: &passInfo{op: op.Name}}
	if op.Leaf() == "" {
		s.run.continueOp(o)
		o.rounds(s.b)
		return
	}
	if s.run.ctx.Err() != nil {
		return // not reached: the converter calls it missing
	}
	if s.run.expected[op.Name] {
		emit(record.Start{Type: record.TypeStart, Op: op.Name})
	}
	s.b.Run(op.Leaf(), o.rounds)
	o.report()
}

// continueOp takes over what earlier rounds of the same leafless operation
// left pending, or flushes another's.
func (r *run) continueOp(o *opRun) {
	r.mu.Lock()
	prev := r.pending
	r.pending = o
	r.mu.Unlock()
	switch {
	case prev == nil:
	case prev.op.Name == o.op.Name:
		o.info, o.status, o.worst = prev.info, prev.status, prev.worst
	default:
		prev.report()
	}
}

// opRun is one operation over all its rounds.
type opRun struct {
	op     catalogue.Op
	pass   Pass
	run    *run
	info   *passInfo
	status record.Status
	worst  error
}

// rounds is the benchmark function: testing calls it once a round.
func (o *opRun) rounds(b *testing.B) {
	if o.run.ctx.Err() != nil {
		b.SkipNow()
	}
	sums := make(map[string]float64)
	n := 0
	for b.Loop() {
		samples, err := o.once()
		if err != nil {
			o.worst = err
			if isSkip(err) || isInvalid(err) {
				b.SkipNow() // no result line: the number would not mean what it says
			}
			b.FailNow()
		}
		for unit, v := range samples.Metrics {
			sums[unit] += v
		}
		n++
	}
	// testing prints ns/op first and other units by name; all come from the
	// pass, whose timer holds nothing but the operation.
	for unit, v := range sums {
		b.ReportMetric(v/float64(n), unit)
	}
}

// once does one pass and keeps its values.
func (o *opRun) once() (record.Samples, error) {
	end := o.run.beginPass(o.info)
	defer end()
	samples, status, err := o.pass(o.run.ctx)
	if cause := context.Cause(o.run.ctx); cause != nil && err != nil {
		err = cause
	}
	if err == nil {
		err = checkMetrics(o.op, samples)
	}
	samples.Type, samples.Op = record.TypeSamples, o.op.Name
	if samples.ElapsedNS > 0 {
		samples.Round = len(o.info.samples) + 1
		o.run.mu.Lock()
		o.info.samples = append(o.info.samples, samples)
		o.run.mu.Unlock()
	}
	o.status = worse(o.status, status)
	return samples, err
}

// checkMetrics holds a pass to the catalogue: every unit is there.
func checkMetrics(op catalogue.Op, s record.Samples) error {
	for _, u := range op.Units {
		if _, ok := s.Metrics[u]; !ok {
			return fmt.Errorf("%s reported no %s", op.Name, u)
		}
	}
	return nil
}

// worse merges the remarks of two rounds; the less trustworthy cache state
// stays.
func worse(old, new record.Status) record.Status {
	rank := map[string]int{"": 0, record.CacheCold: 1, record.CacheUnverified: 2, record.CacheWarm: 3}
	if rank[old.Cache] > rank[new.Cache] {
		new.Cache, new.Resident, new.Pages, new.Dropped = old.Cache, old.Resident, old.Pages, old.Dropped
	}
	for _, d := range old.Doubts {
		new.Doubts = appendOnce(new.Doubts, d)
	}
	return new
}

func appendOnce(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// report prints what the operation has to say: nothing if it never ran.
func (o *opRun) report() {
	if o.worst == nil && len(o.info.samples) == 0 {
		return
	}
	for _, s := range o.info.samples {
		emit(s)
	}
	st := o.status
	st.Type, st.Op, st.Status = record.TypeStatus, o.op.Name, record.OK
	var skip *skipError
	var invalid *invalidError
	switch {
	case o.worst == nil:
	case errors.As(o.worst, &skip):
		st.Status, st.Reason = record.Skipped, skip.reason
	case errors.As(o.worst, &invalid):
		st.Status, st.Reason = record.Invalid, invalid.reason
	default:
		st.Status, st.Reason = record.Failed, Printable(o.worst.Error(), maxReason)
	}
	emit(st)
}

// maxReason bounds a reason in bytes; part of it may come from a program.
const maxReason = 500

// Printable returns s on one line without control characters, at most limit
// bytes of it.
func Printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u2029' || r == '\ufffd':
			return -1
		}
		return r
	}, strings.TrimSpace(s))
	if len(s) <= limit {
		return s
	}
	cut := limit - len("...")
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "..."
}

type skipError struct{ reason string }

func (e *skipError) Error() string { return "skipped: " + e.reason }

// SkipError says that an operation's precondition is absent.
func SkipError(reason string) error { return &skipError{Printable(reason, maxReason)} }

func isSkip(err error) bool {
	var e *skipError
	return errors.As(err, &e)
}

type invalidError struct{ reason string }

func (e *invalidError) Error() string { return "invalid: " + e.reason }

// InvalidError says that an operation ran but its number does not mean what
// it says.
func InvalidError(reason string) error { return &invalidError{Printable(reason, maxReason)} }

func isInvalid(err error) bool {
	var e *invalidError
	return errors.As(err, &e)
}

// Timed runs f and returns when it began and how long it took.
func Timed(f func() error) (start time.Time, elapsed time.Duration, err error) {
	start = time.Now()
	err = f()
	return start, time.Since(start), err
}
