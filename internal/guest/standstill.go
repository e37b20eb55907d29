package guest

import (
	"fmt"
	"sync"
	"time"
)

const (
	// tickInterval is how often a pass looks at the clock. A look costs some
	// microseconds on a processor that the timed loop does not use.
	tickInterval = 500 * time.Millisecond

	// stillAfter is how late a tick has to be to count. A busy machine delays a
	// tick by some 10 ms, an overcommitted one by some 100.
	stillAfter = 2 * time.Second

	// stillShare is the part of the measured time in which a process may have
	// stood still before the figure means nothing.
	stillShare = 0.05
)

// A span is a stretch of time.
type span struct{ from, to time.Time }

// overlap is how long both lasted at once.
func (s span) overlap(o span) time.Duration {
	from, to := s.from, s.to
	if o.from.After(from) {
		from = o.from
	}
	if o.to.Before(to) {
		to = o.to
	}
	return max(0, to.Sub(from))
}

// A standstill finds out whether this process, or the whole machine under it,
// stood still during a pass. Four things tell:
//
//   - A tick that comes late: the process was stopped (SIGSTOP, a debugger), or
//     the virtual machine was, whose clock jumps when it goes on.
//   - CLOCK_BOOTTIME that gains on CLOCK_MONOTONIC: the machine was suspended.
//   - Steal time: the hypervisor gave the processors to others.
//   - A virtual machine whose clock was stopped with it sees nothing of this;
//     the host does, by the clock line (see record.Clock).
type standstill struct {
	stop    chan struct{}
	stopped sync.WaitGroup
	first   clocks
	gaps    []span // of the ticking goroutine until stopped
}

// clocks are what the kernel says at one time; see readClocks.
type clocks struct {
	asleep time.Duration // CLOCK_BOOTTIME minus CLOCK_MONOTONIC
	stolen time.Duration // of all processors
}

// watchStandstill begins to tick.
func watchStandstill() *standstill {
	s := &standstill{stop: make(chan struct{}), first: readClocks()}
	s.stopped.Go(func() {
		ticker := time.NewTicker(tickInterval)
		defer ticker.Stop()
		last := time.Now()
		for {
			select {
			case <-s.stop:
				s.tick(last, time.Now())
				return
			case <-ticker.C:
				now := time.Now()
				s.tick(last, now)
				last = now
			}
		}
	})
	return s
}

// tick notes a gap if the time since the last tick is too long.
func (s *standstill) tick(last, now time.Time) {
	if now.Sub(last) >= tickInterval+stillAfter {
		s.gaps = append(s.gaps, span{last, now})
	}
}

// end stops the ticking and says of the pass what was found: an error if what
// it has timed does not mean what it says, else doubts.
func (s *standstill) end(p *Pass) error {
	close(s.stop)
	s.stopped.Wait()
	last := readClocks()
	return judgeStandstill(p, s.gaps, last.asleep-s.first.asleep, last.stolen-s.first.stolen)
}

// judgeStandstill weighs gaps, time asleep and stolen time of a pass.
func judgeStandstill(p *Pass, gaps []span, asleep, stolen time.Duration) error {
	if asleep >= stillAfter {
		return InvalidError(fmt.Sprintf("the machine was suspended for %.1f s during the pass", asleep.Seconds()))
	}
	var still, within time.Duration
	for _, g := range gaps {
		still += g.to.Sub(g.from)
		for _, timed := range p.spans {
			within += g.overlap(timed)
		}
	}
	measured := p.Elapsed()
	switch {
	case within > 0 && within.Seconds() >= stillShare*measured.Seconds():
		return InvalidError(fmt.Sprintf("the process stood still for %.1f s while it measured %.1f s: it or its machine was stopped or got no processor",
			within.Seconds(), measured.Seconds()))
	case still > 0:
		p.Doubt("the process stood still for %.1f s during the pass: it or its machine was stopped or got no processor", still.Seconds())
	case stolen >= stillAfter && stolen.Seconds() >= 0.1*measured.Seconds():
		p.Doubt("the hypervisor gave %.1f s of processor time to others during the pass", stolen.Seconds())
	}
	return nil
}
