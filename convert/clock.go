package convert

import (
	"fmt"
	"math"

	"github.com/capsem/capsem-bench/internal/record"
)

// How far the guest's clock may come away from the host's before its times are
// doubted. 0.5 % is ten times the most that a clock is steered by (maxDrift in
// package record) and below what a comparison of two releases can show; 50 ms
// is what a busy host may hold a reading up by without its bound showing it.
const (
	clockDrift = 0.005
	clockSlack = 50e6 // ns
)

// clockDoubt says that the guest's clock and the host's did not run alike
// between the two readings, by more than the readings may be off. All times of
// a guest come from its clock: an emulated processor that gets no turn can
// make it jump, and a wrong calibration at boot makes it run too fast.
func clockDoubt(c *record.Clock) string {
	if c == nil || len(c.Readings) < 2 {
		return ""
	}
	first, last := c.Readings[0], c.Readings[1]
	span := float64(last.TimeNS) - float64(first.TimeNS)
	apart := float64(last.OffsetNS) - float64(first.OffsetNS)
	bounds := float64(first.BoundNS) + float64(last.BoundNS)
	if math.Abs(apart) <= clockDrift*math.Abs(span)+clockSlack+bounds {
		return ""
	}
	way := "ahead of"
	if apart < 0 {
		way = "behind"
	}
	return fmt.Sprintf("the guest's clock ran %s s %s the host's in %s s: its times are not to be trusted",
		number(math.Abs(apart)/1e9, 2), way, number(math.Abs(span)/1e9, 0))
}

// clockDoubts are the doubts about the clocks of one or several boots.
type clockDoubts struct {
	boots, wrong int
	first, name  string // the first doubt, and the text that has it
}

func (c *clockDoubts) add(name string, v *record.Clock) {
	c.boots++
	if doubt := clockDoubt(v); doubt != "" {
		if c.wrong++; c.wrong == 1 {
			c.first, c.name = doubt, name
		}
	}
}

// doubt is what belongs beside every figure, "" where there is no doubt.
func (c *clockDoubts) doubt() string {
	if c.wrong == 0 || c.boots == 1 {
		return c.first
	}
	return fmt.Sprintf("%s (%s; in %d of %d boots)", c.first, c.name, c.wrong, c.boots)
}
