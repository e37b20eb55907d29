// Package ab measures two builds against each other in fresh sandboxes:
// boots in pairs of random order, looks at what is settled, further stages
// for what is not.
//
// A trial is a directory. plan.json says what is to be measured and never
// changes; base/ and cand/ have one file of benchmark text a boot, each
// headed by the host's boot line and machine lines; repeated/ has the texts
// of boots that had to be done again. Everything else, how far the trial is
// and what is still open, is worked out from these files, so a trial that was
// interrupted goes on where it was, and anybody can judge it again.
//
// The package does not know what a sandbox is or how a comparison is judged;
// both are functions in Config.
package ab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/catalogue"
)

// The sides, as the boot lines name them.
const (
	Base = "base"
	Cand = "cand"
)

const planSchema = "capsem-bench.trial/1"

// A Plan is what a trial measures. Two plans that differ are two trials.
type Plan struct {
	Schema     string            `json:"schema"`
	Base       Build             `json:"base"`
	Cand       Build             `json:"cand"`
	Sandbox    string            `json:"sandbox"`
	Looks      []int             `json:"looks"`                // boots a side, cumulative
	Rounds     int               `json:"rounds"`               // of every operation in a boot
	Categories []string          `json:"categories,omitempty"` // none: all
	Settings   map[string]string `json:"settings,omitempty"`   // variables of the guest binary
	Seed       uint64            `json:"seed"`                 // of the order inside the pairs
	Judging    Judging           `json:"judging,omitzero"`
	Timed      *Timing           `json:"timed,omitempty"` // what the rounds were planned by; nil: they were asked for
	Fleet      *Fleet            `json:"fleet,omitempty"` // nil: all boots on one machine
}

// Judging is what the verdict depends on beside the boots, so that 'gate' on
// the directory repeats it.
type Judging struct {
	Margin      float64  `json:"margin,omitempty"`
	Policy      string   `json:"policy_sha256,omitempty"` // of PolicyName in the directory; "" is the defaults
	Vary        []string `json:"vary,omitempty"`
	Ops         []string `json:"ops,omitempty"`
	NoMore      bool     `json:"no_more,omitempty"`
	AcceptUnfit bool     `json:"accept_unfit,omitempty"`
}

// The files of a trial beside its boots.
const (
	PlanName   = "plan.json"
	PolicyName = "gate.toml" // the policy that the trial began with
)

// ReadPlan returns the plan of the trial in dir; fs.ErrNotExist where there is
// none.
func ReadPlan(dir string) (*Plan, error) {
	name := filepath.Join(dir, PlanName)
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	p := new(Plan)
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(p); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// A Build is one side: what was asked for, and the digests of what it was.
type Build struct {
	Name  string            `json:"name"`
	Files map[string]string `json:"files,omitempty"` // role -> SHA-256
	Args  []string          `json:"args,omitempty"`  // of its sandbox
	Env   []string          `json:"env,omitempty"`   // of its sandbox, names and values
}

// categories returns the categories of the first boots; none: all.
func (p *Plan) categories() []catalogue.Category {
	var out []catalogue.Category
	for _, c := range p.Categories {
		out = append(out, catalogue.Category(c))
	}
	return out
}

// Check returns what is wrong with the plan.
func (p *Plan) Check() error {
	if _, err := compare.PlanOf(p.Looks); err != nil {
		return fmt.Errorf("looks: %w", err)
	}
	if p.Rounds < 1 {
		return fmt.Errorf("%d rounds: want at least 1", p.Rounds)
	}
	if p.Fleet != nil && (p.Fleet.Machines < 1 || p.Fleet.Machines > MaxMachines) {
		return fmt.Errorf("%d machines: want 1 to %d", p.Fleet.Machines, MaxMachines)
	}
	return nil
}

// Order returns the sides of a pair (from 0) in the order of their boots.
func (p *Plan) Order(pair int) [2]string {
	if rand.New(rand.NewPCG(p.Seed, uint64(pair))).IntN(2) == 0 {
		return [2]string{Base, Cand}
	}
	return [2]string{Cand, Base}
}

// ErrChanged is returned for a directory with another plan.
var ErrChanged = errors.New("this directory has a trial with another plan")

// Open makes the directory's plan this one, or holds it to the one that is
// there. A seed of 0 takes the one that is there.
func (p *Plan) Open(dir string) error {
	p.Schema = planSchema
	name := filepath.Join(dir, PlanName)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if p.Seed == 0 {
			p.Seed = rand.Uint64()>>12 | 1 // JSON readers keep 53 bits
		}
		text, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			return err
		}
		return atomicfile.Write(name, append(text, '\n'))
	}
	if err != nil {
		return err
	}
	var there Plan
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&there); err != nil {
		return fmt.Errorf("%s: %w; measure into a new directory", name, err)
	}
	if p.Seed == 0 {
		p.Seed = there.Seed
	}
	if p.Fleet == nil {
		p.Fleet = there.Fleet // boots of several machines can be judged on one
	}
	if diff := p.differences(&there); len(diff) > 0 {
		return fmt.Errorf("%s: %w: %s; go on with the old settings or measure into a new directory", name, ErrChanged, strings.Join(diff, "; "))
	}
	return nil
}

// differences names what is not the same in two plans.
func (p *Plan) differences(there *Plan) []string {
	fields := func(p *Plan) map[string]any {
		var m map[string]any
		text, err := json.Marshal(p)
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err != nil {
			panic(err) // a Plan has strings and numbers only
		}
		return m
	}
	var out []string
	a, b := fields(p), fields(there)
	for _, key := range []string{"schema", "base", "cand", "sandbox", "looks", "rounds", "categories", "settings", "seed", "judging", "fleet"} {
		x, _ := json.Marshal(a[key])
		y, _ := json.Marshal(b[key])
		if !bytes.Equal(x, y) {
			out = append(out, fmt.Sprintf("%s was %s and is %s now", key, short(y), short(x)))
		}
	}
	return out
}

func short(b []byte) string {
	if len(b) > 200 {
		return string(b[:200]) + "..."
	}
	return string(b)
}
