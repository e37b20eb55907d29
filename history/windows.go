package history

import (
	"cmp"
	"math"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
)

// This file searches a sequence of releases that is longer than a window.

// Find returns the changes of a sequence of values in log, in order. Of a
// sequence longer than two windows each window is searched by itself, with
// half a window on both sides, so that the time grows with its length and no
// faster.
func (d Detector) Find(x []float64) []Change {
	if d.Window < 2*d.Side || len(x) <= 2*d.Window {
		return d.find(x, 0, d.split)
	}
	splits := d.splits(x)
	blocks := make([][]Change, (len(x)+d.Window-1)/d.Window)
	inParallel(len(blocks), func(i int) { blocks[i] = d.block(x, i*d.Window, splits) })
	return d.distinct(slices.Concat(blocks...))
}

// inParallel calls f with 0 to n-1 on all processors.
func inParallel(n int, f func(i int)) {
	var all errgroup.Group
	all.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		all.Go(func() error {
			f(i)
			return nil
		})
	}
	_ = all.Wait() // none returns an error
}

// splits returns the candidates of every window that the blocks of a long
// sequence look at, by where it begins and ends. Neighbouring blocks share
// windows, and the search in one is most of the work.
func (d Detector) splits(x []float64) map[[2]int][]int {
	var windows [][2]int
	for from := 0; from < len(x); from += d.Window {
		lo, hi := d.bounds(x, from)
		windows = append(windows, d.windows(lo, hi)...)
	}
	slices.SortFunc(windows, func(a, b [2]int) int { return cmp.Or(a[0]-b[0], a[1]-b[1]) })
	windows = slices.Compact(windows)
	found := make([][]int, len(windows))
	inParallel(len(windows), func(i int) { found[i] = d.split(x[windows[i][0]:windows[i][1]], windows[i][0]) })
	out := make(map[[2]int][]int, len(windows))
	for i, w := range windows {
		out[w] = found[i]
	}
	return out
}

// bounds returns what is looked at for the window that begins at from.
func (d Detector) bounds(x []float64, from int) (lo, hi int) {
	return max(0, from-d.Window/2), min(len(x), from+d.Window+d.Window/2)
}

// windows returns the windows of a part of a sequence, which overlap by half.
func (d Detector) windows(lo, hi int) (out [][2]int) {
	for from := lo; ; from += max(1, d.Window/2) {
		to := min(hi, from+d.Window)
		out = append(out, [2]int{from, to})
		if to == hi {
			return out
		}
	}
}

// block returns the changes in the window that begins at from, and those as
// little outside of it as their place may be off.
func (d Detector) block(x []float64, from int, splits map[[2]int][]int) []Change {
	lo, hi := d.bounds(x, from)
	var out []Change
	known := func(part []float64, at int) []int { return splits[[2]int{at, at + len(part)}] }
	for _, c := range d.find(x[lo:hi], lo, known) {
		if c.At += lo; c.At >= from-d.Side && c.At < min(len(x), from+d.Window)+d.Side {
			out = append(out, c)
		}
	}
	return out
}

// distinct keeps one of the changes that two windows found at one place: the
// one that stands out more.
func (d Detector) distinct(changes []Change) []Change {
	slices.SortStableFunc(changes, func(a, b Change) int { return a.At - b.At })
	var out []Change
	for _, c := range changes {
		last := len(out) - 1
		switch {
		case last < 0 || c.At-out[last].At >= d.Side:
			out = append(out, c)
		case math.Abs(c.Wander) > math.Abs(out[last].Wander):
			out[last] = c
		}
	}
	return out
}
