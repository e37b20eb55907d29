package compare

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"golang.org/x/perf/benchmath"
)

// opBoots is what all boots say of one op.
type opBoots struct {
	key      string
	category catalogue.Category
	old, new []observation
}

// collect sorts what the boots say by op, in report order.
func collect(old, new []Boot) []*opBoots {
	byKey := make(map[string]*opBoots)
	var ops []*opBoots
	for side, boots := range [][]Boot{old, new} {
		for i := range boots {
			for _, res := range boots[i].Ops {
				key := opKey(res)
				op := byKey[key]
				if op == nil {
					op = &opBoots{key: key, category: res.Op.Category}
					byKey[key] = op
					ops = append(ops, op)
				}
				obs := observation{&boots[i], res}
				if side == 0 {
					op.old = append(op.old, obs)
				} else {
					op.new = append(op.new, obs)
				}
			}
		}
	}
	slices.SortFunc(ops, func(a, b *opBoots) int {
		return cmp.Or(cmp.Compare(categoryPlace(a.category), categoryPlace(b.category)),
			cmp.Compare(catalogue.Place(a.key), catalogue.Place(b.key)), strings.Compare(a.key, b.key))
	})
	return ops
}

func categoryPlace(c catalogue.Category) int {
	if i := slices.Index(catalogue.Categories(), c); i >= 0 {
		return i
	}
	return len(catalogue.Categories())
}

// findings makes the findings of all ops, several at a time.
func (j *judge) findings() {
	var tasks []func(*Ranker)
	for _, op := range collect(j.old, j.new) {
		diffs := opDifferences(op.old, op.new)
		primary := op.primary()
		for _, unit := range op.units(primary) {
			f := j.finding(op, unit)
			f.Primary = slices.Contains(primary, unit)
			f.oneOfMany = len(primary) > 1
			f.Duplicate = !f.Primary && duplicates(unit)
			f.old, f.new = readings(op.old, unit), readings(op.new, unit)
			f.Old, f.New = sample(op.old, f.old, unit), sample(op.new, f.new, unit)
			j.c.Findings = append(j.c.Findings, f)
			tasks = append(tasks, func(rk *Ranker) { j.classify(f, op, diffs, rk) })
		}
	}
	var running sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		running.Go(func() {
			rk := NewRanker() // each has its own
			for i := w; i < len(tasks); i += workers {
				tasks[i](rk)
			}
		})
	}
	running.Wait()
	for _, f := range j.c.Findings {
		j.c.Forced = j.c.Forced || f.Forced
	}
}

// primary returns the metrics by which the op is judged, from what any boot
// knows of it.
func (op *opBoots) primary() []string {
	all := slices.Concat(op.old, op.new)
	best := all[0].res
	for _, o := range all {
		if len(o.res.Units) > len(best.Units) {
			best = o.res
		}
	}
	return primaryUnits(op.key, best)
}

