package ab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/hostcheck"
	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/bounded"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// maxRepeats is how many pairs of a stage may be measured again. More would
// choose boots, and hide a build that crashes now and then.
const maxRepeats = 2

// maxText bounds the text of one boot; a boot of all ops with ten rounds is
// below 1 MB.
const maxText = 64 << 20

// ErrGiveUp is wrapped by errors of Measure that another attempt would meet
// again.
var ErrGiveUp = errors.New("giving up")

// A Boot is one boot to make.
type Boot struct {
	Side       string
	Stage      int // from 1
	Slot       int // place in the order of all boots, from 1
	Rounds     int // of every operation
	Categories []catalogue.Category
}

// A Decision is what a look says.
type Decision struct {
	Open    []catalogue.Category // to be measured further; none: settled
	OpenOps int
}

// A Config is a trial with the functions that make and judge boots.
type Config struct {
	Dir  string
	Plan Plan
	// Measure makes one boot in a fresh sandbox and writes the guest's text.
	// An error is a crash, or the end of the trial when it wraps ErrGiveUp.
	Measure func(ctx context.Context, b Boot, text io.Writer) error
	// Decide judges the texts of both sides.
	Decide func(base, cand []string) (Decision, error)
	// First, if not nil, sees the first pair. Its error ends the trial before
	// more is measured in vain.
	First func(base, cand []string) error
	// Examine looks at the machine; nil does not look.
	Examine func(ctx context.Context) *hostcheck.Report
	// AcceptUnfit keeps what an unfit machine measured, as a doubt.
	AcceptUnfit bool
	// Machine is the name of this one in the boot lines; "" where all boots are
	// on one machine.
	Machine string
	// Elsewhere, if not nil, has other machines measure a stage and brings its
	// texts into Dir. Nothing is measured here then.
	Elsewhere func(ctx context.Context, s Stage) error
	// Notify, if not nil, is called before every boot, and Looked after every
	// look (from 1).
	Notify func(Progress)
	Looked func(look int, d Decision)
}

// Progress is how far a trial is.
type Progress struct {
	Done, Planned int // boots of both sides: so far, and until the next look
	Most          int // boots until the last look
	OpenOps       int // ops not settled; -1 before the first look
	Boot          Boot
	// Each is what a boot of this stage takes, Left is the time until the next look, Longest until the last one; 0
	// unknown.
	Each, Left, Longest time.Duration
}

// A Result is a trial that came to its end.
type Result struct {
	Base, Cand []string // texts, in order
	Looks      int      // looks taken
	Repeats    []Repeat
	Seed       uint64
}

// An UnfitError says that the machine was not fit to measure on.
type UnfitError struct{ Reasons []string }

func (e *UnfitError) Error() string {
	return fmt.Sprintf("this machine is unfit to measure on: %s; quiet it down, or accept it as a doubt with --accept-unfit", join(e.Reasons))
}

// A CrashError says that boots crashed more often than may be repeated.
type CrashError struct {
	Side string // "" when both sides did
	Last Repeat
}

func (e *CrashError) Error() string {
	who := "boots of both sides"
	if e.Side != "" {
		who = "boots of the " + e.Side + " side"
	}
	return fmt.Sprintf("%s crashed in more than %d pairs of stage %d; the last: %s", who, maxRepeats, e.Last.Stage, e.Last.Reason)
}

// Run measures until the looks have their answer. It goes on with what is in
// Dir. After an interruption it returns ctx's error, and everything that was
// measured is kept.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.Plan.Check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, err
	}
	if cfg.Elsewhere == nil {
		unlock, err := lock(cfg.Dir)
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	if err := cfg.Plan.Open(cfg.Dir); err != nil {
		return nil, err
	}
	st, err := load(cfg.Dir, &cfg.Plan)
	if err != nil {
		return nil, err
	}
	t := &trial{Config: cfg, state: st, openOps: -1, open: cfg.Plan.categories()}
	return t.run(ctx)
}

// trial is a trial under way.
type trial struct {
	Config
	*state
	open    []catalogue.Category // none: all
	openOps int
	machine *hostcheck.Report // after the boot before
	took    []time.Duration
	// oldBoots says that a boot of the old side came to its end.
	oldBoots bool
}

