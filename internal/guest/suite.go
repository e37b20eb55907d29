package guest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// current is the run of this process. Benchmark functions get nothing but a
// *testing.B, so this is how they find it.
var current atomic.Pointer[run]

// A Suite runs the operations of one category.
type Suite struct {
	b   *testing.B
	run *run
}

// Begin prints the settings of a category, once a process. After a run that
// ended early it ends the benchmark function: what was not reached stays
// without a line.
func Begin(b *testing.B, c record.Category) *Suite {
	r := current.Load()
	s := &Suite{b: b, run: r}
	s.skipRest()
	if cat := catalogue.Category(c.Category); cat.Row().OnDemand && !r.measures(cat) {
		b.SkipNow()
	}
	r.flush(catalogue.Category(c.Category))
	c.Type = record.TypeCategory
	if r.announce(c.Category) {
		r.emit(c)
	}
	return s
}

func (s *Suite) skipRest() {
	if s.run.ctx.Err() != nil {
		s.b.SkipNow()
	}
}

// measures reports whether an operation of the category is expected.
func (r *run) measures(c catalogue.Category) bool {
	return slices.ContainsFunc(r.names, func(name string) bool {
		op, ok := catalogue.Lookup(name)
		return ok && op.Category == c
	})
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

// flush prints what a leafless operation left pending, unless it belongs to
// the given category: then more rounds of it may follow, and testing has
// written the name of the next one already.
func (r *run) flush(except catalogue.Category) {
	r.mu.Lock()
	o := r.pending
	if o == nil || o.op.Category == except {
		r.mu.Unlock()
		return
	}
	r.pending = nil
	r.mu.Unlock()
	o.report()
}

// Op runs one operation as a sub-benchmark, every round one pass of the body, and prints
// its samples and its status after it. Nothing is printed in between: testing
// may have written the name already, and the line would be torn.
//
// An operation without a leaf (Throughput) is the benchmark function itself;
// its lines are printed when the next category begins.
func (s *Suite) Op(op catalogue.Op, body Body) {
	s.skipRest()
	if op.Leaf() == "" {
		s.run.leafless(op, body).rounds(s.b)
		return
	}
	o := &opRun{op: op, body: body, run: s.run}
	o.announce()
	s.b.Run(op.Leaf(), o.rounds)
	o.report()
}

// leafless returns the operation of earlier rounds, which still waits to be
// reported, or begins it.
func (r *run) leafless(op catalogue.Op, body Body) *opRun {
	r.mu.Lock()
	o := r.pending
	r.mu.Unlock()
	if o != nil && o.op.Name == op.Name {
		return o
	}
	o = &opRun{op: op, body: body, run: r}
	o.announce()
	r.mu.Lock()
	r.pending = o
	r.mu.Unlock()
	return o
}

// CleanUp runs what a category has to undo after its last operation. An error
// fails the run; no operation caused it.
func (s *Suite) CleanUp(undo func() error) {
	err := undo()
	if err == nil {
		return
	}
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	s.run.failed = true
	s.run.trouble = record.Printable("cleaning up: "+err.Error(), maxReason)
}

// next returns the operation that follows another in this run.
func (r *run) next(op catalogue.Op) catalogue.Op {
	i := slices.Index(r.names, op.Name)
	if i < 0 || i+1 == len(r.names) {
		return catalogue.Op{}
	}
	next, _ := catalogue.Lookup(r.names[i+1])
	return next
}

// opRun is one operation over all its rounds. Its fields after run change
// under run.mu, as the watchdog may report from another goroutine.
type opRun struct {
	op      catalogue.Op
	body    Body
	run     *run
	samples []record.Samples
	status  record.Status
	worst   error
	good    int // rounds that succeeded
}

// announce prints which operation is under way, for readers of the stream.
func (o *opRun) announce() {
	if o.run.expected[o.op.Name] {
		o.run.emit(record.Start{Type: record.TypeStart, Op: o.op.Name})
	}
}

// rounds is the benchmark function: testing calls it once a round. It also
// calls it for a pattern that selects only what is below the operation, of
// which there is nothing.
func (o *opRun) rounds(b *testing.B) {
	if !o.run.expected[o.op.Name] {
		b.SkipNow()
	}
	sums := make(map[string]float64)
	n := 0
	for b.Loop() {
		samples, err := o.once()
		if err != nil {
			o.giveUp(b, err)
		}
		for unit, v := range samples.Metrics {
			sums[unit] += v
		}
		n++
	}
	// testing prints ns/op first and other units by name; all come from the
	// pass, whose timer holds nothing but the operation.
	for unit, v := range sums {
		b.ReportMetric(printed(unit, v/float64(n)), unit)
	}
}

// printed is the value of a result line. benchfmt turns ns into seconds, but
// leaves the unit of a 0 alone: benchstat would put it into a table of its
// own. No time is 0, only too short for its clock.
func printed(unit string, v float64) float64 {
	if v == 0 && strings.HasSuffix(unit, "-ns") {
		return 1
	}
	return v
}

// giveUp ends a round without a result line. testing prints one for a later
// round that is skipped, so only a first round may be.
func (o *opRun) giveUp(b *testing.B, err error) {
	if isSkip(err) && o.good == 0 {
		b.SkipNow()
	}
	b.FailNow()
}

// once does one pass and keeps its values.
func (o *opRun) once() (record.Samples, error) {
	ctx := o.run.ctx
	if cause := context.Cause(ctx); cause != nil {
		o.keep(record.Samples{}, o.status, cause)
		return record.Samples{}, cause
	}
	end := o.run.beginPass(o)
	defer end()
	p := &Pass{next: o.run.next(o.op), ctx: ctx}
	watch := watchStandstill()
	err := o.body(p)
	if still := watch.end(p); err == nil {
		err = still
	}
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	if err == nil {
		err = checkMetrics(o.op, p.samples)
	}
	o.keep(p.samples, p.status, err)
	return p.samples, err
}

// keep adds one round to the operation.
func (o *opRun) keep(s record.Samples, status record.Status, err error) {
	o.run.mu.Lock()
	defer o.run.mu.Unlock()
	s.Type, s.Op, s.Round = record.TypeSamples, o.op.Name, len(o.samples)+1
	if s.ElapsedNS > 0 {
		o.samples = append(o.samples, s)
	}
	o.status = worse(o.status, status)
	if err == nil {
		o.good++
		return
	}
	o.worst = err
	if !isSkip(err) || o.good > 0 {
		o.run.failed = true
	}
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
	if old.Host == record.HostKept {
		new.Host = old.Host
	}
	if new.Command == nil {
		new.Command = old.Command
	}
	for _, d := range old.Doubts {
		new.Doubts = appendOnce(new.Doubts, d)
	}
	return new
}

func appendOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// report prints what the operation has to say: nothing if it never ran.
func (o *opRun) report() {
	r := o.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.under == o {
		r.under = nil
	}
	if !r.ended && (o.worst != nil || len(o.samples) > 0) {
		write(o.lines()...)
	}
}

// lines are the samples of all rounds and the status.
func (o *opRun) lines() []any {
	var lines []any
	for _, s := range o.samples {
		lines = append(lines, s)
	}
	st := o.status
	st.Type, st.Op, st.Status = record.TypeStatus, o.op.Name, record.OK
	var skip *skipError
	var invalid *invalidError
	switch {
	case o.worst == nil:
	case errors.As(o.worst, &skip) && o.good == 0:
		st.Status, st.Reason = record.Skipped, skip.reason
	case errors.As(o.worst, &invalid):
		st.Status, st.Reason = record.Invalid, invalid.reason
	default:
		st.Status, st.Reason = record.Failed, record.Printable(o.worst.Error(), maxReason)
	}
	return append(lines, st)
}

// maxReason bounds a reason in bytes; part of it may come from a program.
const maxReason = 500

type skipError struct{ reason string }

func (e *skipError) Error() string { return "skipped: " + e.reason }

// SkipError says that an operation's precondition is absent.
func SkipError(reason string) error { return &skipError{record.Printable(reason, maxReason)} }

func isSkip(err error) bool {
	var e *skipError
	return errors.As(err, &e)
}

type invalidError struct{ reason string }

func (e *invalidError) Error() string { return "invalid: " + e.reason }

// InvalidError says that an operation ran but its number does not mean what
// it says.
func InvalidError(reason string) error { return &invalidError{record.Printable(reason, maxReason)} }
