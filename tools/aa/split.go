package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/tools/internal/gatesim"
	"github.com/jedib0t/go-pretty/v6/table"
)

// The shares of splits beyond which something is wrong. A build that has not
// changed may be stopped in one case of a hundred: it is wrong when the whole
// interval is above that. Twice the time may be overlooked in three.
const (
	mostFalse      = 0.01
	mostOverlooked = 0.03
	twice          = 1.0
)

// least is how many boots the last look of both sides takes.
func least() int {
	return 2 * compare.DefaultPlan().Last()
}

// minBoots is the smallest number of boots that have a spread.
const minBoots = 3

// A boot is one text with what is known of it.
type boot struct {
	name string
	text []byte
	time float64
	ops  []string // benchmark names that have a value
}

// readBoots reads the boots of a directory in the order in which they ran.
func readBoots(dir string) ([]boot, error) {
	names, err := filepath.Glob(filepath.Join(dir, record.BootFiles))
	if err != nil {
		return nil, err
	}
	var boots []boot
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		parsed, _, err := compare.ParseBoots(text, name)
		if err != nil {
			return nil, err
		}
		if len(parsed) != 1 || parsed[0].Run == nil {
			return nil, fmt.Errorf("%s: want one boot with its run line", name)
		}
		b := boot{name: name, text: text, time: parsed[0].Run.Time}
		for _, res := range parsed[0].Ops {
			if res.Status == record.OK && len(res.Values) > 0 {
				b.ops = append(b.ops, res.Op.Name)
			}
		}
		boots = append(boots, b)
	}
	if len(boots) < minBoots {
		return nil, fmt.Errorf("%s: %d boots; want at least %d", dir, len(boots), minBoots)
	}
	slices.SortStableFunc(boots, func(a, b boot) int { return cmp.Compare(a.time, b.time) })
	return boots, nil
}

// enough says that there are too few boots to split, or an odd number.
func enough(boots []boot, dir string) error {
	if len(boots) < least() || len(boots)%2 != 0 {
		return fmt.Errorf("%s: %d boots; want an even number from %d", dir, len(boots), least())
	}
	return nil
}

// A tally counts what the gate said of splits.
type tally struct {
	slower            float64
	named, others     int // splits in which the slowed op, and an op that was not slowed, was named
	passed, undecided int // splits with an op slowed that passed or could not be decided
	splits            int
}

// split judges many splits of boots, as they are and with one op slowed.
func split(boots []boot, o *options, w io.Writer) ([]string, error) {
	rng := rand.New(rand.NewPCG(o.seed, 1))
	tallies := []*tally{{}, {slower: 0.1}, {slower: 0.2}, {slower: 0.3}, {slower: 0.5}, {slower: twice}}
	for range o.splits {
		base, cand, stages := draw(rng, boots)
		op := ""
		if ops := common(boots); len(ops) > 0 {
			op = ops[rng.IntN(len(ops))]
		}
		for _, t := range tallies {
			if err := t.add(base, cand, stages, op); err != nil {
				return nil, err
			}
		}
	}
	render(w, tallies, len(boots))
	return verdict(tallies), nil
}

// draw makes a split: pairs of boots that ran one after the other, as many as
// the last look takes, the sides of each by chance.
func draw(rng *rand.Rand, boots []boot) (base, cand []boot, stages []int) {
	pairs := rng.Perm(len(boots) / 2)[:least()/2]
	slices.Sort(pairs)
	for _, p := range pairs {
		first := rng.IntN(2)
		base, cand = append(base, boots[2*p+first]), append(cand, boots[2*p+1-first])
	}
	for stage, k := range compare.DefaultPlan().Stages() {
		stages = append(stages, slices.Repeat([]int{stage + 1}, k)...)
	}
	return base, cand, stages
}

// common are the ops that have a value in every boot.
func common(boots []boot) []string {
	ops := slices.Clone(boots[0].ops)
	return slices.DeleteFunc(ops, func(op string) bool {
		return slices.ContainsFunc(boots, func(b boot) bool { return !slices.Contains(b.ops, op) })
	})
}