func (t *trial) run(ctx context.Context) (*Result, error) {
	from := 0
	for look, k := range t.Plan.Looks {
		s := Stage{Number: look + 1, Categories: t.open, OpenOps: t.openOps, From: from, To: k}
		if err := t.stage(ctx, s); err != nil {
			return nil, err
		}
		from = k
		base, cand := t.files(Base, k), t.files(Cand, k)
		d, err := t.Decide(base, cand)
		if err != nil {
			return nil, err
		}
		if t.Looked != nil {
			t.Looked(look+1, d)
		}
		if len(d.Open) == 0 || look == len(t.Plan.Looks)-1 {
			return &Result{Base: base, Cand: cand, Looks: look + 1, Repeats: t.repeats, Seed: t.Plan.Seed}, nil
		}
		t.open, t.openOps, t.took = d.Open, d.OpenOps, nil
	}
	panic("unreachable: the last look returns")
}

// stage makes the pairs of a stage that are not there: here, or elsewhere.
func (t *trial) stage(ctx context.Context, s Stage) error {
	if t.Elsewhere == nil {
		return t.pairs(ctx, s.From, s.To)
	}
	if s.Number > 1 {
		if err := writeStage(t.Dir, s); err != nil {
			return err
		}
	}
	if err := t.Elsewhere(ctx, s); err != nil {
		return err
	}
	st, err := load(t.Dir, &t.Plan)
	if err != nil {
		return err
	}
	t.state = st
	for pair := s.From; pair < s.To; pair++ {
		if !t.whole(pair) {
			return fmt.Errorf("%s: pair %d of stage %d is not there", t.Dir, pair+1, s.Number)
		}
	}
	return t.first(s.From)
}

// pairs makes the pairs from one to before another here, in order.
func (t *trial) pairs(ctx context.Context, from, to int) error {
	for pair := from; pair < to; pair++ {
		if err := t.measure(ctx, pair); err != nil {
			return err
		}
		if err := t.first(pair); err != nil {
			return err
		}
	}
	return nil
}

// first shows the first pair of all to who wants to see it.
func (t *trial) first(pair int) error {
	if pair > 0 || t.First == nil {
		return nil
	}
	return t.First(t.files(Base, 1), t.files(Cand, 1))
}

// measure makes one pair, unless it is there already.
func (t *trial) measure(ctx context.Context, pair int) error {
	if t.whole(pair) {
		return nil
	}
	if t.boots[slotOf(pair, 0)] != "" || t.boots[slotOf(pair, 1)] != "" {
		err := t.setAside(pair, Repeat{Cause: compare.Interrupted, Reason: "the trial was interrupted between the boots of this pair"})
		if err != nil {
			return err
		}
	}
	for {
		again, err := t.try(ctx, pair)
		if err != nil || again == nil {
			return err
		}
		if err := t.setAside(pair, *again); err != nil {
			return err
		}
		if t.spent(t.stageOf(pair)) > maxRepeats {
			return t.tooMany(ctx)
		}
	}
}

// tooMany is the error after the last repeat that was allowed. The new side is
// blamed alone only where the old one is known to boot: what crashes every boot,
// as a part that is missing, is met first by the side that is first in the pair.
func (t *trial) tooMany(ctx context.Context) error {
	last := t.repeats[len(t.repeats)-1]
	if last.Cause == compare.Unfit {
		return &UnfitError{[]string{last.Reason}}
	}
	e := &CrashError{Side: last.Side, Last: last}
	for _, r := range t.repeats {
		if r.Stage == last.Stage && r.Cause == compare.Crashed && r.Side != last.Side {
			e.Side = ""
		}
	}
	if e.Side == Cand && !t.oldBoots && !t.whole(0) {
		b := Boot{Side: Base, Stage: last.Stage, Rounds: t.Plan.Rounds, Categories: t.open}
		text := &bounded.Head{Max: maxText}
		crash := t.Measure(ctx, b, text)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case crash != nil || incomplete(text.Bytes()) != nil:
			e.Side = ""
		}
	}
	return e
}

// try makes the boots of a pair, and returns why it has to be done again.
func (t *trial) try(ctx context.Context, pair int) (*Repeat, error) {
	if err := t.waitFit(ctx); err != nil {
		return nil, err
	}
	for which, side := range t.Plan.Order(pair) {
		b := Boot{Side: side, Stage: t.stageOf(pair), Slot: slotOf(pair, which), Rounds: t.Plan.Rounds, Categories: t.open}
		again, err := t.boot(ctx, b)
		if err != nil || again != nil {
			return again, err
		}
	}
	return nil, nil
}

