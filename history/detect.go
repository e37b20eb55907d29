package history

import (
	"math"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// fewestOps is how many metrics a release must have for the movement that
// they share to be taken out. Of fewer, one that changed would be a large
// part of it.
const fewestOps = 8

// detect finds the changes of all lines. What all ops of a release share, a
// slower machine or a warmer day, says nothing about one op; the median of
// how far they are from their usual level is taken out of each. A build that
// makes everything slower moves that median, which Suite looks at.
func detect(trends []Trend, d Detector) {
	shared := common(trends)
	for _, t := range trends {
		for _, l := range t.all() {
			x, ok := oriented(t.Better, l.Points)
			if !ok {
				continue
			}
			if c := shared[l.group()]; c != nil {
				l.Common = true
				for k, p := range l.Points {
					x[k] -= c[p.Title]
				}
			}
			l.Changes = d.Find(x)
		}
	}
}

// all returns the lines of a trend, the overall ones last.
func (t Trend) all() []*Line {
	var out []*Line
	for _, lines := range [][]Line{t.Lines, t.Overall} {
		for i := range lines {
			out = append(out, &lines[i])
		}
	}
	return out
}

// oriented returns the medians of the points in log, larger is worse. A
// metric without a direction, or with a value that has no logarithm, has no
// such form.
func oriented(better catalogue.Direction, points []Point) ([]float64, bool) {
	sign := 1.0
	switch better {
	case catalogue.Higher:
		sign = -1
	case catalogue.Lower:
	default:
		return nil, false
	}
	out := make([]float64, len(points))
	for i, p := range points {
		if p.Median <= 0 {
			return nil, false
		}
		out[i] = sign * math.Log(p.Median)
	}
	return out, true
}

// common returns, by machine and release, how far its metrics are from their
// usual level, in log, larger is worse; nil for a machine on which too few
// metrics were measured.
func common(trends []Trend) map[string]map[string]float64 {
	away := make(map[string]map[string][]float64)
	lines := make(map[string]int)
	for _, t := range trends {
		for _, l := range t.all() {
			x, ok := oriented(t.Better, l.Points)
			if !ok || len(x) < 3 {
				continue
			}
			key, usual := l.group(), median(x)
			lines[key]++
			if away[key] == nil {
				away[key] = make(map[string][]float64)
			}
			for i, p := range l.Points {
				away[key][p.Title] = append(away[key][p.Title], x[i]-usual)
			}
		}
	}
	out := make(map[string]map[string]float64)
	for key, releases := range away {
		if lines[key] < fewestOps {
			continue
		}
		out[key] = make(map[string]float64)
		for title, values := range releases {
			if len(values) >= fewestOps {
				out[key][title] = median(values)
			}
		}
	}
	return out
}

// A SuiteLine is the movement that all ops of one machine share.
type SuiteLine struct {
	Where   string // the machine, or that it is of several
	Titles  []string
	Away    []float64 // in log from the usual level, larger is worse
	Changes []Change
}

// Suite returns the movement that all ops share, by machine, with its
// changes: everything became slower, or the machine did.
func Suite(trends []Trend, d Detector) []SuiteLine {
	shared := common(trends)
	var out []SuiteLine
	seen := make(map[string]bool)
	for _, t := range trends {
		for _, l := range t.all() {
			key := l.group()
			c := shared[key]
			if c == nil || seen[key] || len(l.Points) < len(c) {
				continue // a line with all releases tells their order
			}
			seen[key] = true
			s := SuiteLine{Where: l.Where()}
			for _, p := range l.Points {
				if v, ok := c[p.Title]; ok {
					s.Titles, s.Away = append(s.Titles, p.Title), append(s.Away, v)
				}
			}
			s.Changes = d.Find(s.Away)
			out = append(out, s)
		}
	}
	return out
}
