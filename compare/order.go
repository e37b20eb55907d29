package compare

import (
	"cmp"
	"fmt"
	"slices"
)

// An Interleaving says what is known about the order of the boots.
type Interleaving string

const (
	// Interleaved: after every boot the counts of the sides differed by at
	// most one, by the host's boot lines.
	Interleaved Interleaving = "interleaved"
	// Sequential: the boot lines prove that it was otherwise.
	Sequential Interleaving = "not interleaved"
	// Unproven: at least one boot has no boot line, or the lines disagree.
	Unproven Interleaving = "order not proven"
)

// An Order is the order of the boots of both sides with the reason for what
// it is taken for.
type Order struct {
	Interleaving
	Reason string
}

// place is a boot in the order of all.
type place struct {
	slot int
	time float64
	side int // 0 old, 1 new
	name string

	machine string
}

// orderOf checks the recorded order of the boots.
func orderOf(base, cand []Boot) Order {
	var all []place
	for side, boots := range [][]Boot{base, cand} {
		for _, b := range boots {
			if b.Boot == nil && b.Run != nil && b.Run.Time > 0 {
				return Order{Unproven, b.Name + " does not say its place in the order of all boots; 'capsem-bench ab' records it"}
			}
			if b.Boot == nil {
				return Order{Unproven, b.Name + " does not say when it ran; 'capsem-bench ab' records it"}
			}
			all = append(all, place{b.Boot.Slot, b.Boot.Time, side, b.Name, on(b)})
		}
	}
	slices.SortStableFunc(all, func(a, b place) int { return cmp.Compare(a.slot, b.slot) })
	several := len(machinesOf(base, cand)) > 0
	lead := 0
	for i, p := range all {
		if i > 0 {
			switch prev := all[i-1]; {
			case prev.slot == p.slot:
				apart := ""
				if prev.side != p.side {
					apart = ": the sides were measured apart"
				}
				return Order{Unproven, fmt.Sprintf("%s and %s both say they are boot %d%s", prev.name, p.name, p.slot, apart)}
			case prev.time > p.time && !several:
				return Order{Unproven, fmt.Sprintf("%s is boot %d and began before boot %d", p.name, p.slot, prev.slot)}
			}
		}
		if several {
			continue
		}
		lead += 1 - 2*p.side
		if lead < -1 || lead > 1 {
			return Order{Sequential, fmt.Sprintf("after boot %d one side had run %d boots more than the other", p.slot, max(lead, -lead))}
		}
	}
	if several {
		return orderOn(all)
	}
	return Order{Interleaved, ""}
}
