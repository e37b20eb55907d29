package compare

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
	"golang.org/x/perf/benchmath"
)

// opBoots is what all boots say of one op.
type opBoots struct {
	key        string
	category   catalogue.Category
	base, cand []observation
}

// collect sorts what the boots say by op, in report order.
func collect(base, cand []Boot) []*opBoots {
	byKey := make(map[string]*opBoots)
	var ops []*opBoots
	for side, boots := range [][]Boot{base, cand} {
		for i := range boots {
			for _, res := range boots[i].Ops {
				key := catalogue.Key(res.Op.Name)
				op := byKey[key]
				if op == nil {
					op = &opBoots{key: key, category: res.Op.Category}
					byKey[key] = op
					ops = append(ops, op)
				}
				obs := observation{&boots[i], res}
				if side == 0 {
					op.base = append(op.base, obs)
				} else {
					op.cand = append(op.cand, obs)
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
	for _, op := range collect(j.base, j.cand) {
		if !j.wanted(op.key, op.category) {
			continue
		}
		diffs := opDifferences(op.base, op.cand)
		primary := op.primary()
		for _, unit := range op.units(primary) {
			f := j.finding(op, unit)
			f.Primary = slices.Contains(primary, unit)
			f.oneOfMany = len(primary) > 1
			f.Duplicate = !f.Primary && catalogue.UnitOf(unit).Derived
			f.base, f.cand = readings(op.base, unit), readings(op.cand, unit)
			f.Base, f.Cand = sample(op.base, f.base, unit), sample(op.cand, f.cand, unit)
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
	all := slices.Concat(op.base, op.cand)
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
	for _, o := range slices.Concat(op.base, op.cand) {
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
		Op: op.key, Category: op.category, Unit: unit, Better: op.better(unit),
		Shift: math.NaN(), Lo: math.NaN(), Hi: math.NaN(), P: math.NaN(), Adjusted: math.NaN(), Smallest: math.Inf(1),
	}
	f.Budget = j.opt.Policy.budget(f)
	f.Mute = j.opt.Policy.mute(f, j.opt.Now)
	return f
}

// better returns which way of a unit is better by the word of the boots, "" if
// nobody says or if they contradict each other.
func (op *opBoots) better(unit string) catalogue.Direction {
	var said catalogue.Direction
	for _, o := range slices.Concat(op.base, op.cand) {
		switch better := o.boot.Unit(o.res, unit).Better; {
		case better == "" || better == said:
		case said == "":
			said = better
		default:
			return ""
		}
	}
	return said
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
		case unsupported(o.res, unit):
			s.Skipped++
			s.Few++
		case o.res.Status == record.Skipped:
			s.Skipped++
		default:
			s.Bad++
		}
		status, reason := o.res.Status, o.res.Reason
		switch {
		case unsupported(o.res, unit):
			status, reason = record.Skipped, "too few requests for "+unit
		case status == record.OK:
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

// unsupported reports whether an operation was measured and has no value in a
// unit that it need not have: a percentile of load needs enough requests.
func unsupported(res *convert.Result, unit string) bool {
	return res.Status == record.OK && len(res.Op.Units) > 0 && !slices.Contains(res.Op.Units, unit) && res.Values[unit] == nil
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
		f.Doubts = append(f.Doubts, doubts(op.base, op.cand)...)
	}
	refused := refusing(diffs)
	if f.Verdict, f.Reason = statusVerdict(f.Base, f.Cand); f.Verdict != "" {
		if f.Verdict == Failed && f.Cand.Bad == 0 && len(refused) > 0 && !j.opt.Force {
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
	for _, s := range []Sample{f.Base, f.Cand} {
		if s.Bad > 0 {
			f.Doubts = append(f.Doubts, termtext.Plural(s.Bad, "boot")+" of "+termtext.Plural(s.Bad+s.Boots, "boot")+" without a value: "+s.Reason)
		} else if s.Skipped > 0 {
			f.Doubts = append(f.Doubts, "skipped in "+termtext.Plural(s.Skipped, "boot")+" of "+termtext.Plural(s.Skipped+s.Boots, "boot")+": "+s.Reason)
		}
	}
	j.judgement(f, op, rk)
}

// statusVerdict decides by how the op ended on both sides; "" is by values.
func statusVerdict(base, cand Sample) (Verdict, string) {
	bad := func(s Sample) string { return string(s.Status) + ": " + s.Reason }
	few := func(s Sample) bool { return s.Few > 0 && s.Boots == 0 && s.Bad == 0 }
	had := base.Boots+base.Bad > 0 // what old only skipped, new cannot lose
	switch {
	case few(cand):
		return Skipped, "new: " + cand.Reason
	case few(base) && cand.Bad == 0:
		return Skipped, "old: " + base.Reason
	case cand.Bad > 0 && base.Boots == 0 && base.Bad > 0:
		return Failed, "on both sides; new " + bad(cand)
	case cand.Bad > 0 && cand.Status == record.Missing && cand.Boots == 0 && had:
		return Missing, "new " + bad(cand)
	case cand.Bad > 0:
		return Failed, "new " + bad(cand)
	case !cand.seen() && !had:
		return Skipped, "old: " + base.Reason + "; new does not have it"
	case !cand.seen():
		return Missing, "new does not have it"
	case cand.Boots == 0 && had:
		return Missing, "new " + bad(cand)
	case cand.Boots == 0:
		return Skipped, cand.Reason
	case !base.seen():
		return New, "old does not have it"
	case base.Boots == 0 && base.Bad == 0:
		return New, "old " + bad(base)
	case base.Boots == 0:
		return Failed, "old " + bad(base)
	}
	return "", ""
}

// doubts are the guests' own, with the side where only one has them.
func doubts(base, cand []observation) []string {
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
	inNew := of(cand)
	for _, d := range of(base) {
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
	if slices.ContainsFunc(slices.Concat(f.base, f.cand), func(r reading) bool { return r.ok && r.value <= 0 }) {
		f.Linear, f.Judged = true, ByRaw
	}
	sign := 1.0
	if f.Better == catalogue.Higher {
		sign = -1
	}
	delta := sign * (f.Cand.Median - f.Base.Median)
	switch {
	case !f.Primary:
	case catalogue.UnitOf(f.Unit).Kind == catalogue.Count && constant(op.base, f.Unit) && constant(op.cand, f.Unit):
		f.Judged, f.Linear = ByCount, true
		f.Shift, f.Lo, f.Hi = delta, delta, delta
		f.Smallest = f.Budget
	case catalogue.UnitOf(f.Unit).Kind.IsTime() && delta != 0 && math.Abs(delta) <= tick(op, f.Unit):
		f.Judged = ByClock
	}
	switch {
	case f.Judged == ByCount:
		return
	case !f.Primary && f.Linear:
		f.Shift = delta
		return
	case !f.Primary:
		f.Shift = sign * math.Log(f.Cand.Median/f.Base.Median)
		return
	}
	f.strata = j.split(f)
	f.Shift, f.Lo, f.Hi = rk.Interval(measured(f.strata), 0.95)
	if f.Judged == ByClock {
		f.Smallest = math.Max(f.Budget, math.Abs(delta/f.Base.Median))
		return
	}
	budget := f.Budget
	if f.Linear {
		budget *= math.Abs(f.Base.Median)
	}
	f.op = &Op{Budget: budget, Group: string(f.Category), Linear: f.Linear}
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

// split sorts a metric's values by stage and side: boot i of a side and stage
// at index i, NaN where it has none.
func (j *judge) split(f *Finding) []Stratum {
	out := make([]Stratum, max(1, len(j.stages)))
	f.blockNames = j.blockNames
	for i := range out {
		out[i].Blocks = j.blocks[i]
	}
	fill := func(boots []Boot, read []reading, to func(*Stratum) *[]float64) {
		values := make(map[*Boot]float64, len(read))
		for _, r := range read {
			if r.ok {
				values[r.boot] = f.oriented(r.value)
			}
		}
		for i := range boots {
			at := 0
			if len(j.stages) > 1 {
				at = slices.Index(j.stages, stageOf(boots[i]))
			}
			v, ok := values[&boots[i]]
			if !ok {
				v = math.NaN()
			}
			side := to(&out[at])
			*side = append(*side, v)
		}
	}
	fill(j.base, f.base, func(s *Stratum) *[]float64 { return &s.Base })
	fill(j.cand, f.cand, func(s *Stratum) *[]float64 { return &s.Cand })
	return out
}

// oriented returns a value so that larger is worse, as a logarithm where the
// metric allows.
func (f *Finding) oriented(v float64) float64 {
	if !f.Linear {
		v = math.Log(v)
	}
	if f.Better == catalogue.Higher {
		v = -v
	}
	return v
}

// measured are aligned strata without the boots that have no value.
func measured(strata []Stratum) []Stratum {
	out := make([]Stratum, len(strata))
	for i, s := range strata {
		out[i] = s.aligned().present()
	}
	return out
}
