package compare

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// Options of a comparison. The zero value is the default rule and policy.
type Options struct {
	Rule   Rule    // zero: DefaultRule
	Policy *Policy // nil: the defaults
	// Vary names what differs on purpose, as Difference.What has it: a new
	// guest image is "image". Such a difference is a doubt.
	Vary []string
	// Force compares what is not comparable, and says so in every finding.
	Force bool
	// NoMore says that there will be no further boots, so that 5 to 7 a side
	// are gated on by MaxT.
	NoMore bool
	// Now is the day for mutes that expire; zero: none has expired.
	Now time.Time
}

// A Comparison is what two sides say about each other.
type Comparison struct {
	Old, New           string // the sides' names
	OldBoots, NewBoots int
	Order              Order
	Differences        []Difference // between the sides as a whole
	Doubts             []string     // about the whole, beside the differences
	Notes              []string     // what could not be read
	Findings           []*Finding   // in report order
	Ops                int          // metrics judged together, the M of the correction
	Method             Method
	// Looks are the looks done and planned. They are equal where no more
	// boots are planned.
	Looked, Looks int
	// Power is nil or an *UnderpoweredError.
	Power   error
	Machine *Movement // nil unless most ops moved together
	NoMore  bool
	Forced  bool
	Policy  *Policy
	Expired []Mute

	alpha float64 // the level of the metrics together
}

// A Method is how p-values were corrected for judging many metrics.
type Method string

const (
	Holms Method = "Holm"
	MaxTs Method = "Westfall-Young maxT"
)

// ErrNoBoots is returned for a side without a boot.
var ErrNoBoots = errors.New("a side has no boot")

// Judge compares two sides. Trouble with the data is in the Comparison: an
// error means that there is nothing to compare. The result depends on what
// the boots say only, not on the order in which they are given.
//
// Boots that carry the host's boot lines are judged stage by stage, as
// measured: an op that a look settled stays settled. Comparison.Open says
// what the next stage has to measure.
func Judge(old, new *Side, opt Options) (*Comparison, error) {
	if len(old.Boots) == 0 || len(new.Boots) == 0 {
		return nil, ErrNoBoots
	}
	if opt.Rule.Looks == nil {
		opt.Rule = DefaultRule()
	}
	if opt.Policy == nil {
		opt.Policy = DefaultPolicy()
	}
	opt.Rule.Margin = math.Log1p(opt.Policy.Margin)
	j := &judge{opt: opt, rk: NewRanker(), old: sorted(old.Boots), new: sorted(new.Boots)}
	j.c = &Comparison{
		Old: old.Name, New: new.Name, OldBoots: len(j.old), NewBoots: len(j.new),
		Order: orderOf(j.old, j.new), Differences: differences(j.old, j.new, opt.Vary),
		Notes: slices.Concat(old.Notes, new.Notes), Policy: opt.Policy, NoMore: opt.NoMore,
	}
	j.c.Forced = opt.Force && j.c.Refused() != nil
	j.stages = stageNumbers(slices.Concat(j.old, j.new))
	j.labels()
	j.findings()
	j.plan()
	j.looks()
	for _, f := range j.c.Findings {
		j.verdict(f)
	}
	j.c.Machine = movement(j.c.Findings)
	if j.c.Machine != nil && j.c.Order.Interleaving != Interleaved {
		acquit(j.c.Findings)
	}
	for _, m := range opt.Policy.Mutes {
		if m.expired(opt.Now) {
			j.c.Expired = append(j.c.Expired, m)
		}
	}
	return j.c, nil
}

// judge is a comparison under way.
type judge struct {
	opt      Options
	rk       *Ranker
	old, new []Boot
	c        *Comparison
	stages   []int // the numbers of the stages, ascending
	rule     Rule  // with the looks of these data
	adaptive bool  // stages decide about further stages
}

// Refused returns why the sides are not comparable at all, or nil.
func (c *Comparison) Refused() []Difference {
	return refusing(c.Differences)
}

// refusing returns the differences that leave nothing to compare, or nil.
func refusing(ds []Difference) (out []Difference) {
	for _, d := range ds {
		if d.Weight == Refuses {
			out = append(out, d)
		}
	}
	return out
}

// Judged returns the findings that count: one a primary metric.
func (c *Comparison) Judged() []*Finding {
	return slices.DeleteFunc(slices.Clone(c.Findings), func(f *Finding) bool { return !f.Primary })
}

// Open returns the categories with an op that needs further boots, in report
// order; the whole category is to be measured. It is empty when every op is
// settled or the last look was taken.
func (c *Comparison) Open() []catalogue.Category {
	var out []catalogue.Category
	for _, f := range c.Findings {
		if f.Open && !slices.Contains(out, f.Category) {
			out = append(out, f.Category)
		}
	}
	return out
}

// Settled reports whether no further boots are needed for the gate's answer.
func (c *Comparison) Settled() bool { return len(c.Open()) == 0 }

