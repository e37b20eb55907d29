package history

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
)

// A cell is what one machine measured of one release.
type cell struct {
	machine, release int
	value            float64 // median of its boots, in log
}

// A fleet is the cells of one metric under one workload.
type fleet struct {
	machines []machine
	releases []Point // without values
	cells    []cell
}

// A machine has a level of its own in each environment: with another kernel or
// image it has another level, but who it is stays.
type machine struct{ level, who string }

// size counts the machines of a fleet.
func (f *fleet) size() int {
	who := make(map[string]bool)
	for _, m := range f.machines {
		who[m.who] = true
	}
	return len(who)
}

// overall returns the lines of several machines, by workload. The boot line or
// the label machine names a machine; boots without a name are of one machine for
// each kind of machine.
//
// Machines differ, and not every machine measures every release, so the levels
// of machines must not become those of releases. The model is the usual one of
// two factors: the logarithm of what a machine measured of a release is the
// level of the machine plus that of the release, fitted by least squares with
// one observation for each machine and release. A value of the line is what a
// machine measured over its own level, times the geometric mean of the levels;
// the point is the median of these. Machines that share no release, not even
// through others, cannot be put on one line, and get one each.
func overall(lines map[lineKey]*collected) []Line {
	if !several(lines) {
		return nil
	}
	byWorkload := make(map[string]map[string]*collected)
	for k, l := range lines {
		if byWorkload[k.workload] == nil {
			byWorkload[k.workload] = make(map[string]*collected)
		}
		byWorkload[k.workload][k.environment] = l
	}
	var out []Line
	for _, workload := range slices.Sorted(maps.Keys(byWorkload)) {
		f, ok := newFleet(byWorkload[workload])
		if !ok {
			continue
		}
		for _, part := range f.connected() {
			if part.size() > 1 && len(part.releases) > 1 {
				out = append(out, part.line(workload))
			}
		}
	}
	slices.SortFunc(out, func(a, b Line) int {
		return cmp.Or(a.Points[0].Time.Compare(b.Points[0].Time), strings.Compare(a.Workload, b.Workload), strings.Compare(a.Points[0].Title, b.Points[0].Title))
	})
	return out
}

// several reports whether more than one machine is in the lines: most
// histories are of one, and their lines may be long.
func several(lines map[lineKey]*collected) bool {
	if len(lines) > 1 {
		return true
	}
	first, known := "", false
	for _, l := range lines {
		for _, p := range l.points {
			for _, m := range p.machines {
				if known && m != first {
					return true
				}
				first, known = m, true
			}
		}
	}
	return false
}

// newFleet sorts the values of the lines of one workload by machine. Values
// without a logarithm, and one machine alone, make no fleet.
func newFleet(lines map[string]*collected) (*fleet, bool) {
	type place struct {
		machine
		title string
	}
	values := make(map[place][]float64)
	machines, releases := make(map[machine]bool), make(map[string]Point)
	for env, l := range lines {
		kind := l.environment.key([]string{"kernel", "image"})
		for title, p := range l.points {
			for i, v := range p.Values {
				if v <= 0 {
					return nil, false
				}
				m := machine{env + "\x00" + p.machines[i], kind + "\x00" + p.machines[i]}
				machines[m] = true
				values[place{m, title}] = append(values[place{m, title}], v)
			}
			all, known := releases[title]
			all.Title, all.Runs = title, slices.Concat(all.Runs, p.Runs)
			if !known || p.Time.Before(all.Time) {
				all.Time = p.Time
			}
			releases[title] = all
		}
	}
	if len(machines) < 2 {
		return nil, false
	}
	f := &fleet{releases: slices.Collect(maps.Values(releases))}
	f.machines = slices.SortedFunc(maps.Keys(machines), func(a, b machine) int { return strings.Compare(a.level, b.level) })
	sortPoints(f.releases)
	titles := make(map[string]int)
	for i, r := range f.releases {
		titles[r.Title] = i
	}
	for i, m := range f.machines {
		for title, j := range titles {
			if v := values[place{m, title}]; len(v) > 0 {
				f.cells = append(f.cells, cell{i, j, math.Log(median(v))})
			}
		}
	}
	slices.SortFunc(f.cells, func(a, b cell) int { return cmp.Or(a.machine-b.machine, a.release-b.release) })
	return f, true
}

// connected returns the parts of a fleet whose machines share releases,
// directly or through others.
func (f *fleet) connected() []*fleet {
	// Each machine and release begins as a part of its own; a cell joins two.
	part := make([]int, len(f.machines)+len(f.releases))
	for i := range part {
		part[i] = i
	}
	find := func(i int) int {
		for part[i] != i {
			part[i] = part[part[i]]
			i = part[i]
		}
		return i
	}
	for _, c := range f.cells {
		part[find(c.machine)] = find(len(f.machines) + c.release)
	}
	var out []*fleet
	places, machines, releases := make(map[int]*fleet), make([]int, len(f.machines)), make([]int, len(f.releases))
	for i, m := range f.machines {
		p := places[find(i)]
		if p == nil {
			p = new(fleet)
			places[find(i)], out = p, append(out, p)
		}
		machines[i] = len(p.machines)
		p.machines = append(p.machines, m)
	}
	for j, r := range f.releases {
		p := places[find(len(f.machines)+j)]
		releases[j] = len(p.releases)
		p.releases = append(p.releases, r)
	}
	for _, c := range f.cells {
		p := places[find(c.machine)]
		p.cells = append(p.cells, cell{machines[c.machine], releases[c.release], c.value})
	}
	return out
}

// levels fits the two factors and returns the levels of the machines. Each
// turn sets the releases to what the machines leave, then the machines to what
// the releases leave: the error falls by a constant factor a turn.
func (f *fleet) levels() []float64 {
	const turns, enough = 10_000, 1e-9 // of the logarithm
	machines := make([]float64, len(f.machines))
	for range turns {
		releases := means(f.cells, len(f.releases), func(c cell) (int, float64) { return c.release, c.value - machines[c.machine] })
		next := means(f.cells, len(f.machines), func(c cell) (int, float64) { return c.machine, c.value - releases[c.release] })
		moved := 0.0
		for i := range next {
			moved = max(moved, math.Abs(next[i]-machines[i]))
		}
		machines = next
		if moved < enough {
			break
		}
	}
	return machines
}

// means returns the mean of the values at each of n places.
func means(cells []cell, n int, at func(cell) (int, float64)) []float64 {
	sums, counts := make([]float64, n), make([]float64, n)
	for _, c := range cells {
		i, v := at(c)
		sums[i] += v
		counts[i]++
	}
	for i := range sums {
		sums[i] /= counts[i] // each place has a cell
	}
	return sums
}

// line draws a part.
func (f *fleet) line(workload string) Line {
	levels := f.levels()
	middle := 0.0
	for _, l := range levels {
		middle += l / float64(len(levels))
	}
	out := Line{Workload: workload, Machines: f.size(), Points: slices.Clone(f.releases)}
	for _, c := range f.cells {
		p := &out.Points[c.release]
		p.Values = append(p.Values, math.Exp(c.value-levels[c.machine]+middle))
	}
	for i := range out.Points {
		p := &out.Points[i]
		slices.Sort(p.Runs)
		p.Runs, p.Median = slices.Compact(p.Runs), median(p.Values)
	}
	return out
}
