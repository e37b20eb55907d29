package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// clip is how many median absolute deviations from the median a value counts
// at most before the last look: t of clipped values is nearly as powerful as t
// where boots are normal, and a slow boot does not spoil it.
const clip = 2

// Where the labels can be permuted in more ways than maxWays, so many are
// drawn, with a fixed seed. 6 and 4 boots a side have 64,680.
const (
	maxWays = 70_000
	drawn   = 10_000
)

// A statistic below hopeless standard deviations of its own permutations has a
// p-value near 0.02 by itself, and a larger one over the family: it is not
// worth permuting at levels up to hopelessLevel.
const (
	hopeless      = 2.0
	hopelessLevel = 0.01
)

// clippedMaxT returns the p-values over the family of the given members, and 1
// for those above level, by the step-down maxT procedure of
// Westfall and Young (1993): t of values clipped at clip deviations about the
// stage's median, with the labels of whole boots permuted inside stages. Every
// member of the family counts with the stages that it has.
//
// Clipping knows no labels and boots of a stage are exchangeable when nothing
// changed, so the test is exact.
func (r *replay) clippedMaxT(members []int, level float64) map[int]float64 {
	shape := r.shape()
	stats := make([]clipped, len(r.all))
	for i := range r.all {
		stats[i] = r.clipped(i, shape)
	}
	out := make(map[int]float64)
	var order []int
	for _, i := range members {
		if out[i] = 1; level > hopelessLevel || stats[i].observed >= hopeless*stats[i].sd {
			order = append(order, i)
		}
	}
	if len(order) == 0 {
		return out
	}
	slices.SortStableFunc(order, func(a, b int) int { return -compareFloat(stats[a].observed, stats[b].observed) })
	perms := r.rk.permutations(shape)
	family := make([]*permuted, len(stats))
	for i := range stats {
		family[i] = &permuted{scores: stats[i].scores, most: mostOf(stats[i].scores, shape)}
	}
	running := 0.0
	for _, i := range order {
		if running <= level {
			running = max(running, perms.share(stats[i].observed, level, family, i))
			family[i] = nil // rejected: no longer in the way
		}
		out[i] = running
	}
	return out
}

// permuted is a member whose labels are permuted.
type permuted struct {
	scores [][]float64
	most   float64     // no way to choose labels makes its statistic larger
	sums   [][]float64 // of each stage and way, once they were asked for
}

// mostOf is the sum of the largest scores of each stage.
func mostOf(scores [][]float64, shape [][2]int) (most float64) {
	for s, own := range scores {
		if own != nil {
			own = ascending(own)
			for _, x := range own[len(own)-shape[s][1]:] {
				most += x
			}
		}
	}
	return most
}

// clipped is one member: its scores by stage and boot, candidate boots after
// base ones, the observed statistic, and the standard deviation that it has
// when labels are permuted.
type clipped struct {
	scores       [][]float64
	observed, sd float64
}

// shape is the boots of the sides in each block of each stage. A member that
// lacks boots counts as if they were at the mean.
func (r *replay) shape() [][2]int {
	blocks := make([][][2]int, r.Stages)
	for i := range r.all {
		for k, stage := range r.all[i].stages {
			for b, cell := range r.all[i].Tested[k].cells() {
				if b == len(blocks[stage]) {
					blocks[stage] = append(blocks[stage], [2]int{})
				}
				blocks[stage][b] = [2]int{max(blocks[stage][b][0], cell[0]), max(blocks[stage][b][1], cell[1])}
			}
		}
	}
	var out [][2]int
	r.first = r.first[:0]
	for _, cells := range blocks {
		r.first = append(r.first, len(out))
		out = append(out, cells...)
	}
	return out
}

