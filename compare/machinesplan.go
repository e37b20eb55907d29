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

// cells are the boots of the sides in each stage and on each machine.
func (p Plan) cells() (out [][2]int) {
	for _, k := range p.Stages() {
		for _, n := range BlocksOf(k, p.Machines) {
			out = append(out, [2]int{n, n})
		}
	}
	return out
}

// canRejectBlocks is CanReject where a stage is on several machines.
func (p Plan) canRejectBlocks(rk *Ranker, m int) error {
	able := func(last int) bool {
		q := p
		q.Looks = slices.Clone(p.Looks)
		q.Looks[len(q.Looks)-1] = last
		return q.worstBlocks(rk) <= p.Alpha/float64(max(m, 1))
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

// worstBlocks is the larger p-value of fully separated data with BadBoots base
// boots above everything: both on the machine with the fewest boots, or on two.
func (p Plan) worstBlocks(rk *Ranker) float64 {
	cells := p.cells()
	order := make([]int, len(cells))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cells[a][0] - cells[b][0] })
	if cells[order[0]][0] < BadBoots || len(cells) < BadBoots {
		return 1
	}
	worst := 0.0
	for _, where := range [][]int{{order[0], order[0]}, {order[0], order[1]}} {
		bad := make(map[int]int)
		for _, cell := range where {
			bad[cell]++
		}
		worst = max(worst, rk.P(p.separatedBlocks(bad), 0))
	}
	return worst
}

// separatedBlocks are values whose candidate boots are above all base ones of
// their block but the bad, so many in a cell.
func (p Plan) separatedBlocks(bad map[int]int) (out []Stratum) {
	cell := 0
	for _, k := range p.Stages() {
		var s Stratum
		for _, n := range BlocksOf(k, p.Machines) {
			for j := range n {
				base := -1 - float64(j)/100 - float64(cell)/10_000
				if j < bad[cell] {
					base = 3
				}
				s.Base, s.Cand = append(s.Base, base), append(s.Cand, 1+float64(j)/100+float64(cell)/10_000)
			}
			s.Blocks = append(s.Blocks, [2]int{n, n})
			cell++
		}
		out = append(out, s)
	}
	return out
}
