package compare

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/termtext"
)

// This file has what is different where the boots of a stage are on several
// machines. A stage then is one stratum of blocks, one a machine: values are
// aligned, that is each less the middle of its block, so that they can be
// ranked and averaged over machines of any speed (Hodges and Lehmann 1962, Rank
// methods for combination of independent experiments in analysis of variance).
// Labels are permuted inside blocks only, so a difference between machines is
// never one between the sides, and the tests stay exact whatever the machines
// are.

// on returns the name of the machine that a boot ran on; "" where it does not
// say.
func on(b Boot) string {
	if b.Boot == nil {
		return ""
	}
	return b.Boot.Machine
}

// machinesOf returns the names of the machines in order; none where all boots are
// on one, or where one has boots of one side only: there is nothing then that
// tells the machine from the build.
func machinesOf(base, cand []Boot) []string {
	names := distinct(base, on)
	if len(names) < 2 || !slices.Equal(names, distinct(cand, on)) {
		return nil
	}
	return names
}

// blocked reports whether a stratum has several machines.
func (s Stratum) blocked() bool { return len(s.Blocks) > 1 }

// each calls f with the boots of each block.
func (s Stratum) each(f func(block int, base, cand []float64)) {
	o, n := 0, 0
	for i, b := range s.Blocks {
		f(i, s.Base[o:o+b[0]], s.Cand[n:n+b[1]])
		o, n = o+b[0], n+b[1]
	}
}

// aligned returns the stratum with the values of each block less their middle.
// One block stays as it is. Boots without a value are left out of the middle.
func (s Stratum) aligned() Stratum {
	if !s.blocked() {
		return s
	}
	out := Stratum{Base: slices.Clone(s.Base), Cand: slices.Clone(s.Cand), Blocks: s.Blocks}
	out.each(func(_ int, base, cand []float64) {
		there := numbers(slices.Concat(base, cand))
		if len(there) == 0 {
			return
		}
		centre := median(there)
		for _, side := range [][]float64{base, cand} {
			for i := range side {
				side[i] -= centre
			}
		}
	})
	return out
}

// present returns the stratum without the boots that have no value.
func (s Stratum) present() Stratum {
	out := Stratum{Base: numbers(s.Base), Cand: numbers(s.Cand)}
	if !s.blocked() {
		return out
	}
	s.each(func(_ int, base, cand []float64) {
		out.Blocks = append(out.Blocks, [2]int{len(numbers(base)), len(numbers(cand))})
	})
	return out
}

// cells are the boots of the sides in each block; of one machine, in all.
func (s Stratum) cells() [][2]int {
	if s.blocked() {
		return s.Blocks
	}
	return [][2]int{{len(s.Base), len(s.Cand)}}
}

// blockStages are the blocks of an aligned stratum in ranks over all of it.
// Old is moved by shift before.
func blockStages(s Stratum, shift float64) []stage {
	s = Stratum{Base: shifted(s.Base, shift), Cand: s.Cand, Blocks: s.Blocks}.aligned()
	all := ascending(slices.Concat(s.Base, s.Cand))
	midrank := func(v float64) int64 { // doubled
		lo, _ := slices.BinarySearchFunc(all, v, func(x, v float64) int {
			if x < v-sameT {
				return -1
			}
			return 1
		})
		hi, _ := slices.BinarySearchFunc(all, v, func(x, v float64) int {
			if x <= v+sameT {
				return -1
			}
			return 1
		})
		return int64(lo + hi + 1)
	}
	var out []stage
	s.each(func(_ int, base, cand []float64) {
		if len(base) == 0 || len(cand) == 0 {
			return
		}
		st := stage{n: len(cand), tied: true, size: len(all)}
		for _, v := range base {
			st.ranks = append(st.ranks, midrank(v))
		}
		for _, v := range cand {
			r := midrank(v)
			st.ranks, st.sum = append(st.ranks, r), st.sum+r
		}
		slices.Sort(st.ranks)
		out = append(out, st)
	})
	return out
}

// mostExact bounds the additions of an exact distribution over blocks. Beyond
// it, at some 30 boots a side on 10 machines, the sum of so many ranks is normal
// to two digits of a p-value of 1 in 10,000.
const mostExact = 2_000_000

