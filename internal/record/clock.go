package record

import "math"

// Clock is how far the guest's clock was from the host's, as the host read it
// before the guest binary ran and again after it. The host writes the line
// before anything the guest says, after the boot and machine lines, with no
// readings where there were none. Any other clock line means nothing.
type Clock struct {
	Type     string         `json:"type"`
	Readings []ClockReading `json:"readings,omitempty"`
	// Stages are the steps of the guest's boot, in order, where the host saw
	// them. They are in this line since it is the host's own and of the same
	// guests: those with a kernel of their own.
	Stages []BootStage `json:"stages,omitempty"`
}

// A BootStage is one step of a boot.
type BootStage struct {
	Name   string `json:"name"`
	TookNS int64  `json:"took_ns"` // since the step before it, host's clock
}

// A ClockReading compares the two clocks once, as NTP does (RFC 5905, section
// 8): the guest was asked for its time, and is taken to have read it half-way
// between question and answer.
type ClockReading struct {
	TimeNS   int64 `json:"time_ns"`   // Unix, host's clock
	OffsetNS int64 `json:"offset_ns"` // guest's clock minus the host's
	// BoundNS is half of the round trip: the offset is not further off.
	BoundNS int64 `json:"bound_ns"`
}

// maxDrift is how much faster one clock may run than the other where only one
// reading says how far they are apart: the limit of the Linux kernel and of
// RFC 5905 (MAXFREQ, 500 ppm).
const maxDrift = 500e-6

// At returns the offset at a time of the guest's clock in Unix ns, and how far
// it may be off, also in ns. Between two readings it goes in a straight line.
// It reports false if there is no reading.
func (c *Clock) At(guestNS int64) (offset, bound int64, ok bool) {
	if c == nil || len(c.Readings) == 0 {
		return 0, 0, false
	}
	first, last := c.Readings[0], c.Readings[len(c.Readings)-1]
	since := float64(guestNS) - first.guest()
	span := last.guest() - first.guest()
	if span <= 0 {
		return first.OffsetNS, nanoseconds(float64(first.BoundNS) + maxDrift*math.Abs(since)), true
	}
	part := since / span
	change := float64(last.OffsetNS) - float64(first.OffsetNS)
	return nanoseconds(float64(first.OffsetNS) + change*part), max(first.BoundNS, last.BoundNS), true
}

// guest is the reading's time on the guest's clock.
func (r ClockReading) guest() float64 { return float64(r.TimeNS) + float64(r.OffsetNS) }

// nanoseconds rounds to what an int64 holds.
func nanoseconds(v float64) int64 {
	const most = 1 << 62
	return int64(math.Round(max(-most, min(most, v))))
}
