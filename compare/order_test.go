package compare

import (
	"testing"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
)

// at is a boot with the host's boot line.
func at(name string, slot int, began float64) Boot {
	return Boot{Report: &convert.Report{Name: name, Boot: &record.Boot{Slot: slot, Time: began}}}
}

// imported is one that has only its own time, or none.
func imported(name string, began float64) Boot {
	return Boot{Report: &convert.Report{Name: name, Run: &record.Run{Time: began}}, Imported: true}
}

func TestOrderSaysWhatIsMissing(t *testing.T) {
	for name, tt := range map[string]struct {
		base, cand []Boot
		want       Order
	}{
		"in turn": {[]Boot{at("a", 1, 10), at("d", 4, 40)}, []Boot{at("b", 2, 20), at("c", 3, 30)}, Order{Interleaved, ""}},
		"one after the other": {
			[]Boot{at("a", 1, 10), at("b", 2, 20)},
			[]Boot{at("c", 3, 30), at("d", 4, 40)},
			Order{Sequential, "after boot 2 one side had run 2 boots more than the other"},
		},
		"apart":    {[]Boot{at("a", 1, 10)}, []Boot{at("b", 1, 20)}, Order{Unproven, "a and b both say they are boot 1: the sides were measured apart"}},
		"twice":    {[]Boot{at("a", 1, 10), at("b", 1, 20)}, nil, Order{Unproven, "a and b both say they are boot 1"}},
		"backward": {[]Boot{at("a", 1, 20)}, []Boot{at("b", 2, 10)}, Order{Unproven, "b is boot 2 and began before boot 1"}},
		// A document with a timestamp says when it ran; it lacks its place.
		"a timestamp": {
			[]Boot{imported("old.json", 1.7e9)},
			[]Boot{imported("new.json", 1.8e9)},
			Order{Unproven, "old.json does not say its place in the order of all boots; 'capsem-bench ab' records it"},
		},
		"no timestamp": {
			[]Boot{imported("old.json", 0)},
			[]Boot{imported("new.json", 1.8e9)},
			Order{Unproven, "old.json does not say when it ran; 'capsem-bench ab' records it"},
		},
		"a timestamp of one": {
			[]Boot{at("a", 1, 10)},
			[]Boot{imported("new.json", 1.8e9)},
			Order{Unproven, "new.json does not say its place in the order of all boots; 'capsem-bench ab' records it"},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, orderOf(tt.base, tt.cand)) })
	}
}
