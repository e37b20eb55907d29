package compare

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// tested returns the findings that the rank test judges together.
func (j *judge) tested() []*Finding {
	return slices.DeleteFunc(j.c.Judged(), func(f *Finding) bool { return f.Verdict != "" || f.op == nil || f.Mute != nil })
}

// replay runs the plan over the recorded stages and takes over what it says.
func (j *judge) replay() {
	judged := j.tested()
	ran := j.ran()
	ops := make([]Op, len(judged))
	for i, f := range judged {
		ops[i] = *f.op
	}
	verdict := Replay(j.plan, j.rk, ops, func(stage int, open []bool) []Stratum {
		if stage >= j.c.Looked {
			return nil
		}
		out := make([]Stratum, len(judged))
		for i, f := range judged {
			out[i] = f.strata[stage]
			if open[i] {
				f.gaps[0] += ran[f.Category][stage][0] - len(numbers(out[i].Base))
				f.gaps[1] += ran[f.Category][stage][1] - len(numbers(out[i].Cand))
			}
		}
		return out
	})
	j.c.Stopped = verdict.Stopped
	var finds *Sensitivity
	if !j.plan.Few {
		finds = SensitivityOf(j.plan, j.rk, len(judged))
	}
	for i, f := range judged {
		f.replayed = verdict.Ops[i]
		f.P, f.Adjusted = f.replayed.P, f.replayed.Adjusted
		f.worse, f.better = f.replayed.Regressed, f.replayed.Improved
		if verdict.Needed != nil && j.c.Looked < j.c.Looks && !j.opt.NoMore {
			f.Open = !f.replayed.Closed
			if verdict.Needed[i] && !slices.Contains(j.c.needed, f.Category) {
				j.c.needed = append(j.c.needed, f.Category)
			}
		}
		if finds != nil {
			j.smallest(f, finds)
		}
		j.noteMissingBoots(f)
		f.slowBoots()
		if f.worse {
			if text := j.someMachines(f); text != "" {
				f.Doubts = append(f.Doubts, text)
			}
		}
	}
	if j.plan.Few {
		j.smallestMaxT(judged)
	}
	j.movements(verdict)
}

// slowBoots states a doubt where several new boots are half as slow again as
// the old side's median and fewer old ones are: no shift of the middle shows it.
func (f *Finding) slowBoots() {
	if f.Linear || len(f.replayed.Strata) == 0 {
		return
	}
	over := func(of func(Stratum) []float64) (n, all int) {
		for _, s := range f.replayed.Strata {
			limit := median(slices.Clone(s.Base)) + math.Log(1.5)
			for _, v := range of(s) {
				if all++; v > limit {
					n++
				}
			}
		}
		return n, all
	}
	base, bases := over(func(s Stratum) []float64 { return s.Base })
	cand, cands := over(func(s Stratum) []float64 { return s.Cand })
	if cand-base >= 3 && !f.worse {
		f.tail = fmt.Sprintf("%d of %d new boots over 1.5x, %d of %d old", cand, cands, base, bases)
		f.Doubts = append(f.Doubts, f.tail)
	}
}

// smallest says what slowdown the plan finds of boots like these, whichever
// look closed the op.
func (j *judge) smallest(f *Finding, finds *Sensitivity) {
	by := finds.Of(*f.op, f.replayed)
	switch {
	case !f.Linear:
		f.Smallest = math.Expm1(by)
	case f.Base.Median != 0:
		f.Smallest = by / math.Abs(f.Base.Median)
	}
}

// movements takes over what groups of ops did as a whole. Of boots that did
// not alternate that says nothing about the build.
func (j *judge) movements(res Result) {
	if j.c.Order.Interleaving != Interleaved || j.c.Refused() != nil {
		return
	}
	byCategory := make(map[catalogue.Category][]*Finding)
	for _, f := range j.c.Judged() {
		byCategory[f.Category] = append(byCategory[f.Category], f)
	}
	for _, g := range res.Movements {
		if !g.Regressed && !g.Improved {
			continue
		}
		m := Movement{Category: catalogue.Category(g.Group), Slower: g.Regressed, P: g.Adjusted}
		m.Shift, m.Lo, m.Hi = j.rk.Interval(g.Strata, 0.95)
		if g.Improved {
			m.P = g.AdjustedFaster
		}
		for c, all := range byCategory {
			switch m.Category {
			case "":
				m.Ops += len(all)
				m.Categories++
				m.Partly = m.Partly || m.left(all)
			case c:
				m.Ops = len(all)
			}
		}
		j.c.Movements = append(j.c.Movements, m)
	}
	// The mean of all moves with a part of them. Where that part is named, the
	// mean is no finding.
	j.c.Movements = slices.DeleteFunc(j.c.Movements, func(m Movement) bool { return m.Partly && j.named(m.Slower) })
	// All first, then the categories in report order.
	slices.SortStableFunc(j.c.Movements, func(a, b Movement) int {
		return cmp.Compare(movementPlace(a), movementPlace(b))
	})
}

// named reports whether a category as a whole, or an op that decides, moved.
func (j *judge) named(slower bool) bool {
	return slices.ContainsFunc(j.c.Movements, func(m Movement) bool { return m.Category != "" && m.Slower == slower }) ||
		slices.ContainsFunc(j.c.Judged(), func(f *Finding) bool {
			return f.Mute == nil && !f.Forced && len(f.Ungated) == 0 && (slower && f.worse || !slower && f.better)
		})
}

// ran counts the boots of the sides that measured a category, by stage.
func (j *judge) ran() map[catalogue.Category][][2]int {
	out := make(map[catalogue.Category][][2]int)
	for side, boots := range [][]Boot{j.base, j.cand} {
		for _, b := range boots {
			look := max(0, slices.Index(j.stages, stageOf(b)))
			seen := make(map[catalogue.Category]bool)
			for _, res := range b.Ops {
				c := res.Op.Category
				if out[c] == nil {
					out[c] = make([][2]int, max(1, len(j.stages)))
				}
				if !seen[c] {
					out[c][look][side]++
				}
				seen[c] = true
			}
		}
	}
	return out
}

// noteMissingBoots says of an op that many boots did not measure that the
// others could not show it slower. A plan tolerates bad boots, and missing ones
// are among these.
func (j *judge) noteMissingBoots(f *Finding) {
	for side, s := range []Sample{f.Base, f.Cand} {
		if n := f.gaps[side] - s.Bad - s.Skipped; n > 0 {
			f.Doubts = append(f.Doubts, [2]string{"old", "new"}[side]+": not in "+termtext.Plural(n, "boot")+" that measured its category")
		}
	}
	if f.replayed.Closed || f.worse || f.Hi <= f.op.limit() || max(f.gaps[0], f.gaps[1]) <= BadBoots {
		return // settled, rejected, shown not slower, or like the others
	}
	if worstOf(j.rk, f.replayed.Tested) <= j.plan.Alpha/float64(max(j.c.Ops, 1)) {
		return
	}
	of := func(s Sample, gaps int) string { return fmt.Sprintf("%d of %d", s.Boots, s.Boots+gaps) }
	f.TooFewBoots = fmt.Sprintf("values in %s old and %s new boots, too few to tell", of(f.Base, f.gaps[0]), of(f.Cand, f.gaps[1]))
	if reason := cmp.Or(f.Cand.Reason, f.Base.Reason); reason != "" {
		f.TooFewBoots += ": " + reason
	}
}