// units returns the primary units, then all others in the catalogue's order.
func (op *opBoots) units(primary []string) []string {
	out := slices.Clone(primary)
	seen := make(map[string]bool)
	for _, o := range slices.Concat(op.old, op.new) {
		for _, u := range o.res.Units {
			seen[u] = true
		}
	}
	add := func(u string) {
		if seen[u] && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	for _, u := range catalogue.Units() {
		add(u.Name)
	}
	rest := make([]string, 0, len(seen))
	for u := range seen {
		rest = append(rest, u)
	}
	slices.Sort(rest)
	for _, u := range rest {
		add(u)
	}
	return out
}

func (j *judge) finding(op *opBoots, unit string) *Finding {
	f := &Finding{
		Op: op.key, Category: op.category, Unit: unit, Better: better(unit),
		Shift: math.NaN(), Lo: math.NaN(), Hi: math.NaN(), P: math.NaN(), Adjusted: math.NaN(), Smallest: math.Inf(1),
	}
	f.Budget = j.opt.Policy.budget(f)
	f.Mute = j.opt.Policy.mute(f, j.opt.Now)
	return f
}

// sample sums up one side.
func sample(obs []observation, read []reading, unit string) Sample {
	s := Sample{Status: record.OK}
	var values []float64
	for i, o := range obs {
		switch {
		case read[i].ok:
			values = append(values, read[i].value)
			continue
		case o.res.Status == record.Skipped:
			s.Skipped++
		default:
			s.Bad++
		}
		status, reason := o.res.Status, o.res.Reason
		if status == record.OK {
			status, reason = record.Missing, "no value in "+unit
			if len(o.res.Values[unit].Values()) > 0 {
				status, reason = record.Invalid, "a value in "+unit+" is not a number"
			}
		}
		if s.Reason == "" || s.Status == record.Skipped {
			s.Status, s.Reason = status, reason
		}
	}
	if s.Boots = len(values); s.Boots > 0 {
		th := benchmath.DefaultThresholds
		sum := benchmath.AssumeNothing.Summary(benchmath.NewSample(values, &th), 0.95)
		s.Median, s.Lo, s.Hi = sum.Center, sum.Lo, sum.Hi
	}
	return s
}

// classify settles what needs no test: what failed, vanished, is new, or is
// not comparable, and which rule judges the rest.
func (j *judge) classify(f *Finding, op *opBoots, diffs []Difference, rk *Ranker) {
	for _, d := range diffs {
		switch d.Weight {
		case Doubts:
			f.Doubts = append(f.Doubts, d.Text)
		case RefusesGate:
			f.Doubts = append(f.Doubts, d.Text)
			f.Ungated = append(f.Ungated, d.Text)
		}
	}
	if f.Primary {
		f.Doubts = append(f.Doubts, doubts(op.old, op.new)...)
	}
	refused := refusing(diffs)
	if f.Verdict, f.Reason = statusVerdict(f.Old, f.New); f.Verdict != "" {
		if f.Verdict == Failed && f.New.Bad == 0 && len(refused) > 0 && !j.opt.Force {
			f.Verdict, f.Reason = NotComparable, refused[0].Text+"; "+f.Reason
		}
		return
	}
	switch {
	case j.c.Refused() != nil && !j.opt.Force:
		f.Verdict, f.Reason = NotComparable, j.c.Refused()[0].Text
		return
	case len(refused) > 0 && !j.opt.Force:
		f.Verdict, f.Reason = NotComparable, refused[0].Text
		return
	case f.Better == "":
		f.Verdict, f.Reason = NotComparable, "nobody says which way of "+f.Unit+" is better"
		return
	}
	if len(refused) > 0 || j.c.Refused() != nil {
		f.Forced = true
		for _, d := range refused {
			f.Doubts = append(f.Doubts, d.Text)
		}
	}
	for _, s := range []Sample{f.Old, f.New} {
		if s.Bad > 0 {
			f.Doubts = append(f.Doubts, plural(s.Bad, "boot")+" of "+plural(s.Bad+s.Boots, "boot")+" without a value: "+s.Reason)
		} else if s.Skipped > 0 {
			f.Doubts = append(f.Doubts, "skipped in "+plural(s.Skipped, "boot")+" of "+plural(s.Skipped+s.Boots, "boot")+": "+s.Reason)
		}
	}
	j.judgement(f, op, rk)
}

// statusVerdict decides by how the op ended on both sides; "" is by values.
func statusVerdict(old, new Sample) (Verdict, string) {
	bad := func(s Sample) string { return string(s.Status) + ": " + s.Reason }
	switch {
	case new.Bad > 0 && old.Boots == 0 && old.Bad > 0:
		return Failed, "on both sides; new " + bad(new)
	case new.Bad > 0 && new.Status == record.Missing && new.Boots == 0:
		return Missing, "new " + bad(new)
	case new.Bad > 0:
		return Failed, "new " + bad(new)
	case !new.seen():
		return Missing, "new does not have it"
	case new.Boots == 0 && (old.Boots > 0 || old.Bad > 0):
		return Missing, "new " + bad(new)
	case new.Boots == 0:
		return Skipped, new.Reason
	case !old.seen():
		return New, "old does not have it"
	case old.Boots == 0 && old.Bad == 0:
		return New, "old " + bad(old)
	case old.Boots == 0:
		return Failed, "old " + bad(old)
	}
	return "", ""
}

// doubts are the guests' own, with the side where only one has them.
func doubts(old, new []observation) []string {
	of := func(obs []observation) (out []string) {
		for _, o := range obs {
			for _, d := range o.res.Note.Doubts {
				if !slices.Contains(out, d) && len(out) < 3 {
					out = append(out, d)
				}
			}
		}
		return out
	}
	var out []string
	inNew := of(new)
	for _, d := range of(old) {
		if i := slices.Index(inNew, d); i >= 0 {
			inNew = slices.Delete(inNew, i, i+1)
		} else {
			d = "old: " + d
		}
		out = append(out, d)
	}
	for _, d := range inNew {
		out = append(out, "new: "+d)
	}
	return out
}

// judgement chooses the rule and fills in the effect.
func (j *judge) judgement(f *Finding, op *opBoots, rk *Ranker) {
	f.Judged = ByRank
	if slices.ContainsFunc(slices.Concat(f.old, f.new), func(r reading) bool { return r.ok && r.value <= 0 }) {
		f.Linear, f.Judged = true, ByRaw
	}
	sign := 1.0
	if f.Better == catalogue.Higher {
		sign = -1
	}
	delta := sign * (f.New.Median - f.Old.Median)
	switch {
	case !f.Primary:
	case isCount(f.Unit) && constant(op.old, f.Unit) && constant(op.new, f.Unit):
		f.Judged, f.Linear = ByCount, true
		f.Shift, f.Lo, f.Hi = delta, delta, delta
		f.Smallest = f.Budget
	case isTime(f.Unit) && delta != 0 && math.Abs(delta) <= tick(op, f.Unit):
		f.Judged = ByClock
	}
	switch {
	case f.Judged == ByCount:
		return
	case !f.Primary && f.Linear:
		f.Shift = delta
		return
	case !f.Primary:
		f.Shift = sign * math.Log(f.New.Median/f.Old.Median)
		return
	}
	f.strata = j.split(f)
	f.Shift, f.Lo, f.Hi = rk.Interval(f.strata, 0.95)
	if f.Judged == ByClock {
		f.Smallest = math.Max(f.Budget, math.Abs(delta/f.Old.Median))
		return
	}
	budget := f.Budget
	if f.Linear {
		budget *= math.Abs(f.Old.Median)
	}
	f.item = &Item{Budget: budget, Group: string(f.Category), Linear: f.Linear}
}

// allRounds returns the rounds of all boots that count.
func allRounds(obs []observation, unit string) []float64 {
	var out []float64
	for _, o := range obs {
		if _, ok := value(o.res, unit); ok {
			out = append(out, rounds(o.res, unit)...)
		}
	}
	return out
}

// split sorts a metric's values by stage and side.
func (j *judge) split(f *Finding) []Stratum {
	out := make([]Stratum, max(1, len(j.stages)))
	fill := func(read []reading, to func(*Stratum) *[]float64) {
		for _, r := range read {
			if !r.ok {
				continue
			}
			at, v := 0, r.value
			if len(j.stages) > 1 {
				at = slices.Index(j.stages, stageOf(*r.boot))
			}
			if !f.Linear {
				v = math.Log(v)
			}
			if f.Better == catalogue.Higher {
				v = -v
			}
			side := to(&out[at])
			*side = append(*side, v)
		}
	}
	fill(f.old, func(s *Stratum) *[]float64 { return &s.Old })
	fill(f.new, func(s *Stratum) *[]float64 { return &s.New })
	return out
}