// add judges one split.
func (t *tally) add(base, cand []boot, stages []int, op string) error {
	sides := [2]compare.Side{{Name: "old"}, {Name: "new"}}
	for i := range stages {
		pair := [2]boot{base[i], cand[i]}
		if t.slower > 0 {
			pair[1].text = slow(pair[1].text, op, t.slower)
		}
		for side, b := range pair {
			parsed, _, err := compare.ParseBoots(b.text, b.name)
			if err != nil {
				return err
			}
			slot := 2*i + 1
			if b.time > pair[1-side].time {
				slot++
			}
			parsed[0].Boot = &record.Boot{Type: record.TypeBoot, Stage: stages[i], Slot: slot, Time: b.time}
			sides[side].Boots = append(sides[side].Boots, parsed[0])
		}
	}
	c, err := compare.Judge(&sides[0], &sides[1], compare.Options{Policy: anything()})
	if err != nil {
		return err
	}
	if c.Order.Interleaving != compare.Interleaved {
		return errors.New(c.Order.Reason)
	}
	t.count(compare.Gate(c), catalogue.Key(op))
	return nil
}

// anything is a policy that a machine of any noise meets: what is tried here is
// what the gate says of changes, not whether this machine is quiet.
func anything() *compare.Policy {
	p := compare.DefaultPolicy()
	p.Sensitivity = 1e3
	return p
}

func (t *tally) count(d *compare.Decision, id string) {
	t.splits++
	named, others := false, false
	others = slices.ContainsFunc(d.Movements, func(m compare.Movement) bool { return t.slower == 0 || string(m.Category) != category(id) })
	for _, f := range d.Regressions {
		if t.slower > 0 && f.Op == id {
			named = true
		} else {
			others = true
		}
	}
	switch {
	case d.Status == compare.CannotTell:
		t.undecided++
	case t.slower > 0 && !named:
		t.passed++
	}
	if named {
		t.named++
	}
	if others {
		t.others++
	}
}

// slow makes one op of a text slower: its times longer, its rates lower.
func slow(text []byte, op string, by float64) []byte {
	var out [][]byte
	for line := range bytes.Lines(text) {
		if fields := bytes.Fields(line); len(fields) > 3 && isResult(string(fields[0]), op) {
			for i := 2; i+1 < len(fields); i += 2 {
				v, err := strconv.ParseFloat(string(fields[i]), 64)
				if err != nil {
					break
				}
				switch kind := catalogue.UnitOf(string(fields[i+1])).Kind; {
				case kind == catalogue.Rate:
					v /= 1 + by
				case kind.IsTime():
					v *= 1 + by
				}
				fields[i] = strconv.AppendFloat(nil, v, 'g', -1, 64)
			}
			line = append(bytes.Join(fields, []byte("\t")), '\n')
		}
		out = append(out, line)
	}
	return bytes.Join(out, nil)
}

// isResult reports whether the first word of a line is the op's, with or
// without the number of processors.
func isResult(word, op string) bool {
	rest, ok := bytes.CutPrefix([]byte(word), []byte("Benchmark"+op))
	if !ok {
		return false
	}
	if len(rest) == 0 {
		return true
	}
	_, err := strconv.Atoi(string(rest[1:]))
	return rest[0] == '-' && err == nil
}

func render(w io.Writer, tallies []*tally, boots int) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.SetTitle("%d splits of %d boots of one build", tallies[0].splits, boots)
	t.AppendHeader(table.Row{"one op slowed", "named", "another named", "passed", "cannot tell"})
	for _, x := range tallies {
		of := func(n int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(x.splits)) }
		named, passed, what := of(x.named), of(x.passed), fmt.Sprintf("+%.0f %%", 100*x.slower)
		if x.slower == 0 {
			named, passed, what = "-", "-", "none"
		}
		t.AppendRow(table.Row{what, named, of(x.others), passed, of(x.undecided)})
	}
	t.Render()
}

// verdict says what is wrong.
func verdict(tallies []*tally) (wrong []string) {
	for _, t := range tallies {
		switch {
		case t.undecided == t.splits:
			wrong = append(wrong, fmt.Sprintf("at +%.0f %% no split could be decided", 100*t.slower))
		case t.slower == 0:
			if r := gatesim.NewRate(t.others, t.splits); r.Lo > mostFalse {
				wrong = append(wrong, fmt.Sprintf("%.1f %% of splits without a change are stopped (95 %% interval %.1f to %.1f %%), more than %.0f %%",
					100*r.Share(), 100*r.Lo, 100*r.Hi, 100*mostFalse))
			}
		case t.slower == twice && float64(t.passed) > mostOverlooked*float64(t.splits):
			wrong = append(wrong, fmt.Sprintf("twice the time is overlooked in %d of %d splits", t.passed, t.splits))
		}
	}
	return wrong
}

// category is the first part of an op's ID.
func category(id string) string {
	c, _, _ := strings.Cut(id, "/")
	return c
}
