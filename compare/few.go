package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// blindness is a slowdown that no answer may overlook: a gate that would
// likely miss it cannot tell.
const blindness = 0.5

// few reports whether these are few boots, and no more can be had.
func (g *gate) few() bool { return g.c.Method == MaxTs && g.c.NoMore }

// blind keeps few boots from passing what they could not have shown.
func (g *gate) blind() {
	if g.d.Few = g.few(); !g.d.Few || g.c.Ops == 0 {
		return
	}
	if p := MinP([2]int{g.c.BaseBoots, g.c.CandBoots}); p > g.c.alpha {
		g.cannot("%d and %d boots give no p below %.2g, and the gate is at %s: no slowdown of any size could show",
			g.c.BaseBoots, g.c.CandBoots, p, share(g.c.alpha))
		return
	}
	var never, hardly []string
	for _, f := range g.c.Judged() {
		if !g.c.byMaxT(f) || f.Verdict == Slower || f.Smallest <= blindness {
			continue
		}
		f.Outcome = Insensitive
		if math.IsInf(f.Smallest, 1) {
			never = append(never, f.Key())
		} else {
			hardly = append(hardly, fmt.Sprintf("%s (from %s)", f.Key(), Percent(f.Smallest)))
		}
	}
	if len(never) > 0 {
		g.cannot("no slowdown up to tenfold would show in these boots: %s", firstOf(never))
	}
	if len(hardly) > 0 {
		g.cannot("a slowdown of %s would likely not show in these boots: %s", Percent(blindness), firstOf(hardly))
	}
	if len(never)+len(hardly) > 0 {
		g.plan("measure more boots a side or fewer categories, or on a quieter machine")
	}
}

// firstOf names a few: the table has all of them.
func firstOf(names []string) string {
	const most = 4
	if len(names) > most {
		names = append(names[:most:most], fmt.Sprintf("%d more", len(names)-most))
	}
	return strings.Join(names, ", ")
}

// byMaxT reports whether few boots judge the finding together with others.
func (c *Comparison) byMaxT(f *Finding) bool {
	return f.op != nil && f.Mute == nil && (f.Judged == ByRank || f.Judged == ByRaw) && !math.IsNaN(f.Adjusted)
}

// couldShow says in words what few boots show.
func (c *Comparison) couldShow() string {
	var sizes []float64
	var worst *Finding
	for _, f := range c.Judged() {
		if !c.byMaxT(f) {
			continue
		}
		sizes = append(sizes, f.Smallest)
		if worst == nil || f.Smallest > worst.Smallest {
			worst = f
		}
	}
	if worst == nil {
		return "they judged nothing"
	}
	slices.Sort(sizes)
	least := func(v float64) string {
		if math.IsInf(v, 1) {
			return "any"
		}
		return strings.TrimPrefix(Percent(v), "+")
	}
	return fmt.Sprintf("A slowdown below these would likely have been missed: %s in the quietest metric, %s in the middle one, %s in the noisiest (%s)",
		least(sizes[0]), least(middle(sizes)), least(worst.Smallest), worst.Key())
}

func share(alpha float64) string { return fmt.Sprintf("%.3g %%", 100*alpha) }
