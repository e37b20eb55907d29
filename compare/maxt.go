package compare

import (
	"math"
	"slices"
)

// FewLevel returns the level of MaxT for so many boots a side. Permuting the
// labels in every way is exact where all boots are alike, which those of a busy
// machine are not quite. 5 a side have so few ways that they stay well below
// 1 %; 6 and 7 do so at half of it, and have the power for it.
func FewLevel(boots int) float64 {
	if boots > MinFewBoots {
		return 0.005
	}
	return 0.01
}

// MaxT returns p-values adjusted for testing all ops at once, by the step-down
// maxT procedure of Westfall and Young (1993): the t statistics of all ops are
// compared with their largest under every permutation of the labels base and
// candidate over whole boots. It keeps what ops have in common and how far the
// sides are apart, so it can reject where ranks of so few boots never could;
// and it is exact, so there is no seed. All strata hold the same boots in the
// same order; larger is worse.
func MaxT(ops []Stratum) []float64 {
	if len(ops) == 0 {
		return nil
	}
	base, n := len(ops[0].Base), len(ops[0].Base)+len(ops[0].Cand)
	scores := make([][]float64, len(ops))
	observed := make([]float64, len(ops))
	for i, s := range ops {
		scores[i] = standardised(slices.Concat(s.Base, s.Cand))
		for _, x := range scores[i][base:] {
			observed[i] += x
		}
	}
	order := make([]int, len(ops))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return -compareFloat(observed[a], observed[b]) })
	ranked, least := make([][]float64, len(ops)), make([]float64, len(ops))
	for r, i := range order {
		ranked[r], least[r] = scores[i], observed[i]-sameT
	}
	hits, total := make([]int, len(ops)), 0
	subsetSums(ranked, n-base, func(sums []float64) {
		total++
		most := math.Inf(-1)
		for r := len(sums) - 1; r >= 0; r-- {
			if sums[r] > most {
				most = sums[r]
			}
			if most >= least[r] {
				hits[r]++
			}
		}
	})
	out := make([]float64, len(ops))
	running := 0.0
	for r, i := range order {
		running = max(running, float64(hits[r])/float64(total))
		out[i] = running
	}
	return out
}

// sameT is how far apart sums of the same scores may come out.
const sameT = 1e-9

// standardised returns the values less their mean, in units of the root of
// their sum of squares. The sum of the new ones grows with Student's t, and
// compares between ops as that does.
func standardised(values []float64) []float64 {
	var mean, square float64
	for _, v := range values {
		mean += v / float64(len(values))
	}
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v - mean
		square += out[i] * out[i]
	}
	for i := range out {
		if square > 0 {
			out[i] /= math.Sqrt(square)
		}
	}
	return out
}

// subsets calls f with every choice of k of n, ascending.
func subsets(n, k int, f func([]int)) {
	chosen := make([]int, k)
	var choose func(from, have int)
	choose = func(from, have int) {
		if have == k {
			f(chosen)
			return
		}
		for i := from; i <= n-(k-have); i++ {
			chosen[have] = i
			choose(i+1, have+1)
		}
	}
	choose(0, 0)
}

// subsetSums calls f with the sum of the chosen scores of each op, for every
// choice of k boots in the order of subsets. Choices that begin alike share the
// sum of their beginning: that is most of the work of MaxT.
func subsetSums(ops [][]float64, k int, f func(sums []float64)) {
	n := len(ops[0])
	boots := make([][]float64, n)
	for boot := range boots {
		for _, scores := range ops {
			boots[boot] = append(boots[boot], scores[boot])
		}
	}
	sums := make([][]float64, k+1)
	for have := range sums {
		sums[have] = make([]float64, len(ops))
	}
	var choose func(from, have int)
	choose = func(from, have int) {
		if have == k {
			f(sums[k])
			return
		}
		begun, next := sums[have], sums[have+1]
		for boot := from; boot <= n-(k-have); boot++ {
			for i, score := range boots[boot] {
				next[i] = begun[i] + score
			}
			choose(boot+1, have+1)
		}
	}
	choose(0, 0)
}

func sumOf(scores []float64, chosen []int) (sum float64) {
	for _, boot := range chosen {
		sum += scores[boot]
	}
	return sum
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
