package lifecycle

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/sandbox"
)

// text prints benchmark text. An error of the writer shows when it is closed.
type text struct {
	w      io.Writer
	failed bool
}

func (t *text) record(v any) {
	if line, err := record.Append(nil, v); err == nil { // a line of a few numbers and bounded words always fits
		_, _ = t.w.Write(line)
	}
}

// head prints what the guest binary prints before its first operation.
func (t *text) head(p Plan) {
	for _, u := range append(catalogue.Units(), catalogue.HostUnits()...) {
		if u.Name != "ns/op" && u.Name != "B/s" { // known to every tool
			fmt.Fprintln(t.w, u.UnitLine())
		}
	}
	run := p.Head
	run.Type, run.Schema, run.Version = record.TypeRun, record.Schema, record.ToolVersion
	run.Time, run.Rounds = record.Seconds(time.Now()), 1
	for _, op := range p.ops() {
		run.Expected = append(run.Expected, op.Name)
	}
	t.record(run)
	fmt.Fprintf(t.w, "goos: %s\ngoarch: %s\npkg: %s\n", runtime.GOOS, runtime.GOARCH, sandbox.Module)
}

// category prints the settings of a part.
func (t *text) category(c catalogue.Category, p Plan) {
	line := record.Category{Type: record.TypeCategory, Category: string(c)}
	switch c {
	case catalogue.Parallel:
		line.Settings = map[string]string{"category": string(p.Category)}
	case catalogue.Fork:
		line.Settings = map[string]string{"workspace_mb": strconv.Itoa(forkMB)}
	}
	t.record(line)
}

// maxReason bounds a reason in bytes; part of it may come from a guest.
const maxReason = 500

// op measures one operation with f and prints it.
func (t *text) op(op catalogue.Op, f func() (record.Samples, error), doubts ...string) {
	t.record(record.Start{Type: record.TypeStart, Op: op.Name})
	s, err := f()
	st := record.Status{Type: record.TypeStatus, Op: op.Name, Status: record.OK, Doubts: doubts}
	var none Unsupported
	switch {
	case errors.As(err, &none):
		st.Status, st.Reason = record.Skipped, string(none)
	case err != nil:
		st.Status, st.Reason = record.Failed, record.Printable(err.Error(), maxReason)
		t.failed = true
	default:
		s.Type, s.Op, s.Round = record.TypeSamples, op.Name, 1
		fmt.Fprintf(t.w, "Benchmark%s\t1", op.Name)
		for _, unit := range op.Units {
			fmt.Fprintf(t.w, "\t%s %s", shown(s.Metrics[unit]), unit)
		}
		fmt.Fprintln(t.w)
		t.record(s)
	}
	t.record(st)
}

// shown is a value as testing prints it: whole from 100 on, else four digits.
// The samples line has all of them.
func shown(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// took prints an operation that took a time.
func (t *text) took(op catalogue.Op, begin time.Time, d time.Duration) {
	t.op(op, func() (record.Samples, error) { return took(begin, d), nil })
}

// end prints the end line and returns the status.
func (t *text) end(begin time.Time, err error, interrupted bool) int {
	end := record.End{Type: record.TypeEnd, Time: record.Seconds(time.Now()), ElapsedNS: int64(time.Since(begin)), Status: "ok"}
	status := 0
	if t.failed || err != nil {
		end.Status, status = "failed", 1
	}
	if err != nil {
		end.Reason = record.Printable(err.Error(), maxReason)
	}
	if interrupted {
		end.Status, end.Reason = "interrupted", cmp.Or(end.Reason, "interrupted")
	}
	t.record(end)
	return status
}
