package compare

import (
	"path"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// Defaults of a policy.
const (
	DefaultBudget      = 0.05
	DefaultTailBudget  = 0.10 // of p95, p99 and max
	DefaultSensitivity = 0.25
)

// A Policy is what a project tolerates: gate.toml. The nil Policy is the
// defaults.
type Policy struct {
	Name string // the file, for messages
	// Budget and TailBudget are the slowdowns to tolerate, as ratios;
	// Sensitivity is how small a slowdown has to be found with 80 % power.
	Budget, TailBudget, Sensitivity float64
	// Margin is a slowdown of every op to tolerate, as a ratio: the test is
	// whether an op is slower by more than that.
	Margin float64
	// Ops have rules of their own.
	Ops map[string]OpPolicy
	// Mutes are ops that may not block.
	Mutes []Mute
	// Required ops must be measured on both sides.
	Required []string
}

// An OpPolicy is the rules of one op, named by Finding.Key, by op, or by a
// pattern of path.Match.
type OpPolicy struct {
	Budget      float64
	Sensitivity float64
}

// A Mute keeps an op from blocking, with a reason and up to a day.
type Mute struct {
	Op     string
	Reason string
	Until  time.Time // the last day, UTC
	Line   int
}

// DefaultPolicy returns the policy of a project that states none.
func DefaultPolicy() *Policy {
	return &Policy{Budget: DefaultBudget, TailBudget: DefaultTailBudget, Sensitivity: DefaultSensitivity}
}

// budget returns the slowdown to tolerate of a metric.
func (p *Policy) budget(f *Finding) float64 {
	if own := p.own(f).Budget; own > 0 {
		return own
	}
	if catalogue.UnitOf(f.Unit).Kind == catalogue.Tail {
		return p.TailBudget
	}
	return p.Budget
}

func (p *Policy) sensitivity(f *Finding) float64 {
	if own := p.own(f).Sensitivity; own > 0 {
		return own
	}
	return p.Sensitivity
}

// own returns the rules of the metric's own: those under its key come before
// those of its op, and these before the longest pattern that matches.
func (p *Policy) own(f *Finding) OpPolicy {
	best, length := "", -1
	for name := range p.Ops {
		n := len(name)
		switch {
		case name == f.Op+" "+f.Unit:
			n = 1 << 20
		case name == f.Op:
			n = 1 << 19
		case !matches(name, f):
			continue
		}
		if n > length || n == length && name < best {
			best, length = name, n
		}
	}
	return p.Ops[best]
}

// mute returns the mute of a metric that has not expired.
func (p *Policy) mute(f *Finding, now time.Time) *Mute {
	for i := range p.Mutes {
		if m := &p.Mutes[i]; matches(m.Op, f) && !m.expired(now) {
			return m
		}
	}
	return nil
}

// expired reports whether the last day is over.
func (m *Mute) expired(now time.Time) bool {
	return !now.IsZero() && !now.UTC().Before(m.Until.AddDate(0, 0, 1))
}

// matches reports whether a name of gate.toml means the metric: its op, its
// category, its key, or a pattern of path.Match of the op.
func matches(name string, f *Finding) bool {
	if name == f.Op || name == string(f.Category) || name == f.Op+" "+f.Unit {
		return true
	}
	ok, err := path.Match(name, f.Op)
	return err == nil && ok && strings.ContainsAny(name, "*?[")
}