// blockedP is P where a stratum has several machines: the distribution of the
// sum of aligned ranks when labels are permuted inside blocks, by convolution,
// or its normal approximation.
func (r *Ranker) blockedP(strata []Stratum, shift float64) float64 {
	return r.blockedPWithin(strata, shift, mostExact)
}

func (r *Ranker) blockedPWithin(strata []Stratum, shift, most float64) float64 {
	var stages []stage
	for _, s := range strata {
		switch {
		case len(s.Base) == 0 || len(s.Cand) == 0:
		case s.blocked():
			stages = append(stages, blockStages(s, shift)...)
		default:
			stages = append(stages, rank(s, shift))
		}
	}
	if len(stages) == 0 {
		return 1
	}
	scale := scales(stages)
	var t, width int64
	ways := 0.0
	var mean, variance float64
	for i, s := range stages {
		t += scale[i] * s.sum
		m, v := s.moments()
		mean, variance = mean+float64(scale[i])*m, variance+float64(scale[i]*scale[i])*v
		width += scale[i] * (s.ranks[len(s.ranks)-1] - s.ranks[0]) * int64(min(s.n, len(s.ranks)-s.n))
		ways += math.Min(math.Exp(logChoose(len(s.ranks), s.n)), float64(s.ranks[len(s.ranks)-1]-s.ranks[0]+1)*float64(s.n))
	}
	if ways*float64(width)/2 > most {
		if variance == 0 {
			return 1
		}
		const half = 1 // of a step of doubled ranks
		return math.Erfc((float64(t)-half-mean)/math.Sqrt(2*variance)) / 2
	}
	n := r.sums(stages, scale)
	n.cumulate()
	return n.atLeast(t)
}

// moments are the mean and the variance of the sum of New's ranks when every
// choice of n of them is equally likely.
func (s stage) moments() (mean, variance float64) {
	size := float64(len(s.ranks))
	for _, x := range s.ranks {
		mean += float64(x) / size
	}
	if size < 2 {
		return float64(s.n) * mean, 0
	}
	for _, x := range s.ranks {
		variance += (float64(x) - mean) * (float64(x) - mean) / (size - 1)
	}
	n := float64(s.n)
	return n * mean, variance * n * (size - n) / size
}

// anyBlocked reports whether a stratum has several machines.
func anyBlocked(strata []Stratum) bool { return slices.ContainsFunc(strata, Stratum.blocked) }

// blockedInterval is Interval where a stratum has several machines: the shifts
// that P does not reject, by bisection.
func (r *Ranker) blockedInterval(strata []Stratum, level float64) (shift, lo, hi float64) {
	tail := (1 - level) / 2
	shift = Shift(strata)
	d := pairwise(strata)
	lo, hi = math.Inf(-1), math.Inf(1)
	if len(d) == 0 {
		return math.NaN(), lo, hi
	}
	wide := d[len(d)-1] - d[0] + math.Abs(shift)*1e-6 + 1e-9
	turned := mirror(strata)
	limit := func(s []Stratum, centre float64) float64 {
		in, out := centre, centre-wide // "worse by more than out" is rejected, by more than in is not
		if r.P(s, out) > tail {
			return math.Inf(-1)
		}
		for range 24 {
			if mid := (in + out) / 2; r.P(s, mid) <= tail {
				out = mid
			} else {
				in = mid
			}
		}
		return out
	}
	return shift, limit(strata, shift), -limit(turned, -shift)
}

// slowerOn returns the machines on which a metric is slower by more than its
// budget, of all that measured it; none where there is one machine.
func (f *Finding) slowerOn(names []string) (slower, all []string) {
	shifts := make(map[string][]float64)
	for k, s := range f.strata {
		if !s.blocked() {
			continue
		}
		s.each(func(block int, base, cand []float64) {
			for _, o := range numbers(base) {
				for _, n := range numbers(cand) {
					name := f.blockNames[k][block]
					shifts[name] = append(shifts[name], n-o)
				}
			}
		})
	}
	for _, name := range names {
		if d := shifts[name]; len(d) > 0 {
			all = append(all, name)
			if median(d) > f.op.limit() {
				slower = append(slower, name)
			}
		}
	}
	return slower, all
}

