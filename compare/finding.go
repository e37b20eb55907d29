package compare

import (
	"math"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// A Verdict is what the data say about one metric.
type Verdict string

const (
	Faster        Verdict = "faster"         // better by more than the budget, and not by chance
	Slower        Verdict = "slower"         // worse by more than the budget, and not by chance
	Same          Verdict = "same"           // the whole interval is within the budget
	Unsure        Verdict = "unsure"         // the boots cannot tell
	Missing       Verdict = "missing"        // old has it and new does not
	New           Verdict = "new"            // new has it and old does not
	Failed        Verdict = "failed"         // it failed or is invalid on a side
	Skipped       Verdict = "skipped"        // it was skipped on both sides
	NotComparable Verdict = "not comparable" // the sides did different things
)

// An Outcome is what the gate decided on one metric.
type Outcome string

const (
	Regressed   Outcome = "regressed"
	Improved    Outcome = "improved"
	NotSlower   Outcome = "shown not slower" // the interval ends below the budget, and no few boots are slow
	NotSeen     Outcome = "not seen"         // no regression seen, none excluded
	Insensitive Outcome = "insensitive"      // only a slowdown over the limit would be seen
	Muted       Outcome = "muted"
	Broken      Outcome = "broken" // failed or vanished in the new build
	Undecided   Outcome = "cannot tell"
)

// A Judgement says by which rule a metric was judged.
type Judgement string

const (
	ByRank   Judgement = "rank test"
	ByRaw    Judgement = "rank test of the values themselves" // some are not positive
	ByCount  Judgement = "exact count"                        // the same in every round of a side
	ByClock  Judgement = "clock resolution"                   // the change is within one tick
	ByStatus Judgement = ""                                   // not judged by its values
)

// A Sample is the values of a metric on one side, summarised.
type Sample struct {
	Boots   int     // boots with a value
	Median  float64 // in the metric's unit, with its interval at 95 %
	Lo, Hi  float64 // infinite where the boots cannot bound it
	Bad     int     // boots in which it failed, was invalid or missing
	Skipped int     // boots in which it was skipped
	Few     int     // skipped ones that had too few requests for the metric
	Status  record.State
	Reason  string // of the first bad or skipped boot
}

// seen reports whether any boot was meant to measure it.
func (s Sample) seen() bool { return s.Boots+s.Bad+s.Skipped > 0 }

// A Finding is what is known about one metric of one op.
type Finding struct {
	Op       string // catalogue ID; of an unknown op its benchmark name
	Category catalogue.Category
	Unit     string
	Better   catalogue.Direction // "" where nobody says
	// Primary metrics are judged. The others are shown; of those a Duplicate
	// is the same measurement in another unit.
	Primary, Duplicate bool
	Base, Cand         Sample

	// Shift is the effect with its 95 % interval: the log of new to old,
	// turned so that larger is worse, or the plain difference where the
	// values are Linear. NaN without values on both sides. Of a metric that
	// is not primary it is that of the medians, without an interval.
	Shift, Lo, Hi float64
	Linear        bool
	// P is the one-sided p-value of "slower", Adjusted that over all metrics;
	// NaN where no test was made.
	P, Adjusted float64
	Judged      Judgement
	Budget      float64 // as a ratio
	// Smallest is the smallest slowdown, as a ratio, that these boots show
	// with 80 % power; +Inf where they show none.
	Smallest float64
	Verdict  Verdict
	Reason   string   // why, for people
	Doubts   []string // what belongs beside the numbers
	Forced   bool     // compared although it is not comparable
	Ungated  []string // why a gate may not judge it
	Open     bool     // needs further boots before the gate knows
	Mute     *Mute
	Outcome  Outcome // set by Gate

	// TooFewBoots says why the op's own boots, fewer than those of other ops,
	// could not show it slower however slow it is; "" where they could.
	TooFewBoots string

	oneOfMany bool // the op has several primary metrics

	op         *Op // nil: not judged by ranks
	replayed   OpResult
	base, cand []reading
	strata     []Stratum  // by stage, NaN where a boot has no value
	blockNames [][]string // of each stage, the machines of its blocks
	gaps       [2]int     // boots of old and new that measured its category and not the op
	worse      bool       // over budget and significant, in either direction
	better     bool
	tail       string // how many new boots are half as slow again; "" not several
}

// Key names the metric: the op, and the unit where the op has several
// primary metrics or the metric is not primary.
func (f *Finding) Key() string {
	if f.Primary && !f.oneOfMany {
		return f.Op
	}
	return f.Op + " " + f.Unit
}

// Change returns the change of the value itself as a ratio, +0.12 for 12 %
// more, with its interval: of a rate more is better, of a time it is worse.
// It reports false where there is no such ratio.
func (f *Finding) Change() (change, lo, hi float64, ok bool) {
	if math.IsNaN(f.Shift) || f.Linear && f.Base.Median == 0 {
		return 0, 0, 0, false
	}
	ratio := math.Expm1
	if f.Linear {
		ratio = func(x float64) float64 { return x / math.Abs(f.Base.Median) }
	}
	if f.Better == catalogue.Higher {
		return ratio(-f.Shift), ratio(-f.Hi), ratio(-f.Lo), true
	}
	return ratio(f.Shift), ratio(f.Lo), ratio(f.Hi), true
}
