package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/hostcheck"
	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// planRounds settles how many rounds a boot has where --count does not say, and
// the looks where --max-time does: as the trial in the directory began, or by
// what a boot and a round take.
func (t *abTrial) planRounds(ctx context.Context, notify func(string)) error {
	if t.Plan.Rounds > 0 {
		return nil
	}
	switch there, err := ab.ReadPlan(t.Dir); {
	case err == nil:
		t.Plan.Rounds, t.Plan.Timed = there.Rounds, there.Timed
		if t.opt.maxTime > 0 {
			t.setLooks(there.Looks)
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return exit(exitUsage, err)
	}
	notify("timing a boot of the base build")
	p, err := ab.Probe(ctx, t.Config)
	notify("")
	switch {
	case ctx.Err() != nil || errors.Is(err, ab.ErrGiveUp):
		return t.failed(ctx, err)
	case err != nil && t.opt.maxTime > 0:
		return exit(exitUnfit, fmt.Errorf("--max-time plans by what a boot takes, and none could be timed: %w", err))
	case err != nil:
		t.Plan.Rounds = compare.DefaultRounds
		t.say("note: no boot could be timed (%s)\nPlanned: %d rounds of every operation in a boot.", termtext.Cell(err.Error()), t.Plan.Rounds)
		return nil
	}
	f := ab.NewForecaster(p.Metrics)
	t.Plan.Rounds, t.Plan.Timed = p.Rounds(), &p.Timing
	if t.opt.maxTime > 0 {
		looks, rounds, _, err := p.Within(t.opt.maxTime-p.Took, f)
		if err != nil {
			return t.tooShort(err, p.Took)
		}
		t.Plan.Rounds = rounds
		t.setLooks(looks)
	}
	shows, err := f.Of(t.Plan.Looks, t.Plan.Rounds)
	if err != nil {
		return err
	}
	t.say("%s", planText(&t.Plan, shows))
	return nil
}

// setLooks changes the looks that the trial is measured and judged by.
func (t *abTrial) setLooks(looks []int) {
	t.opt.setLooks(looks)
	t.Plan.Looks, t.Plan.Judging.NoMore = looks, t.opt.judging.noMore
}

// tooShort is the answer to a --max-time that shows nothing. What was asked
// for, and what is needed, include the boot that was timed.
func (t *abTrial) tooShort(err error, took time.Duration) error {
	var short *ab.TooShortError
	if !errors.As(err, &short) {
		return exit(exitUnfit, err)
	}
	need := (short.Need + took + time.Second).Truncate(time.Second)
	return exit(exitUnfit, fmt.Errorf(`--max-time %s can show nothing: the shortest plan that can is %d boots of %s each.
Nothing was measured. Give --max-time %s, or fewer categories`, t.opt.maxTime, short.Boots, brief(short.Each), need))
}

// planText says what is going to be measured, how long that takes and what it
// can show.
func planText(p *ab.Plan, shows ab.Forecast) string {
	each := p.Timed.Each(p.Rounds)
	first, last := 2*p.Looks[0], 2*p.Looks[len(p.Looks)-1]
	var b strings.Builder
	fmt.Fprintf(&b, "Planned: %d rounds of every operation in a boot of %s (%s, and %s a round).\n",
		p.Rounds, brief(each), brief(p.Timed.Boot), brief(p.Timed.Round))
	if len(p.Looks) == 1 {
		fmt.Fprintf(&b, "All %d boots take %s.", last, brief(each*time.Duration(last)))
	} else {
		fmt.Fprintf(&b, "The first look is after %d boots, %s; the last after %d, %s.", first, brief(each*time.Duration(first)), last, brief(each*time.Duration(last)))
	}
	if !math.IsInf(shows.Quiet, 1) {
		fmt.Fprintf(&b, "\nThese can show %s in quiet ops (boots within %.0f %%), %s in noisy ones (%.0f %%).",
			slowdownText(shows.Quiet), 100*ab.QuietBoots, slowdownText(shows.Noisy), 100*ab.NoisyBoots)
	}
	return b.String()
}

func slowdownText(ratio float64) string {
	if math.IsInf(ratio, 1) {
		return "nothing"
	}
	return fmt.Sprintf("+%.0f %%", 100*ratio)
}

// fitToBegin looks at the machine before anything is built, as often as a
// trial does before a pair. A trial that goes on may need no boot any more, and
// looks itself where it does.
func (a *app) fitToBegin(ctx context.Context, opt *abOptions, notify func(string)) error {
	if opt.accept {
		return nil
	}
	if _, err := os.Stat(filepath.Join(opt.out, ab.PlanName)); opt.out != "" && err == nil {
		return nil
	}
	notify("looking at the machine")
	defer notify("")
	var r *hostcheck.Report
	for range ab.Patience {
		r = a.examine(ctx, hostcheck.Options{Dir: ".", Between: true})
		if ctx.Err() != nil {
			return unfit(ctx, ctx.Err())
		}
		if r.Fit() {
			return nil
		}
	}
	return exit(exitUnfit, fmt.Errorf("%w\nNothing was built or measured", &ab.UnfitError{Reasons: r.Machine.Unfit}))
}

// alike reports whether both sides are the same bytes, run in the same way.
func (t *abTrial) alike() bool {
	base, cand := t.Plan.Base, t.Plan.Cand
	if !maps.Equal(base.Files, cand.Files) || !slices.Equal(base.Env, cand.Env) {
		return false
	}
	args := func(b ab.Build) []string {
		return slices.DeleteFunc(slices.Clone(b.Args), func(arg string) bool {
			return b.Files[partImage] != "" && strings.HasPrefix(arg, "--image=") || // its digest is among the files
				b.Files[partBin] != "" && strings.HasPrefix(arg, "--bin=")
		})
	}
	return slices.Equal(args(base), args(cand))
}

// sayAlike says that nothing can differ.
func (t *abTrial) sayAlike() {
	if t.alike() {
		t.say("note: base and cand are the same bytes in the same sandbox: an A/A trial, in which a difference is a false alarm.")
	}
}

func (t *abTrial) say(format string, args ...any) { t.a.saying(t.opt)(format, args...) }

// saying prints a line of a trial, unless it is to be quiet.
func (a *app) saying(opt *abOptions) func(format string, args ...any) {
	return func(format string, args ...any) {
		if !opt.quiet {
			fmt.Fprintf(a.stderr, format+"\n", args...)
		}
	}
}

// brief rounds a duration for people.
func brief(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

func joinCategories(c []catalogue.Category) string {
	var names []string
	for _, x := range c {
		names = append(names, string(x))
	}
	return strings.Join(names, ", ")
}
