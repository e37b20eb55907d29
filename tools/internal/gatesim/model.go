// Package gatesim makes synthetic boots with known noise and known slowdowns,
// to measure how often a gate is wrong before anyone depends on it.
//
// The noise model is multiplicative. A boot shifts every op by an effect of
// which a share is common to all ops, a share is common to the op's group,
// and the rest is the op's own; rounds inside a boot scatter around it. Some
// boots and some rounds are outliers, and the machine may drift.
package gatesim

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/capsem/capsem-bench/compare"
)

// Rounds is the rounds of one boot, those that 'ab' plans by default; the first
// is a warm-up and not used.
const Rounds = compare.DefaultRounds

// phi is the memory of the common effect from one boot to the next.
const phi = 0.8

// A Class is a third of the ops by the noise between their boots.
type Class string

const (
	Quiet Class = "quiet" // CV 1 to 2.15 %
	Mid   Class = "mid"   // CV 2.15 to 4.64 %
	Noisy Class = "noisy" // CV 4.64 to 10 %
)

// Classes returns the classes from quiet to noisy.
func Classes() []Class { return []Class{Quiet, Mid, Noisy} }

// A Scenario is one set of troubles.
type Scenario struct {
	Name       string
	SlowBoots  float64 // share of boots 1.5 to 3 times slower
	SlowRounds float64 // share of rounds 1.2 to 2 times slower
	AR         float64 // at least this share of the boot variance is common and autocorrelated
	Drift      float64 // log slowdown of the second half of the boots over the first
	Scale      float64 // factor on all boot CVs
}

// Scenarios returns the four scenarios.
func Scenarios() []Scenario {
	d := math.Log(1.05)
	return []Scenario{
		{Name: "iid", Scale: 1},
		{Name: "real", SlowBoots: 0.05, SlowRounds: 0.02, AR: 0.3, Scale: 1},
		{Name: "drift", SlowBoots: 0.05, SlowRounds: 0.02, AR: 0.3, Drift: d, Scale: 1},
		{Name: "nasty", SlowBoots: 0.10, SlowRounds: 0.05, AR: 0.6, Drift: d, Scale: 2.5},
	}
}

// An Op is one synthetic op.
type Op struct {
	Class  Class
	Group  int
	Boot   float64 // sd between boots, log
	Within float64 // sd between rounds, log
}

// A Release is the ops of one comparison and the machine that its boots come
// from: the model's, or a recording.
type Release struct {
	Ops []Op
	// Sequential measures all old boots first and all new ones after, the
	// wrong way that people do it.
	Sequential bool

	rng   *rand.Rand
	boot  func(at float64) [][]float64
	fleet []func(at float64) [][]float64 // of each machine; nil: boot is of the only one
	ahead [][][]float64                  // the boots of a sequential measurement, in time order
}

// A machine is the state of a simulated machine.
type machine struct {
	ops      []Op
	scenario Scenario
	rng      *rand.Rand
	common   float64 // the AR(1) state, unit variance
}

// groups are the sizes of the op groups: 50 ops.
func groups() []int { return []int{8, 5, 5, 10, 7, 15} }

// NewRelease draws the ops of one release.
func NewRelease(s Scenario, rng *rand.Rand) *Release {
	m := &machine{scenario: s, rng: rng, common: rng.NormFloat64()}
	r := &Release{rng: rng, boot: m.Boot}
	for g, n := range groups() {
		for range n {
			r.Ops = append(r.Ops, Op{Group: g})
		}
	}
	bounds := []float64{0.01, 0.0215, 0.0464, 0.10}
	for k, i := range rng.Perm(len(r.Ops)) {
		c := k * 3 / len(r.Ops)
		op := &r.Ops[i]
		op.Class = Classes()[c]
		op.Boot = s.Scale * logUniform(rng, bounds[c], bounds[c+1])
		op.Within = logUniform(rng, 0.01, 0.15)
	}
	m.ops = r.Ops
	return r
}

