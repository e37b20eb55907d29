package compare

import (
	"errors"
	"fmt"
)

// Varying returns what may differ on purpose, for Options.Vary.
func Varying() []string {
	var out []string
	for _, a := range attributes() {
		out = append(out, a.what)
	}
	return append(out, "machine")
}

// maxBoots bounds a plan, a side: the exact test's tables grow with its cube.
const maxBoots = 200

// RuleOf returns the default rule with other looks: boots a side, cumulative.
// With three looks the cuts are those of the default; with others they are
// those of its first look, and of its second from then on.
func RuleOf(looks []int) (Rule, error) {
	r := DefaultRule()
	cuts := r.Cuts
	r.Looks, r.Cuts = looks, nil
	if len(looks) == 0 {
		return Rule{}, errors.New("no look; want boots a side, such as 6,10,16")
	}
	for i, k := range looks {
		switch {
		case k < 1 || k > maxBoots:
			return Rule{}, fmt.Errorf("%d boots a side: want 1 to %d", k, maxBoots)
		case i > 0 && k <= looks[i-1]:
			return Rule{}, fmt.Errorf("%d after %d: looks count all boots so far, such as 6,10,16", k, looks[i-1])
		}
		if i < len(looks)-1 {
			r.Cuts = append(r.Cuts, cuts[min(i, len(cuts)-1)])
		}
	}
	return r, nil
}
