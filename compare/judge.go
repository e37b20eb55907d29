package compare

import (
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// Options of a comparison. The zero value is the default plan and policy.
type Options struct {
	Plan   Plan    // zero: DefaultPlan
	Policy *Policy // nil: the defaults
	// Vary names what differs on purpose, as Difference.What has it: a new
	// guest image is "image". Such a difference is a doubt.
	Vary []string
	// Ops are patterns of the ops to compare, as MatchOp has them; none: all.
	Ops []string
	// Force compares what is not comparable, and says so in every finding.
	Force bool
	// NoMore says that there will be no further boots, so that 5 to 7 a side
	// are gated on by MaxT.
	NoMore bool
	// Now is the day for mutes that expire; zero: none has expired.
	Now time.Time
	// Trial is the command that measures both builds in turn, Resume the one
	// that goes on with the trial that these boots are of, and Mended the one
	// that measures FIXED instead of the new build, without categories; "" is
	// unknown.
	Trial, Resume, Mended string
	// Repeats are the pairs of boots that were measured again.
	Repeats []Repeat
}

// A Comparison is what was found of two sides.
type Comparison struct {
	Base, Cand           string // the sides' names
	BaseBoots, CandBoots int
	Machines             int // that the boots ran on; 1 where they do not say
	Order                Order
	Differences          []Difference // between the sides as a whole
	Doubts               []string     // about the whole, beside the differences
	Notes                []string     // what could not be read
	Findings             []*Finding   // in report order
	Ops                  int          // metrics judged together, the M of the correction
	Method               Method
	// Looks are the looks done and planned. They are equal where no more
	// boots are planned.
	Looked, Looks int
	// Power is nil or an *UnderpoweredError.
	Power error
	// Movements are the groups of ops that changed as a whole, tested as the
	// ops are: nil where the order of the boots is not proven to alternate.
	Movements []Movement
	// Common is what most ops share where the order of the boots does not tell
	// the build from the machine; nil where they share nothing.
	Common  *CommonShift
	Stopped bool // a look before the last found a regression
	// Failures are runs of the new side that failed without a metric that
	// says so.
	Failures []string
	NoMore   bool
	Forced   bool
	Policy   *Policy
	Expired  []Mute

	Repeats []Repeat // pairs of boots that were measured again

	trial, resume, mended string // commands, as Options has them

	alpha  float64              // the level of the metrics together
	needed []catalogue.Category // by the next stage
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
func Judge(base, cand *Side, opt Options) (*Comparison, error) {
	if len(base.Boots) == 0 || len(cand.Boots) == 0 {
		return nil, ErrNoBoots
	}
	if opt.Plan.Looks == nil {
		opt.Plan = DefaultPlan()
	}
	if opt.Policy == nil {
		opt.Policy = DefaultPolicy()
	}
	opt.Plan.Margin = math.Log1p(opt.Policy.Margin)
	j := &judge{opt: opt, rk: NewRanker(), base: sorted(base.Boots), cand: sorted(cand.Boots)}
	j.c = &Comparison{
		Base: base.Name, Cand: cand.Name, BaseBoots: len(j.base), CandBoots: len(j.cand),
		Order: orderOf(j.base, j.cand),
		Notes: slices.Concat(base.Notes, cand.Notes), Policy: opt.Policy, NoMore: opt.NoMore, Repeats: opt.Repeats,
		trial: opt.Trial, resume: opt.Resume, mended: opt.Mended,
	}
	j.machines = machinesOf(j.base, j.cand)
	j.c.Machines = max(1, len(j.machines))
	j.c.Differences = differencesOn(j.machines, j.base, j.cand, opt.Vary)
	j.c.Forced = opt.Force && j.c.Refused() != nil
	j.stages = stageNumbers(slices.Concat(j.base, j.cand))
	j.findBlocks()
	j.labels()
	j.failures()
	j.findings()
	j.settlePlan()
	j.replay()
	for _, f := range j.c.Findings {
		j.verdict(f)
	}
	if j.c.Order.Interleaving != Interleaved {
		if j.c.Common = commonShift(j.c.Findings); j.c.Common != nil {
			withdraw(j.c.Findings)
		}
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
	opt        Options
	rk         *Ranker
	base, cand []Boot
	c          *Comparison
	stages     []int      // the numbers of the stages, ascending
	blocks     [][][2]int // of each stage, the boots of the sides on each machine
	blockNames [][]string // of each stage, the machines of its blocks
	machines   []string   // by name; nil where all boots are on one
	plan       Plan       // with the looks of these data
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
func (c *Comparison) Open() []catalogue.Category { return c.needed }

// Settled reports whether no further boots are needed for the gate's answer.
func (c *Comparison) Settled() bool { return len(c.Open()) == 0 }

// MatchOp reports whether an op is meant by a pattern: its key, its category,
// or either with * for any text and ? for any character. Unlike path.Match, *
// crosses a slash: snapshot/* is every op of the category.
func MatchOp(pattern, key string, c catalogue.Category) bool {
	expr := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
	re := regexp.MustCompile(`^(` + expr + `)$`) // quoted, so it always compiles
	return re.MatchString(key) || re.MatchString(string(c))
}

// wanted reports whether the options ask for an op.
func (j *judge) wanted(key string, c catalogue.Category) bool {
	return len(j.opt.Ops) == 0 || slices.ContainsFunc(j.opt.Ops, func(p string) bool { return MatchOp(p, key, c) })
}

// failures are what the boots of the new side say of their runs that no
// metric shows: a failed build, a failed test, a race.
func (j *judge) failures() {
	for _, b := range j.cand {
		if len(b.Failures) > 0 && !slices.ContainsFunc(b.Ops, func(r *convert.Result) bool { return r.Status == record.Failed || r.Status == record.Invalid }) {
			j.c.Failures = append(j.c.Failures, b.Name+": the run failed: "+b.Failures[0].String())
		}
	}
	for _, b := range j.base {
		if len(b.Failures) > 0 {
			j.c.Doubts = append(j.c.Doubts, b.Name+": the run of the old side failed: "+b.Failures[0].String())
			break
		}
	}
}

// labels states a doubt where boots were recorded for the other side.
func (j *judge) labels() {
	for _, side := range []struct {
		name, want string
		boots      []Boot
	}{{j.c.Base, "base", j.base}, {j.c.Cand, "cand", j.cand}} {
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

// settlePlan settles which stages there are and which looks they belong to.
func (j *judge) settlePlan() {
	sizes := j.sizes()
	asked := j.opt.Plan
	j.plan = Plan{Machines: len(j.machines), Alpha: asked.Alpha, Margin: asked.Margin, Groups: asked.Groups, Budget: j.opt.Policy.Budget, Final: asked.Final}
	stages := sizes
	if len(sizes) > 1 || sizes[0] == asked.Looks[0] && len(asked.Looks) > 1 && j.c.Order.Interleaving == Interleaved {
		if planned := asked.Stages(); len(sizes) < len(planned) {
			stages = append(slices.Clone(sizes), planned[len(sizes):]...)
		}
		j.plan.Cuts, j.plan.Early = asked.Cuts, asked.Early
	}
	if len(stages) == 1 {
		j.plan.Final = asked.atOnce()
	}
	total := 0
	for _, k := range stages {
		total += k
		j.plan.Looks = append(j.plan.Looks, total)
	}
	j.c.Looked, j.c.Looks = len(sizes), len(stages)
	j.c.Ops = len(j.tested())
	if j.c.Ops > 0 {
		j.c.Power = j.plan.CanReject(j.rk, j.c.Ops)
	}
	j.c.Method = Holms
	n := max(j.c.BaseBoots, j.c.CandBoots)
	if len(j.machines) == 0 && len(sizes) == 1 && (len(stages) == 1 || j.opt.NoMore) && sizes[0] >= MinFewBoots && n <= MaxFewBoots {
		j.c.Method, j.plan.Few, j.plan.Final = MaxTs, true, 0
		j.plan.Cuts, j.plan.Early = nil, nil // there is no other look
		j.plan.Alpha = FewLevel(sizes[0]) * asked.Alpha / DefaultPlan().Alpha
	}
	j.c.alpha = j.plan.Alpha
}

// sizes returns the boots a side of every stage, the fewer of both sides.
func (j *judge) sizes() []int {
	if len(j.stages) == 0 {
		return []int{min(len(j.base), len(j.cand))}
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
		out[i] = min(in(j.base), in(j.cand))
	}
	return out
}

// verdict says in one word what the data say.
func (j *judge) verdict(f *Finding) {
	if f.Verdict != "" || !f.Primary {
		return
	}
	switch f.Judged {
	case ByClock:
		f.Verdict, f.Reason = Same, "the change is within one tick of the clock"
		if change, _, _, ok := f.Change(); ok && math.Abs(change) > f.Budget {
			f.Verdict, f.Reason = Unsure, "the change is one tick of the clock, which is too coarse to tell"
		}
		return
	case ByCount:
		j.countVerdict(f)
		return
	}
	limit := math.Log1p(f.Budget)
	if f.op != nil {
		limit = f.op.limit()
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

// withdraw takes back what was found slower or faster where all of it moved and
// nothing says that the machine did not.
func withdraw(findings []*Finding) {
	for _, f := range findings {
		if f.Verdict == Slower || f.Verdict == Faster {
			f.Verdict, f.Reason = Unsure, "moved with everything else"
		}
	}
}

// countVerdict compares two counts that never vary.
func (j *judge) countVerdict(f *Finding) {
	limit := f.Budget * math.Abs(f.Base.Median)
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
	case f.TooFewBoots != "":
		return f.TooFewBoots
	case f.Open:
		return "may be slower; needs further boots"
	case j.c.Stopped && !f.replayed.Closed && f.Shift > f.op.limit():
		return "may be slower too: measuring stopped at what is named"
	case math.IsInf(f.Lo, 0) || math.IsInf(f.Hi, 0):
		return "too few boots for an interval"
	}
	return ""
}