func (r *replay) clipped(i int, shape [][2]int) clipped {
	c := clipped{scores: make([][]float64, len(shape))}
	var square float64
	for k, stratum := range r.all[i].Tested {
		s, cand := r.all[i].stages[k], stratum.Cand
		if !r.ops[i].Linear && r.plan.Margin != 0 {
			cand = shifted(cand, -r.plan.Margin)
		}
		values := clipValues(stratum.Base, cand)
		clippedBoots := Stratum{Base: values[:len(stratum.Base)], Cand: values[len(stratum.Base):], Blocks: stratum.cells()}
		clippedBoots.each(func(block int, base, cand []float64) {
			size := shape[r.first[s]+block]
			scores := make([]float64, size[0]+size[1])
			n := float64(len(base) + len(cand))
			var mean float64
			for _, v := range base {
				mean += v / n
			}
			for _, v := range cand {
				mean += v / n
			}
			for k, v := range base {
				scores[k] = v - mean
				square += scores[k] * scores[k]
			}
			for k, v := range cand {
				scores[size[0]+k] = v - mean
				square += scores[size[0]+k] * scores[size[0]+k]
			}
			c.scores[r.first[s]+block] = scores
		})
	}
	var variance float64
	for s, scores := range c.scores {
		var own float64
		for k := range scores {
			if square > 0 {
				scores[k] /= math.Sqrt(square)
			}
			if k >= shape[s][0] {
				c.observed += scores[k]
			}
			own += scores[k] * scores[k]
		}
		if n := float64(len(scores)); n > 1 {
			variance += own * float64(shape[s][0]*shape[s][1]) / (n * (n - 1))
		}
	}
	c.sd = math.Sqrt(variance)
	return c
}

// clipValues returns the values of both sides, those beyond clip deviations of
// their median put there.
func clipValues(base, cand []float64) []float64 {
	values := slices.Concat(base, cand)
	centre, mad := medianMAD(slices.Clone(values))
	if mad > 0 {
		for k, v := range values {
			values[k] = max(centre-clip*mad, min(centre+clip*mad, v))
		}
	}
	return values
}

// permutations are ways to say which boots of each stage are the candidate's:
// every combination of the stages' ways, or drawn ones.
type permutations struct {
	stages []ways
	drawn  int // so many drawn combinations; 0: all
}

// ways are those of one stage: for each, which boots are the candidate's, a bit
// each in bytes of width boots.
type ways struct {
	chosen []uint8 // the bytes of each way after one another
	bytes  int     // of a way
	width  int
	at     []uint16 // of each drawn combination, the way; nil: the one in step
}

func (w *ways) number() int { return len(w.chosen) / max(w.bytes, 1) }

// permutations returns those of a shape, which are the same every time.
func (r *Ranker) permutations(shape [][2]int) permutations {
	key := fmt.Sprint(shape)
	p, ok := r.perms[key]
	if !ok {
		p = permutationsOf(shape)
		r.perms[key] = p
	}
	return p
}

func permutationsOf(shape [][2]int) permutations {
	total := 1.0
	for _, s := range shape {
		total *= math.Exp(logChoose(s[0]+s[1], s[1]))
	}
	p := permutations{stages: make([]ways, len(shape))}
	if total > maxWays {
		p.drawn = drawn
	}
	rng := rand.New(rand.NewPCG(1, 1)) // fixed: the same boots have the same p-value
	for s, k := range shape {
		w := &p.stages[s]
		n := k[0] + k[1]
		w.bytes = (n + 7) / 8
		w.width = (n + w.bytes - 1) / w.bytes
		if own := math.Exp(logChoose(n, k[1])); p.drawn == 0 || own < drawn {
			subsets(n, k[1], w.add)
			for range p.drawn {
				w.at = append(w.at, uint16(rng.IntN(w.number())))
			}
			continue
		}
		order := make([]int, n)
		for range p.drawn {
			for i := range order {
				order[i] = i
			}
			for i := range k[1] {
				j := i + rng.IntN(n-i)
				order[i], order[j] = order[j], order[i]
			}
			w.add(order[:k[1]])
		}
	}
	return p
}