// NewFleet draws a release whose boots are on several machines. An op takes 1 to 2
// times as long on one as on the fastest, another op another factor; boots
// scatter by 0.7 to 1.4 times the op's deviation, and each machine has slow boots
// and a common movement of its own.
func NewFleet(s Scenario, machines int, rng *rand.Rand) *Release {
	r := NewRelease(s, rng)
	for range machines {
		m := &machine{scenario: s, rng: rng, common: rng.NormFloat64(), ops: slices.Clone(r.Ops)}
		noise, speed := logUniform(rng, 0.7, 1/0.7), math.Log(2)*rng.Float64()
		own := make([]float64, len(m.ops))
		for i := range m.ops {
			m.ops[i].Boot *= noise
			own[i] = (speed + math.Log(2)*rng.Float64()) / 2
		}
		r.fleet = append(r.fleet, func(at float64) [][]float64 {
			boot := m.Boot(at)
			for i, rounds := range boot {
				for k := range rounds {
					rounds[k] += own[i]
				}
			}
			return boot
		})
	}
	return r
}

// NewSpread draws a release whose first op has values of the standard deviation
// sd, in log, where no boot and no round is slow: 0.36 of it within boots, as
// the value of nine rounds of that deviation has.
func NewSpread(s Scenario, sd float64, rng *rand.Rand) *Release {
	const ofRounds = 0.36
	r := NewRelease(s, rng)
	r.Ops[0].Boot, r.Ops[0].Within = sd*math.Sqrt(1-ofRounds*ofRounds), sd
	return r
}

func logUniform(rng *rand.Rand, lo, hi float64) float64 {
	return math.Exp(math.Log(lo) + rng.Float64()*math.Log(hi/lo))
}

// Boot measures all ops in one fresh sandbox: the log times of its rounds,
// or "badness": what is better when larger enters with its sign turned.
// at is the boot's place in the whole measurement, from 0 to 1.
func (m *machine) Boot(at float64) [][]float64 {
	s, rng := m.scenario, m.rng
	if s.AR > 0 {
		m.common = phi*m.common + math.Sqrt(1-phi*phi)*rng.NormFloat64()
	} else {
		m.common = rng.NormFloat64()
	}
	share := max(0.3, s.AR)
	group := make([]float64, len(groups()))
	for g := range group {
		group[g] = rng.NormFloat64()
	}
	slowGroup, slow := -1, 0.0
	if rng.Float64() < s.SlowBoots {
		slow = math.Log(1.5 + 1.5*rng.Float64())
		if rng.IntN(2) == 0 {
			slowGroup = rng.IntN(len(group))
		}
	}
	out := make([][]float64, len(m.ops))
	rounds := make([]float64, len(m.ops)*Rounds)
	for i, op := range m.ops {
		v := op.Boot * (math.Sqrt(share)*m.common + math.Sqrt((1-share)*2/7)*group[op.Group] +
			math.Sqrt((1-share)*5/7)*rng.NormFloat64())
		v += 2 * s.Drift * at
		if slowGroup < 0 || slowGroup == op.Group {
			v += slow
		}
		out[i] = rounds[i*Rounds : (i+1)*Rounds]
		for j := range out[i] {
			out[i][j] = v + op.Within*rng.NormFloat64()
			if rng.Float64() < s.SlowRounds {
				out[i][j] += math.Log(1.2 + 0.8*rng.Float64())
			}
		}
	}
	return out
}

// Value is what a boot counts as: that of its rounds after the warm-up.
func Value(rounds []float64) float64 {
	return compare.MiddleHalf(slices.Sorted(slices.Values(warmed(rounds))))
}

// warmed are the rounds after the warm-up, of a single one that.
func warmed(rounds []float64) []float64 {
	if len(rounds) > 1 {
		return rounds[1:]
	}
	return rounds
}
