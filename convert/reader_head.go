package convert

import "github.com/capsem/capsem-bench/internal/record"

// A head is how far the host's lines at the start of a text have been read: a
// boot line, up to two machine lines, a clock line, and the guest line that
// ends them. Only there are they the host's. What the guest prints comes later,
// and no spelling of a line changes where it stands.
//
// A text from before there was a guest line has the same head without its end;
// it ends with the first line that is none of these in this order.
type head struct {
	part   headPart // the last that was read
	marked bool     // the guest line was there
}

type headPart int

const (
	headStart headPart = iota
	headBoot
	headMachine
	headMachines
	headClock
	headOver
)

// takes reports whether a record may stand where it does, and goes on to it.
func (h *head) takes(v any) bool {
	next := headOver
	switch v.(type) {
	case *record.Boot:
		if h.part == headStart {
			next = headBoot
		}
	case *record.Machine:
		if h.part == headBoot || h.part == headMachine {
			next = h.part + 1
		}
	case *record.Clock:
		if h.part < headClock {
			next = headClock
		}
	case *record.Guest:
		h.marked = true
	}
	h.part = next
	return next != headOver || hostType(v) == ""
}

// end ends the head at a line that is no record.
func (h *head) end() { h.part = headOver }

// hostType is the type of a record that only the host writes; "" is any other.
func hostType(v any) string {
	switch v.(type) {
	case *record.Boot:
		return record.TypeBoot
	case *record.Machine:
		return record.TypeMachine
	case *record.Clock:
		return record.TypeClock
	}
	return ""
}