// mostNames is how many machines a line names.
const mostNames = 5

// someMachines says of a metric that is slower on some machines only which ones,
// by their architecture where that tells them from the others; "" where it is
// slower on all, or there is one machine.
func (j *judge) someMachines(f *Finding) string {
	if f.op == nil || len(j.machines) == 0 {
		return ""
	}
	slower, all := f.slowerOn(j.machines)
	if len(slower) == 0 || len(slower) == len(all) {
		return ""
	}
	return fmt.Sprintf("slower on %d of %d machines: %s", len(slower), len(all), j.describeMachines(slower, all))
}

// describeMachines names machines, by what only they have in common of their
// architecture and processor.
func (j *judge) describeMachines(some, all []string) string {
	for _, of := range []func(Boot) string{arch, cpu} {
		in := make(map[string]bool)
		for _, b := range slices.Concat(j.base, j.cand) {
			if slices.Contains(some, on(b)) {
				in[of(b)] = true
			}
		}
		if len(in) != 1 || in[""] {
			continue
		}
		apart := !slices.ContainsFunc(slices.Concat(j.base, j.cand), func(b Boot) bool {
			return slices.Contains(all, on(b)) && !slices.Contains(some, on(b)) && in[of(b)]
		})
		if apart {
			return termtext.Cell(slices.Sorted(maps.Keys(in))[0])
		}
	}
	names := slices.Clone(some)
	if len(names) > mostNames {
		names = append(names[:mostNames:mostNames], fmt.Sprintf("%d more", len(some)-mostNames))
	}
	for i, n := range names {
		names[i] = termtext.Cell(n)
	}
	return strings.Join(names, ", ")
}

// orderOn checks the recorded order on each machine: boots elsewhere say nothing
// about it. Shards of one machine may have run in another order than that of
// their numbers, so time counts there.
func orderOn(all []place) Order {
	slices.SortStableFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.machine, b.machine), cmp.Compare(a.time, b.time), cmp.Compare(a.slot, b.slot))
	})
	lead := 0
	for i, p := range all {
		if i == 0 || all[i-1].machine != p.machine {
			lead = 0
		}
		if lead += 1 - 2*p.side; lead < -1 || lead > 1 {
			return Order{Sequential, fmt.Sprintf("on %s, after boot %d one side had run %d boots more than the other", p.machine, p.slot, max(lead, -lead))}
		}
	}
	return Order{Interleaved, ""}
}

// differencesOn compares the sides machine by machine, so that what differs
// between machines is no difference between the sides.
func differencesOn(machines []string, base, cand []Boot, vary []string) (out []Difference) {
	if len(machines) == 0 {
		return differences(base, cand, vary)
	}
	where := make(map[Difference][]string)
	for _, name := range machines {
		of := func(boots []Boot) []Boot {
			return slices.DeleteFunc(slices.Clone(boots), func(b Boot) bool { return on(b) != name })
		}
		for _, d := range differences(of(base), of(cand), vary) {
			if where[d] == nil {
				out = append(out, d)
			}
			where[d] = append(where[d], name)
		}
	}
	for i, d := range out {
		if n := where[d]; len(n) == 1 {
			out[i].Text += ", on " + n[0]
		} else {
			out[i].Text += fmt.Sprintf(", on %d of %d machines", len(n), len(machines))
		}
	}
	return out
}

// findBlocks finds the blocks of each stage, one a machine, and the machines of
// these: they are the same for every metric. Boots are in the order of machines
// inside a stage.
func (j *judge) findBlocks() {
	j.blocks, j.blockNames = make([][][2]int, max(1, len(j.stages))), make([][]string, max(1, len(j.stages)))
	if len(j.machines) == 0 {
		return
	}
	for side, boots := range [][]Boot{j.base, j.cand} {
		for _, b := range boots {
			at := 0
			if len(j.stages) > 1 {
				at = slices.Index(j.stages, stageOf(b))
			}
			i := slices.Index(j.blockNames[at], on(b))
			if i < 0 {
				i = len(j.blockNames[at])
				j.blockNames[at], j.blocks[at] = append(j.blockNames[at], on(b)), append(j.blocks[at], [2]int{})
			}
			j.blocks[at][i][side]++
		}
	}
}
