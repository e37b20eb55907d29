// Package hostcheck says whether a machine is fit to measure on: whether something
// else uses its processors, memory or disk now, and whether the same work
// takes the same time twice.
//
// What the kernel says (proc(5), Documentation/accounting/psi.rst) comes
// first; a fixed burn-in loop comes last and has the last word, because a
// throttled processor or a busy neighbour shows nowhere else. Only measures
// that are taken without looking at any result count, so a boot may be thrown
// away by them and the comparison stays honest.
//
// Limits: it sees a moment. A measurement is framed by two reports, and
// Between says what changed.
package hostcheck

import (
	"context"
	"fmt"
	"time"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/dustin/go-humanize"
)

// A State is what a check says of the machine.
type State string

const (
	OK    State = "ok"
	Doubt State = "doubt" // measure, and say so beside the result
	Unfit State = "unfit" // what is measured now means little
	Info  State = "info"  // not known here, or of no weight
)

// A Check is one line of a report.
type Check struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	State  State  `json:"state"`
	Advice string `json:"advice,omitempty"` // what to do, when it is not ok
}

// A Report is the state of the machine at one time.
type Report struct {
	Checks  []Check        `json:"checks"`
	Machine record.Machine `json:"machine"` // the same in numbers
	cpu     ticks
}

// Options choose what to look at. The zero value looks at the root
// filesystem of an idle machine.
type Options struct {
	Dir string // where measurements write
	// Between says that the report is one of a series: the load of the last
	// minute is then the measurement's own.
	Between bool
	// NoKVM is why no guest runs with KVM, as a boot has found out; "" says
	// nothing.
	NoKVM string

	root string // of /proc and /sys, for tests
}

// The limits. Shares are of all processors.
const (
	maxSpread = 0.10 // of the burn-in loop, largest to smallest

	doubtBusy, unfitBusy         = 0.05, 0.20
	doubtSteal, unfitSteal       = 0.01, 0.05
	doubtLoad, unfitLoad         = 0.3, 1.0 // a processor
	doubtPressure, unfitPressure = 1.0, 10.0
	// A build, two images and the boots of a comparison fit in 4 GiB.
	doubtFree, unfitFree = 4 << 30, 1 << 30
	doubtMemory          = 1 << 30
)

// Examine looks at the machine. It takes about a second, most of it the
// burn-in loop, and returns early with what it has when ctx ends.
func Examine(ctx context.Context, opt Options) *Report {
	if opt.Dir == "" {
		opt.Dir = "/"
	}
	r := &Report{}
	r.Machine.Type, r.Machine.Time = record.TypeMachine, record.Seconds(time.Now())
	before := readTicks(opt.root)
	n := turns
	if opt.Between {
		n = fewTurns
	}
	burn := burnIn(ctx, n)
	r.cpu = readTicks(opt.root)
	r.processors(before, r.cpu, opt)
	r.kernel(opt)
	r.burnIn(burn)
	for _, c := range r.Checks {
		switch c.State {
		case Unfit:
			r.Machine.Unfit = append(r.Machine.Unfit, c.Name+": "+c.Value)
		case Doubt:
			r.Machine.Doubts = append(r.Machine.Doubts, c.Name+": "+c.Value)
		}
	}
	return r
}

// Fit reports whether no check says otherwise.
func (r *Report) Fit() bool { return len(r.Machine.Unfit) == 0 }

func (r *Report) add(name string, state State, advice, format string, args ...any) {
	if state == OK || state == Info {
		advice = ""
	}
	r.Checks = append(r.Checks, Check{name, fmt.Sprintf(format, args...), state, advice})
}

// graded is Unfit above unfit, Doubt above doubt, else OK.
func graded(v, doubt, unfit float64) State {
	switch {
	case v > unfit:
		return Unfit
	case v > doubt:
		return Doubt
	}
	return OK
}

// processors says who used them while the loop ran.
func (r *Report) processors(from, to ticks, opt Options) {
	if opt.Between {
		r.add("load", Info, "", "%.2f in the last minute, the measurement's own included", to.load)
	} else if to.cpus > 0 {
		r.add("load", graded(to.load/float64(to.cpus), doubtLoad, unfitLoad), "wait, or stop what else runs",
			"%.2f in the last minute, %d processors", to.load, to.cpus)
	}
	r.Machine.Load = to.load
	total := to.total - from.total
	if total <= 0 {
		r.add("busy", Info, "", "not known here")
		return
	}
	// The loop's own time is subtracted, so what is left is somebody else's.
	busy := max(0, (to.busy-from.busy-(to.own-from.own))/total)
	r.Machine.Busy, r.Machine.Steal = busy, (to.steal-from.steal)/total
	r.add("busy", graded(busy, doubtBusy, unfitBusy), "stop what else runs; 'top' shows it",
		"%.1f %% of the processors by others", 100*busy)
	r.add("steal", graded(r.Machine.Steal, doubtSteal, unfitSteal), "the host of this VM gives its processors to others; use another",
		"%.1f %% taken by the hypervisor", 100*r.Machine.Steal)
}

func (r *Report) burnIn(b burn) {
	r.Machine.BurnNS, r.Machine.Spread = b.median.Nanoseconds(), b.spread
	if b.median == 0 {
		r.add("burn-in", Unfit, "", "interrupted")
		return
	}
	state := OK
	if b.spread > maxSpread {
		state = Unfit
	}
	r.add("burn-in", state, "the same work takes different times: stop what else runs, fix the clock rate, let it cool",
		"%.1f ms a turn, repeats within %.1f %% (limit %.0f %%)", float64(b.median.Microseconds())/1e3, 100*b.spread, 100*maxSpread)
}

func (r *Report) freeDisk(dir string, free uint64) {
	state := OK
	switch {
	case free < unfitFree:
		state = Unfit
	case free < doubtFree:
		state = Doubt
	}
	r.add("disk", state, "make room, or measure elsewhere", "%s free in %s", humanize.IBytes(free), dir)
}

// Between returns why what was measured between two reports is not to be
// trusted, and what is to be said beside it.
func Between(before, after *Report) (unfit, doubts []string) {
	unfit = append(append(unfit, before.Machine.Unfit...), after.Machine.Unfit...)
	doubts = append(append(doubts, before.Machine.Doubts...), after.Machine.Doubts...)
	if b, a := before.Machine.BurnNS, after.Machine.BurnNS; b > 0 && a > 0 {
		if change := float64(max(a, b))/float64(min(a, b)) - 1; change > maxSpread {
			unfit = append(unfit, fmt.Sprintf("burn-in: its time changed by %.0f %% during the measurement", 100*change))
		}
	}
	if total := after.cpu.total - before.cpu.total; total > 0 {
		steal := (after.cpu.steal - before.cpu.steal) / total
		switch text := fmt.Sprintf("steal: %.1f %% during the measurement", 100*steal); graded(steal, doubtSteal, unfitSteal) {
		case Unfit:
			unfit = append(unfit, text)
		case Doubt:
			doubts = append(doubts, text)
		}
	}
	return unique(unfit), unique(doubts)
}

func unique(s []string) []string {
	seen := make(map[string]bool)
	var out []string
	for _, x := range s {
		if !seen[x] {
			out = append(out, x)
		}
		seen[x] = true
	}
	return out
}
