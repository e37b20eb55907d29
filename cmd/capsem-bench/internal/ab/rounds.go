package ab

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/bounded"
)

// MinRounds is the smallest number of rounds that is planned: a warm-up round, and two
// whose median counts.
const MinRounds = 3

// worthwhile is what the rounds of a boot may always take, also where the boot
// itself takes less: 32 boots of 30 s are 16 minutes.
const worthwhile = 30 * time.Second

// probeRounds are the rounds of the boot that is timed.
const probeRounds = 2

// A Timing is what a boot costs beside its rounds, and what a round of every
// operation costs.
type Timing struct {
	Boot  time.Duration `json:"boot_ns"`
	Round time.Duration `json:"round_ns"`
}

// Rounds returns how many rounds of every operation pay: as many as take no
// longer than the boot itself, or than half a minute, from MinRounds to
// compare.DefaultRounds.
func (t Timing) Rounds() int {
	if t.Round <= 0 {
		return compare.DefaultRounds
	}
	most := max(t.Boot, worthwhile) / t.Round
	return int(min(max(most, MinRounds), compare.DefaultRounds))
}

// Each returns how long a boot with its rounds takes.
func (t Timing) Each(rounds int) time.Duration { return t.Boot + time.Duration(rounds)*t.Round }

// A Probed is what one boot says of the others to come.
type Probed struct {
	Timing
	Metrics int           // with a value, of those that are judged
	Took    time.Duration // the boot, and looking at the machine
}

// Probe makes one boot of the base side with few rounds, which is not kept,
// and times it. The setup of the operations counts as a part of their rounds,
// the look at the machine behind every boot as a part of the boot.
// An error that wraps ErrGiveUp, or is ctx's, ends the trial; after another
// one the boot says nothing about time.
func Probe(ctx context.Context, cfg Config) (Probed, error) {
	b := Boot{Side: Base, Stage: 1, Rounds: probeRounds, Categories: cfg.Plan.categories()}
	text := &bounded.Head{Max: maxText}
	start := time.Now()
	if err := cfg.Measure(ctx, b, text); err != nil {
		return Probed{}, errors.Join(ctx.Err(), err)
	}
	booted := time.Since(start)
	if err := incomplete(text.Bytes()); err != nil {
		return Probed{}, err
	}
	const name = "the guest's text"
	rep, err := convert.Read(bytes.NewReader(text.Bytes()), name)
	if err != nil {
		return Probed{}, err
	}
	if cfg.Examine != nil {
		cfg.Examine(ctx)
	}
	// The guest says how long its rounds took, and must not be believed
	// beyond what this machine saw.
	rounds := min(max(time.Duration(rep.End.ElapsedNS), 0), booted)
	p := Probed{Took: time.Since(start)}
	p.Boot, p.Round = p.Took-rounds, rounds/probeRounds
	// A boot without results is whole, and the first pair of the trial says
	// what it lacks.
	boots, _, _ := compare.ParseBoots(text.Bytes(), name)
	for _, b := range boots {
		for _, f := range compare.Figures(b) {
			if f.Primary && f.OK {
				p.Metrics++
			}
		}
	}
	return p, nil
}
