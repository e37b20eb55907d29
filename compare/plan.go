package compare

import (
	"errors"
	"fmt"
	"slices"

	"github.com/capsem/capsem-bench/internal/termtext"
)

// Boots a side for which MaxT is made, when there can be no more: fewer cannot
// reach 1 %, more are better judged by Holm's correction.
const (
	MinFewBoots = 5
	MaxFewBoots = 7
)

// MaxBoots bounds a plan, a side: the exact test's tables grow with its cube.
const MaxBoots = 200

// DefaultRounds are the rounds of an op in a boot where a round is cheap beside
// a boot: with 3 a 10 % slowdown of a quiet op is found in 67 of 100 releases,
// with 10 in 93.
const DefaultRounds = 10

// BadBoots is how many slow base boots the last look has to tolerate.
const BadBoots = 2

// A Plan is the adaptive, interleaved gate: boots run in interleaved pairs, the
// op set is looked at after Looks boots a side, an op whose data show no
// slowdown is settled, and only open ops are measured further. A regression is
// an open op, slower by more than its budget, that a look rejects over all ops:
// a look before the last at its level of Early, the last one at Final.
//
// Settling early can only remove rejections, so looking does not inflate the
// error rate beyond the sum of the levels. The op settles at a look unless its
// Hodges-Lehmann shift is over the budget and its p-value is at most the cut
// of that look.
type Plan struct {
	Looks []int     // boots a side, cumulative: 6, 10, 16
	Cuts  []float64 // p-value cuts of all looks but the last; none settles no op
	// Early are the family-wise levels at which the looks before the last
	// stop for a regression.
	Early []float64
	// Final is the family-wise level of the same test at the last look. 0 tests
	// ranks with Holm's correction, at Alpha and Groups, instead.
	Final float64
	// Alpha is the family-wise level of rank tests of the ops with Holm's
	// correction, and Groups of groups of ops as a whole: by them a change for
	// the better is told, and how many boots a plan needs.
	Alpha, Groups float64
	Budget        float64 // the slowdown of a whole group to tolerate, as a ratio
	// Margin, a log ratio, tests for slowdowns beyond it. 0 tests for any.
	Margin float64
	// Machines is how many a stage is measured on at most, in shares of
	// MinBlockPairs pairs or more; 0 and 1 are one.
	Machines int
	// Few judges a single look of MinFewBoots to MaxFewBoots by MaxT.
	Few bool
}

// DefaultPlan returns looks after 6, 10 and 16 boots a side, whose levels add
// up to 0.37 %. The first is 1 of the 924 ways to choose 6 boots of 12. 50 ops
// need 16 boots, so that ranks can still reject when two base boots were slow;
// cuts and levels were chosen by simulation.
func DefaultPlan() Plan {
	return Plan{
		Looks: []int{6, 10, 16}, Cuts: []float64{0.08, 0.02},
		Early: []float64{0.0011, 0.0008}, Final: 0.0018, Alpha: 0.0058, Groups: 0.0006, Budget: DefaultBudget,
	}
}

// atOnce is the level of a plan of one look: what the looks of p spend together.
func (p Plan) atOnce() float64 {
	total := p.Final
	for _, level := range p.Early {
		total += level
	}
	return total
}

// PlanOf returns the default plan with other looks: boots a side, cumulative.
// With three looks the cuts are those of the default; with others they are
// those of its first look, and of its second from then on.
func PlanOf(looks []int) (Plan, error) {
	p := DefaultPlan()
	cuts, early := p.Cuts, p.Early
	p.Looks, p.Cuts, p.Early = looks, nil, nil
	if len(looks) == 1 {
		p.Final = DefaultPlan().atOnce()
	}
	if len(looks) == 0 {
		return Plan{}, errors.New("no look; want boots a side, such as 6,10,16")
	}
	for i, k := range looks {
		switch {
		case k < 1 || k > MaxBoots:
			return Plan{}, fmt.Errorf("%d boots a side: want 1 to %d", k, MaxBoots)
		case i > 0 && k <= looks[i-1]:
			return Plan{}, fmt.Errorf("%d after %d: looks count all boots so far, such as 6,10,16", k, looks[i-1])
		}
		if i < len(looks)-1 {
			p.Cuts = append(p.Cuts, cuts[min(i, len(cuts)-1)])
			p.Early = append(p.Early, early[min(i, len(early)-1)])
		}
	}
	return p, nil
}

