package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/termtext"
)

// What a baseline has to have, so that it is not of a quick run: as many boots
// as the first look, and rounds enough that one is a warm-up.
const (
	MinBaselineBoots  = 6
	MinBaselineRounds = warmUp
)

// Promotable returns why the boots are no baseline, one reason a line; nil
// means that they are one. A baseline is what later builds are held against,
// so nothing in it may have failed, and its boots must be alike.
func Promotable(s *Side) []string {
	var out []string
	add := func(format string, args ...any) {
		if reason := fmt.Sprintf(format, args...); !slices.Contains(out, reason) {
			out = append(out, reason)
		}
	}
	if n := len(s.Boots); n < MinBaselineBoots {
		add("%s: a quick run; want at least %d", termtext.Plural(n, "boot"), MinBaselineBoots)
	}
	for _, b := range s.Boots {
		if b.Run != nil && !b.Complete() {
			add("%s: the run did not come to its end", b.Name)
		}
		for _, m := range b.Machine {
			if len(m.Unfit) > 0 {
				add("%s: the machine was not fit: %s", b.Name, strings.Join(m.Unfit, "; "))
			}
		}
	}
	for _, op := range collect(s.Boots, nil) {
		for _, unit := range op.primary() {
			got := sample(op.base, readings(op.base, unit), unit)
			if got.Bad > 0 {
				add("%s: %s in %s: %s", op.key, got.Status, termtext.Plural(got.Bad, "boot"), got.Reason)
			}
		}
		for _, o := range op.base {
			if o.res.Rounds > 0 && o.res.Rounds < MinBaselineRounds {
				add("%s of an operation: a quick run; want at least %d", termtext.Plural(o.res.Rounds, "round"), MinBaselineRounds)
			}
		}
		for _, d := range opDifferences(op.base, op.base) {
			if d.Weight != Doubts {
				add("%s: the boots did different things: %s", op.key, d.Text)
			}
		}
	}
	for _, d := range differences(s.Boots, s.Boots, nil) {
		if d.Weight != Doubts {
			add("the boots are not alike: %s", d.Text)
		}
	}
	return out
}