// Patience is how often the machine is looked at before a pair, a second or
// so each: what a boot leaves behind is over by then.
const Patience = 5

// waitFit looks at the machine unless the last look found it fit. A trial
// that ends here can go on later: nothing is lost.
func (t *trial) waitFit(ctx context.Context) error {
	if t.Examine == nil {
		return nil
	}
	for range Patience {
		if t.machine != nil && (t.machine.Fit() || t.AcceptUnfit) {
			return nil
		}
		t.machine = t.Examine(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if t.machine.Fit() || t.AcceptUnfit {
		return nil
	}
	return &UnfitError{t.machine.Machine.Unfit}
}

// boot makes one boot and keeps its text, whatever became of it.
func (t *trial) boot(ctx context.Context, b Boot) (*Repeat, error) {
	t.tell(b)
	start := time.Now()
	head := []any{&record.Boot{
		Type: record.TypeBoot, Side: b.Side, Stage: b.Stage, Slot: b.Slot, Seed: t.Plan.Seed,
		Time: record.Seconds(start), Machine: t.Machine,
	}}
	text := &bounded.Head{Max: maxText}
	crash := t.Measure(ctx, b, text)
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, t.keepAside(b, head, text.Bytes()))
	}
	if errors.Is(crash, ErrGiveUp) {
		return nil, errors.Join(crash, t.keepAside(b, head, text.Bytes()))
	}
	if text.Cut() {
		crash = fmt.Errorf("the guest sent more than %d MiB", maxText>>20)
	}
	if crash == nil {
		crash = incomplete(text.Bytes())
	}
	before := t.machine
	var unfit []string
	if before != nil {
		t.machine = t.Examine(ctx)
		if err := ctx.Err(); err != nil {
			return nil, errors.Join(err, t.keepAside(b, head, text.Bytes()))
		}
		var doubts []string
		unfit, doubts = hostcheck.Between(before, t.machine)
		after := t.machine.Machine
		after.Unfit, after.Doubts = unfit, doubts
		head = append(head, &before.Machine, &after)
	}
	t.took = append(t.took, time.Since(start)) // with the look at the machine, which every boot has
	switch {
	case crash != nil:
		again := &Repeat{Side: b.Side, Cause: compare.Crashed, Reason: crash.Error()}
		return again, t.keepAside(b, head, text.Bytes())
	case len(unfit) > 0 && !t.AcceptUnfit:
		again := &Repeat{Side: b.Side, Cause: compare.Unfit, Reason: join(unfit)}
		return again, t.keepAside(b, head, text.Bytes())
	}
	t.oldBoots = t.oldBoots || b.Side == Base
	return nil, t.keep(b.Side, b.Slot, head, text.Bytes())
}

// incomplete says why a text is no whole boot. An operation that failed is a
// finding about the build; a run that did not come to its end says nothing.
func incomplete(text []byte) error {
	rep, err := convert.Read(bytes.NewReader(text), "the guest's text")
	switch {
	case err != nil:
		return err
	case rep.Run == nil:
		return errors.New("the guest measured nothing")
	case rep.End == nil:
		return errors.New("the guest's text has no end line")
	case rep.End.Status != string(record.OK) && rep.End.Status != string(record.Failed):
		return fmt.Errorf("the run ended as %q: %s", rep.End.Status, rep.End.Reason)
	}
	return nil
}

// tell reports the progress before a boot.
func (t *trial) tell(b Boot) {
	if t.Notify == nil {
		return
	}
	p := Progress{Done: b.Slot - 1, Planned: 2 * t.Plan.Looks[b.Stage-1], Most: 2 * t.Plan.Looks[len(t.Plan.Looks)-1], OpenOps: t.openOps, Boot: b}
	if n := len(t.took); n > 0 {
		var sum time.Duration
		for _, d := range t.took {
			sum += d
		}
		each := sum / time.Duration(n)
		p.Each, p.Left, p.Longest = each, each*time.Duration(p.Planned-p.Done), each*time.Duration(p.Most-p.Done)
	}
	t.Notify(p)
}

func join(reasons []string) string { return strings.Join(reasons, "; ") }