func (w *ways) add(chosen []int) {
	from := len(w.chosen)
	w.chosen = append(w.chosen, make([]uint8, w.bytes)...)
	for _, boot := range chosen {
		w.chosen[from+boot/w.width] |= 1 << (boot % w.width)
	}
}

// sums returns the sum of the scores that each way makes the candidate's. The
// sums of every choice of a byte's boots are made once.
func (w *ways) sums(scores []float64) []float64 {
	tables := make([][]float64, w.bytes)
	for b := range tables {
		own := scores[b*w.width : min((b+1)*w.width, len(scores))]
		t := make([]float64, 1<<len(own))
		for k, x := range own {
			for i, sum := range t[:1<<k] {
				t[1<<k+i] = sum + x
			}
		}
		tables[b] = t
	}
	out := make([]float64, w.number())
	for b, t := range tables {
		for i := range out {
			out[i] += t[w.chosen[i*w.bytes+b]]
		}
	}
	return out
}

// share returns the share of permutations in which any member's statistic is
// at least observed; 1 where that is more than level. Members that are nil do
// not count. The one that was observed is tried first: it is the likeliest to
// settle it.
func (p permutations) share(observed, level float64, family []*permuted, first int) float64 {
	n := p.number()
	s := search{least: observed - sameT, reached: make([]bool, n)}
	if p.drawn > 0 {
		n, s.hits = n+1, 1 // the labels as they are
	}
	s.allowed = int(level * float64(n) * (1 + 1e-9))
	for k := range family {
		m := family[(first+k)%len(family)]
		if m == nil || m.most < s.least {
			continue
		}
		if m.sums == nil {
			m.sums = make([][]float64, len(p.stages))
			for i := range p.stages {
				if m.scores[i] != nil {
					m.sums[i] = p.stages[i].sums(m.scores[i])
				}
			}
		}
		if p.drawn > 0 {
			s.inDrawn(m.sums, p)
		} else {
			s.combined(m.sums, p.stages)
		}
		if s.hits > s.allowed {
			return 1
		}
	}
	return float64(s.hits) / float64(n)
}

// search counts permutations in which a member reaches least, until there are
// more than allowed.
type search struct {
	least         float64
	allowed, hits int
	reached       []bool // of each permutation
}

func (s *search) at(permutation int, t float64) {
	if t >= s.least && !s.reached[permutation] {
		s.reached[permutation] = true
		s.hits++
	}
}

func (s *search) inDrawn(sums [][]float64, p permutations) {
	for k := 0; k < p.drawn && s.hits <= s.allowed; k++ {
		var t float64
		for i, own := range sums {
			switch at := p.stages[i].at; {
			case own == nil:
			case at != nil:
				t += own[at[k]]
			default:
				t += own[k]
			}
		}
		s.at(k, t)
	}
}

// combined goes through the combinations of all stages but the last, and
// through the last one only where it can reach least.
func (s *search) combined(sums [][]float64, stages []ways) {
	end := len(stages) - 1
	ways, before := stages[end].number(), 1
	for i := range stages[:end] {
		before *= stages[i].number()
	}
	last := sums[end]
	if last == nil {
		last = make([]float64, ways)
	}
	most := slices.Max(last)
	for k := 0; k < before && s.hits <= s.allowed; k++ {
		var t float64
		rest := k
		for i, own := range sums[:end] {
			n := stages[i].number()
			if own != nil {
				t += own[rest%n]
			}
			rest /= n
		}
		if t+most < s.least {
			continue
		}
		for w, x := range last {
			s.at(k*ways+w, t+x)
		}
	}
}

// number is how many permutations there are.
func (p permutations) number() int {
	if p.drawn > 0 {
		return p.drawn
	}
	n := 1
	for i := range p.stages {
		n *= p.stages[i].number()
	}
	return n
}