// labels states a doubt where boots were recorded for the other side.
func (j *judge) labels() {
	for _, side := range []struct {
		name, want string
		boots      []Boot
	}{{j.c.Old, "base", j.old}, {j.c.New, "cand", j.new}} {
		for _, b := range side.boots {
			if b.Boot != nil && b.Boot.Side != "" && b.Boot.Side != side.want {
				j.c.Doubts = append(j.c.Doubts, side.name+" has boots that were recorded as \""+b.Boot.Side+"\": are old and new swapped?")
				break
			}
		}
	}
}

// stageNumbers are the stages that all boots name; none where one does not.
func stageNumbers(boots []Boot) []int {
	var out []int
	for _, b := range boots {
		if b.Boot == nil {
			return nil
		}
		out = append(out, stageOf(b))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// plan settles which stages there are and which looks they belong to.
func (j *judge) plan() {
	sizes := j.sizes()
	looks := j.opt.Rule.Looks
	planned := j.opt.Rule.Stages()
	j.adaptive = len(sizes) > 1 || sizes[0] == looks[0] && len(looks) > 1 && j.c.Order.Interleaving == Interleaved
	j.rule = Rule{Alpha: j.opt.Rule.Alpha, Margin: j.opt.Rule.Margin}
	stages := sizes
	if j.adaptive {
		if len(sizes) < len(planned) {
			stages = append(slices.Clone(sizes), planned[len(sizes):]...)
		}
		j.rule.Cuts = j.opt.Rule.Cuts
	}
	total := 0
	for _, k := range stages {
		total += k
		j.rule.Looks = append(j.rule.Looks, total)
	}
	j.c.Looked, j.c.Looks = len(sizes), len(stages)
	j.c.Ops = len(j.tested())
	if j.c.Ops > 0 {
		j.c.Power = j.rule.CanFire(j.rk, j.c.Ops)
	}
	if n := max(j.c.OldBoots, j.c.NewBoots); len(sizes) == 1 && sizes[0] >= minMaxT && n <= maxMaxT {
		j.c.Method = MaxTs
		j.rule.Alpha = FewLevel(j.rule.Alpha, sizes[0])
	} else {
		j.c.Method = Holms
	}
	j.c.alpha = j.rule.Alpha
}

// sizes returns the boots a side of every stage, the fewer of both sides.
func (j *judge) sizes() []int {
	if len(j.stages) == 0 {
		return []int{min(len(j.old), len(j.new))}
	}
	out := make([]int, len(j.stages))
	for i, stage := range j.stages {
		in := func(boots []Boot) (n int) {
			for _, b := range boots {
				if stageOf(b) == stage {
					n++
				}
			}
			return n
		}
		out[i] = min(in(j.old), in(j.new))
	}
	return out
}

// tested returns the findings that the rank test judges together.
func (j *judge) tested() []*Finding {
	return slices.DeleteFunc(j.c.Judged(), func(f *Finding) bool { return f.Verdict != "" || f.item == nil || f.Mute != nil })
}

// looks replays the looks over the recorded stages.
func (j *judge) looks() {
	judged := j.tested()
	ran := j.ran()
	for look := range max(1, len(j.stages)) {
		for _, f := range judged {
			if !f.item.Closed {
				f.gaps[0] += ran[f.Category][look][0] - len(f.strata[look].Old)
				f.gaps[1] += ran[f.Category][look][1] - len(f.strata[look].New)
			}
		}
		j.add(judged, look)
		if j.adaptive {
			j.settle(judged, look)
		}
	}
	items := make([]Item, len(judged))
	for i, f := range judged {
		items[i] = *f.item
	}
	worse, better := j.adjusted(items)
	for i, f := range judged {
		it := &items[i]
		f.P, f.Adjusted = j.rule.p(j.rk, it), worse[i]
		f.worse = worse[i] <= j.rule.Alpha && it.overBudget()
		f.better = better[i] <= j.rule.Alpha && -f.Shift > it.limit()
		f.Open = j.adaptive && !it.Closed && j.c.Looked < j.c.Looks && !j.opt.NoMore
		j.smallest(f)
		j.thin(f)
	}
	if j.c.Method == MaxTs {
		j.smallestMaxT(judged)
	}
}

// add gives the findings measured in a stage their strata. Boots share what
// is common to them only where all of them have a value.
func (j *judge) add(judged []*Finding, look int) {
	var whole []*Item
	var strata []Stratum
	for _, f := range judged {
		s := f.strata[look]
		if len(s.Old) == 0 || len(s.New) == 0 {
			continue
		}
		if len(strata) > 0 && (len(s.Old) != len(strata[0].Old) || len(s.New) != len(strata[0].New)) || f.hasGaps() {
			f.item.Strata = append(f.item.Strata, s)
			f.item.Tested = append(f.item.Tested, s)
			continue
		}
		whole, strata = append(whole, f.item), append(strata, s)
	}
	Add(whole, strata)
}

// hasGaps reports whether boots that were to measure the op have no value.
func (f *Finding) hasGaps() bool {
	return f.Old.Bad+f.Old.Skipped+f.New.Bad+f.New.Skipped > 0
}

// smallest says what slowdown the boots of a finding show: at the level that
// the largest of all p-values is held to, which every correction allows.
func (j *judge) smallest(f *Finding) {
	var sizes [][2]int
	for _, s := range f.item.Strata {
		sizes = append(sizes, [2]int{len(s.Old), len(s.New)})
	}
	sd, level := Scatter(f.item.Strata), j.rule.Alpha/float64(len(j.tested()))
	if f.Linear {
		sd /= math.Abs(f.Old.Median)
	}
	if !math.IsNaN(sd) && !math.IsInf(sd, 0) {
		f.Smallest = Smallest(sd, sizes, level, f.Budget)
	}
}

// ran counts the boots of the sides that measured a category, by stage.
func (j *judge) ran() map[catalogue.Category][][2]int {
	out := make(map[catalogue.Category][][2]int)
	for side, boots := range [][]Boot{j.old, j.new} {
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

// thin says of an op that many boots did not measure that the others could
// not convict it. A plan tolerates bad boots, and missing ones among these.
func (j *judge) thin(f *Finding) {
	for side, s := range []Sample{f.Old, f.New} {
		if n := f.gaps[side] - s.Bad - s.Skipped; n > 0 {
			f.Doubts = append(f.Doubts, [2]string{"old", "new"}[side]+": not in "+plural(n, "boot")+" that measured its category")
		}
	}
	if f.item.Closed || f.worse || f.Hi <= f.item.limit() || max(f.gaps[0], f.gaps[1]) <= BadBoots {
		return // settled, convicted, shown not slower, or like the others
	}
	if worstP(j.rk, f.item.sizes()) <= j.rule.Alpha/float64(len(j.tested())) {
		return
	}
	of := func(s Sample, gaps int) string { return fmt.Sprintf("%d of %d", s.Boots, s.Boots+gaps) }
	f.Thin = fmt.Sprintf("values in %s old and %s new boots, too few to convict it", of(f.Old, f.gaps[0]), of(f.New, f.gaps[1]))
	if reason := cmp.Or(f.New.Reason, f.Old.Reason); reason != "" {
		f.Thin += ": " + reason
	}
}

func (j *judge) settle(judged []*Finding, look int) {
	items := make([]Item, len(judged))
	for i, f := range judged {
		items[i] = *f.item
	}
	j.rule.Settle(j.rk, look, items)
	for i, f := range judged {
		f.item.Closed = items[i].Closed
	}
}

// adjusted returns the corrected p-values of "slower" and of "faster".
func (j *judge) adjusted(items []Item) (worse, better []float64) {
	turned := make([]Item, len(items))
	for i, it := range items {
		turned[i] = it
		turned[i].Closed = false
		turned[i].Tested = mirror(it.Tested)
	}
	if j.c.Method == Holms {
		return j.rule.Adjusted(j.rk, items), j.rule.Adjusted(j.rk, turned)
	}
	return maxTOf(items), maxTOf(turned)
}

// verdict says in one word what the data say.
func (j *judge) verdict(f *Finding) {
	if f.Verdict != "" || !f.Primary {
		return
	}
	switch f.Judged {
	case ByClock:
		f.Verdict, f.Reason = Same, "the change is within one tick of the clock"
		return
	case ByCount:
		j.countVerdict(f)
		return
	}
	limit := math.Log1p(f.Budget)
	if f.item != nil {
		limit = f.item.limit()
	}
	switch {
	case f.worse:
		f.Verdict = Slower
	case f.better:
		f.Verdict = Faster
	case f.Lo >= -limit && f.Hi <= limit:
		f.Verdict = Same
	default:
		f.Verdict, f.Reason = Unsure, j.unsure(f)
	}
}

// acquit takes back what was found slower or faster where all of it moved and
// nothing says that the machine did not.
func acquit(findings []*Finding) {
	for _, f := range findings {
		if f.Verdict == Slower || f.Verdict == Faster {
			f.Verdict, f.Reason = Unsure, "moved with everything else"
		}
	}
}

// countVerdict compares two counts that never vary.
func (j *judge) countVerdict(f *Finding) {
	limit := f.Budget * math.Abs(f.Old.Median)
	switch {
	case f.Shift > limit:
		f.Verdict, f.worse = Slower, true
	case f.Shift < -limit:
		f.Verdict, f.better = Faster, true
	default:
		f.Verdict = Same
	}
}

func (j *judge) unsure(f *Finding) string {
	switch {
	case f.Thin != "":
		return f.Thin
	case f.Open:
		return "may be slower; needs further boots"
	case math.IsInf(f.Lo, 0) || math.IsInf(f.Hi, 0):
		return "too few boots for an interval"
	}
	return ""
}