// PlanFew returns the plan of one look, after which there can be no more
// boots: MinFewBoots to MaxFewBoots a side.
func PlanFew(boots int) Plan {
	return Plan{Looks: []int{boots}, Alpha: FewLevel(boots), Few: true}
}

// IsFew reports whether looks are a single one that MaxT judges.
func IsFew(looks []int) bool {
	return len(looks) == 1 && looks[0] >= MinFewBoots && looks[0] <= MaxFewBoots
}

// Last returns the boots a side at the last look.
func (p Plan) Last() int { return p.Looks[len(p.Looks)-1] }

// Stages returns the boots a side that each stage adds: 6, 4, 6.
func (p Plan) Stages() []int { return StagesOf(p.Looks) }

// StagesOf returns the boots a side that each stage adds up to its look.
func StagesOf(looks []int) []int {
	out := slices.Clone(looks)
	for i := len(out) - 1; i > 0; i-- {
		out[i] -= looks[i-1]
	}
	return out
}

// An UnderpoweredError says that a plan could never block anything, however
// slow the new build is.
type UnderpoweredError struct {
	Ops, Boots, Need int // ops judged, boots a side planned and needed
}

func (e *UnderpoweredError) Error() string {
	slower := "an op"
	if e.Ops > 1 {
		slower = fmt.Sprintf("one of %d ops", e.Ops)
	}
	return fmt.Sprintf("underpowered: %s a side cannot show %s slower, however slow it is; it takes %d a side", termtext.Plural(e.Boots, "boot"), slower, e.Need)
}

// CanReject reports nil when the planned boots can reject the hypothesis for
// one of m ops even if BadBoots base boots are slower than everything else,
// and an *UnderpoweredError otherwise.
func (p Plan) CanReject(rk *Ranker, m int) error {
	if p.Machines > 1 {
		return p.canRejectBlocks(rk, m)
	}
	level := p.Alpha / float64(max(m, 1))
	if worstP(rk, p.cells()) <= level {
		return nil
	}
	need := p.Last()
	for worst := 1.0; worst > level; {
		need++
		worst = worstP(rk, [][2]int{{need, need}})
	}
	return &UnderpoweredError{Ops: m, Boots: p.Last(), Need: need}
}

// worstP is the largest p-value of fully separated data with BadBoots base
// boots above everything, over all ways to spread these over the stages.
func worstP(rk *Ranker, stages [][2]int) float64 {
	total := 0
	for _, s := range stages {
		total += s[0]
	}
	if total <= BadBoots {
		return 1 // every base boot may be a bad one
	}
	bad := make([]int, len(stages))
	worst := 0.0
	var place func(stage, left int)
	place = func(i, left int) {
		if i == len(stages)-1 {
			bad[i] = left
			if left <= stages[i][0] {
				worst = max(worst, rk.P(separated(stages, bad), 0))
			}
			return
		}
		for b := 0; b <= min(left, stages[i][0]); b++ {
			bad[i] = b
			place(i+1, left-b)
		}
	}
	place(0, BadBoots)
	return worst
}

// separated are values whose candidate boots are above all base ones but the
// bad.
func separated(stages [][2]int, bad []int) []Stratum {
	out := make([]Stratum, len(stages))
	for i, k := range stages {
		for j := range k[0] {
			base := float64(j)
			if j < bad[i] {
				base += 2 * float64(k[0]+k[1])
			}
			out[i].Base = append(out[i].Base, base)
		}
		for j := range k[1] {
			out[i].Cand = append(out[i].Cand, float64(k[0]+j))
		}
	}
	return out
}
