package ab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/catalogue"
)

// A Fleet says how the boots of a plan are divided among machines.
type Fleet struct {
	Machines int `json:"machines"` // that measure a stage at once, at most
	// OS and Arches are what the builds run on, as Go names them. A plan
	// without them says nothing of it.
	OS     string   `json:"os,omitempty"`
	Arches []string `json:"arches,omitempty"`
	// Labels are the labels of each side, as the guest's variable has them: only
	// the machine of the plan can ask git.
	Labels map[string]string `json:"labels,omitempty"`
}

// MaxMachines bounds a fleet.
const MaxMachines = 200

// ErrNoBuild is returned for a machine that the plan has no build for.
var ErrNoBuild = errors.New("the plan has no build for this machine")

// Fits returns an error that wraps ErrNoBuild for a machine that the builds do
// not run on.
func (f *Fleet) Fits(system, arch string) error {
	if f.OS == "" || f.OS == system && slices.Contains(f.Arches, arch) {
		return nil
	}
	return fmt.Errorf("%w, which is %s on %s: it has %s on %s", ErrNoBuild, system, arch, f.OS, strings.Join(f.Arches, " and "))
}

// A Shard is pairs of one stage that one machine measures.
type Shard struct {
	Number   int // from 1 over all stages
	Stage    int // from 1
	From, To int // pairs from 0; To is the first that is not of the shard
}

// Shards returns the shards of all stages. Those of a stage differ by one pair
// at most.
func (p *Plan) Shards() []Shard {
	machines := 1
	if p.Fleet != nil {
		machines = p.Fleet.Machines
	}
	var out []Shard
	from := 0
	for stage, k := range p.Looks {
		for _, pairs := range compare.BlocksOf(k-from, machines) {
			out = append(out, Shard{Number: len(out) + 1, Stage: stage + 1, From: from, To: from + pairs})
			from += pairs
		}
	}
	return out
}

// ShardsOf returns the shards of a stage, from 1.
func (p *Plan) ShardsOf(stage int) (out []Shard) {
	for _, s := range p.Shards() {
		if s.Stage == stage {
			out = append(out, s)
		}
	}
	return out
}

// The directories of a trial on several machines.
const (
	ShardsDir = "shards" // one directory a shard, by its number
	FailedDir = "failed" // attempts that measured nothing whole
	stagesDir = "stages" // what the stages behind the first have to measure
)

// A Stage is what the boots of one stage measure.
type Stage struct {
	Number     int                  `json:"stage"` // from 1
	Categories []catalogue.Category `json:"categories,omitempty"`
	OpenOps    int                  `json:"open_ops"` // ops that are not settled; -1 before the first look
	From, To   int                  `json:"-"`        // pairs from 0
}

func stageName(dir string, stage int) string {
	return filepath.Join(dir, stagesDir, strconv.Itoa(stage)+".json")
}

// writeStage keeps what a look said for the shards of the next stage. A stage
// that is there stays: its shards may be under way.
func writeStage(dir string, s Stage) error {
	name := stageName(dir, s.Number)
	if isTaken(name) {
		return nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(name, append(text, '\n'))
}

// ErrNotJudged is returned for a shard of a stage whose categories no look has
// said.
var ErrNotJudged = errors.New("the look before it is not judged")

// readStage returns what the boots of a stage measure.
func (p *Plan) readStage(dir string, number int) (Stage, error) {
	s := Stage{Number: number, Categories: p.categories(), OpenOps: -1}
	if number == 1 {
		return s, nil
	}
	name := stageName(dir, number)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("stage %d: %w", number, ErrNotJudged)
	}
	if err != nil {
		return s, err
	}
	s = Stage{}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s: not what a look wrote for stage %d: %w", name, number, err)
	}
	if s.Number != number {
		return s, fmt.Errorf("%s: not what a look wrote for stage %d", name, number)
	}
	return s, nil
}
