package compare

import "slices"

// FleetPlan returns the default plan for boots on so many machines.
func FleetPlan(machines int) Plan {
	p := DefaultPlan()
	if p.Machines = machines; machines > 1 {
		p.Looks = []int{8, 14, 20}
	}
	return p
}

// MinBlockPairs is the fewest pairs of boots that a machine measures of a stage
// with as many. The labels of one pair can be permuted in two ways, those of two
// pairs in six, so that two slow boots leave a plan able to reject.
const MinBlockPairs = 2

// BlocksOf returns how many pairs each of so many machines measures of a stage.
func BlocksOf(pairs, machines int) []int {
	n := max(1, min(machines, pairs/MinBlockPairs))
	out := make([]int, n)
	for i := range out {
		out[i] = (i+1)*pairs/n - i*pairs/n
	}
	return out
}

// blocks are the boots of the sides in each stage, by machine.
func (p Plan) blocks() [][][2]int {
	var out [][][2]int
	for _, k := range p.Stages() {
		var cells [][2]int
		for _, n := range BlocksOf(k, p.Machines) {
			cells = append(cells, [2]int{n, n})
		}
		out = append(out, cells)
	}
	return out
}

// cells are the boots of the sides in each stage and on each machine.
func (p Plan) cells() [][2]int { return slices.Concat(p.blocks()...) }

// canRejectBlocks is CanReject where a stage is on several machines.
func (p Plan) canRejectBlocks(rk *Ranker, m int) error {
	able := func(last int) bool {
		q := p
		q.Looks = slices.Clone(p.Looks)
		q.Looks[len(q.Looks)-1] = last
		return worstBlocks(rk, q.blocks()) <= p.Alpha/float64(max(m, 1))
	}
	if able(p.Last()) {
		return nil
	}
	need := p.Last() + 1
	for need < MaxBoots && !able(need) {
		need++
	}
	return &UnderpoweredError{Ops: m, Boots: p.Last(), Need: need}
}

// worstOf is the largest p-value that strata of these sizes give when all new
// boots are slower than the old ones but BadBoots, which are slower than all.
func worstOf(rk *Ranker, strata []Stratum) float64 {
	if !anyBlocked(strata) {
		return worstP(rk, sizes(strata))
	}
	var stages [][][2]int
	for _, s := range strata {
		stages = append(stages, s.cells())
	}
	return worstBlocks(rk, stages)
}

// worstBlocks is that of boots on several machines: both bad boots are on the
// machine with the fewest that has two, or on the two machines with the fewest.
func worstBlocks(rk *Ranker, stages [][][2]int) float64 {
	cells := slices.Concat(stages...)
	var order []int
	total := 0
	for i, c := range cells {
		if total += c[0]; c[0] > 0 && c[1] > 0 {
			order = append(order, i)
		}
	}
	if total <= BadBoots || len(order) < BadBoots {
		return 1 // every old boot may be a bad one, or there is one machine
	}
	slices.SortStableFunc(order, func(a, b int) int { return cells[a][0] - cells[b][0] })
	places := [][]int{order[:BadBoots]}
	if i := slices.IndexFunc(order, func(i int) bool { return cells[i][0] >= BadBoots }); i >= 0 {
		places = append(places, slices.Repeat([]int{order[i]}, BadBoots))
	}
	worst := 0.0
	for _, where := range places {
		bad := make(map[int]int)
		for _, cell := range where {
			bad[cell]++
		}
		worst = max(worst, rk.P(separatedBlocks(stages, bad), 0))
	}
	return worst
}

// separatedBlocks are values whose candidate boots are above all base ones of
// their block but the bad, so many in a cell.
func separatedBlocks(stages [][][2]int, bad map[int]int) (out []Stratum) {
	cell := 0
	for _, cells := range stages {
		s := Stratum{Blocks: cells}
		for _, n := range cells {
			for j := range n[0] {
				base := -1 - float64(j)/100 - float64(cell)/10_000
				if j < bad[cell] {
					base = 3
				}
				s.Base = append(s.Base, base)
			}
			for j := range n[1] {
				s.Cand = append(s.Cand, 1+float64(j)/100+float64(cell)/10_000)
			}
			cell++
		}
		out = append(out, s)
	}
	return out
}
