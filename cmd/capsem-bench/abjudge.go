package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/compare"
	trials "github.com/capsem/capsem-bench/internal/trial"
)

// compare judges the texts of both sides. Each look reads all of them again:
// what a trial decides is what anybody gets from its files.
func (t *abTrial) compare(base, cand []string) (*compare.Comparison, error) {
	opt := t.opt.judging
	opt.vary = append(slices.Clone(opt.vary), vary()...)
	return t.a.judge(&opt, []string{strings.Join(base, ","), strings.Join(cand, ",")})
}

// vary is what the sides of a trial may differ in on purpose.
func vary() []string { return []string{"image", "kernel", "tool"} }

// fewest and most are the boots a side of a single look that are judged by
// maxT, as there will be no more.
const fewest, most = 5, 7

// noMore reports whether the plan is one look that maxT judges.
func noMore(looks []int) bool {
	last := looks[len(looks)-1]
	return len(looks) == 1 && last >= fewest && last <= most
}

// first ends a trial that could never block anything, before it is measured.
func (t *abTrial) first(base, cand []string) error {
	c, err := t.compare(base, cand)
	if err != nil {
		return err
	}
	if d := c.Refused(); d != nil {
		return exit(exitUnfit, fmt.Errorf("the sides are not comparable: %s", d[0].Text))
	}
	judged := slices.DeleteFunc(c.Judged(), func(f *compare.Finding) bool { return f.Old.Boots == 0 || f.New.Boots == 0 })
	if t.opt.judging.noMore || len(judged) == 0 {
		return nil
	}
	rule, err := compare.RuleOf(t.opt.looks)
	if err != nil {
		return err
	}
	var under *compare.UnderpoweredError
	if err := rule.CanFire(compare.NewRanker(), len(judged)); errors.As(err, &under) {
		return exit(exitUnfit, fmt.Errorf("%w: use --looks with a last look of %d, or measure fewer categories", err, under.Need))
	}
	return nil
}

// decide is a look.
func (t *abTrial) decide(base, cand []string) (trials.Decision, error) {
	c, err := t.compare(base, cand)
	if err != nil {
		return trials.Decision{}, err
	}
	d := trials.Decision{Open: c.Open()}
	for _, f := range c.Findings {
		if f.Open {
			d.OpenOps++
		}
	}
	return d, nil
}

// abVerdict says what the trial found, as gate does.
func (a *app) abVerdict(opt *abOptions, t *abTrial, res *trials.Result) error {
	c, err := t.compare(res.Base, res.Cand)
	if err != nil {
		return exit(exitUsage, err)
	}
	d := compare.Gate(c)
	d.Remarks = append(d.Remarks, remarks(res)...)
	c.Old, c.New = trials.Base+" "+t.Plan.Base.Name, trials.Cand+" "+t.Plan.Cand.Name
	if err := a.write(&opt.judging, c, d); err != nil {
		return err
	}
	return a.decided(d, opt.judging.format == "text")
}

// remarks are what a reader of the verdict needs to know of its boots.
func remarks(res *trials.Result) []string {
	out := []string{fmt.Sprintf("%s a side in %s, interleaved with seed %d", plural(len(res.Base), "boot"), plural(res.Looks, "stage"), res.Seed)}
	if len(res.Base) == 0 || res.Repeats == nil {
		return out
	}
	count := make(map[trials.Cause]int)
	for _, r := range res.Repeats {
		count[r.Cause]++
	}
	var causes []string
	for _, cause := range []trials.Cause{trials.Crashed, trials.Unfit, trials.Interrupted} {
		if n := count[cause]; n > 0 {
			causes = append(causes, fmt.Sprintf("%d %s", n, cause))
		}
	}
	last := res.Repeats[len(res.Repeats)-1]
	return append(out, fmt.Sprintf("%s measured again (%s); the last: %s", plural(len(res.Repeats), "pair"), strings.Join(causes, ", "), last.Reason))
}
