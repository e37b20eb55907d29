package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// compare judges the texts of both sides. Each look reads all of them again:
// what a trial decides is what anybody gets from its files.
func (t *abTrial) compare(base, cand []string) (*compare.Comparison, error) {
	opt := t.opt.judging
	opt.vary = append(slices.Clone(opt.vary), vary()...)
	if err := opt.ofTrial(&t.Plan, t.Dir); err != nil {
		return nil, exit(exitUsage, err)
	}
	return t.a.judge(&opt, []string{strings.Join(base, ","), strings.Join(cand, ",")})
}

// vary is what the sides of a trial may differ in on purpose.
func vary() []string { return []string{"image", "kernel", "tool"} }

// first ends a trial that could never block anything, before it is measured.
func (t *abTrial) first(base, cand []string) error {
	c, err := t.compare(base, cand)
	if err != nil {
		return err
	}
	if d := c.Refused(); d != nil {
		return exit(exitUnfit, fmt.Errorf("the sides are not comparable: %s", d[0].Text))
	}
	judged := slices.DeleteFunc(c.Judged(), func(f *compare.Finding) bool { return f.Base.Boots == 0 || f.Cand.Boots == 0 })
	if t.opt.judging.noMore || len(judged) == 0 {
		return nil
	}
	machines := 1
	if t.Plan.Fleet != nil {
		machines = t.Plan.Fleet.Machines
	}
	return canReject(t.opt.looks, machines, len(judged))
}

// canReject ends a trial whose looks cannot block on any of so many metrics.
func canReject(looks []int, machines, metrics int) error {
	plan, err := compare.PlanOf(looks)
	if err != nil {
		return err
	}
	plan.Machines = machines
	var under *compare.UnderpoweredError
	if err := plan.CanReject(compare.NewRanker(), metrics); errors.As(err, &under) {
		return exit(exitUnfit, fmt.Errorf("%w: use --looks with a last look of %d, or measure fewer categories", err, under.Need))
	}
	return nil
}

// checkLooks says before anything is built that the looks cannot block. That is
// certain where they cannot of one metric. How many there are is known from the
// first pair only, as an operation may be skipped, so that of all operations is a
// note.
func (o *abOptions) checkLooks(machines int, categories []catalogue.Category, say func(string, ...any)) error {
	if o.judging.noMore || o.maxTime > 0 {
		return nil
	}
	if err := canReject(o.looks, machines, 1); err != nil {
		return err
	}
	ops := 0
	for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{}), categories...) {
		if len(o.judging.ops) == 0 || slices.ContainsFunc(o.judging.ops, func(p string) bool { return compare.MatchOp(p, op.ID, op.Category) }) {
			ops++
		}
	}
	if err := canReject(o.looks, machines, ops); err != nil {
		say("note: %s", err)
	}
	return nil
}

// decide is a look.
func (t *abTrial) decide(base, cand []string) (ab.Decision, error) {
	c, err := t.compare(base, cand)
	if err != nil {
		return ab.Decision{}, err
	}
	d := ab.Decision{Open: c.Open()}
	for _, f := range c.Findings {
		if f.Open {
			d.OpenOps++
		}
	}
	return d, nil
}

// abVerdict says what the trial found, as gate does.
func (a *app) abVerdict(opt *abOptions, t *abTrial, res *ab.Result) error {
	c, err := t.compare(res.Base, res.Cand)
	if err != nil {
		return exit(exitUsage, err)
	}
	d := compare.Gate(c)
	d.Remarks = append(d.Remarks, fmt.Sprintf("%s a side in %s, interleaved with seed %d",
		termtext.Plural(len(res.Base), "boot"), termtext.Plural(res.Looks, "stage"), res.Seed))
	c.Base, c.Cand = ab.Base+" "+t.Plan.Base.Name, ab.Cand+" "+t.Plan.Cand.Name
	if err := a.write(&opt.judging, c, d); err != nil {
		return err
	}
	return a.decided(d, opt.judging.format == "text")
}
