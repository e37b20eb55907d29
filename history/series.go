package history

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/catalogue"
)

// A Grouping says which runs are one point of a trend.
type Grouping string

const (
	ByRelease Grouping = "release" // the label release, else commit, else the run
	ByCommit  Grouping = "commit"  // the label commit, else the run
	ByDay     Grouping = "day"     // UTC
	ByRun     Grouping = "run"
)

// Groupings returns all groupings.
func Groupings() []Grouping { return []Grouping{ByRelease, ByCommit, ByDay, ByRun} }

// A Query chooses what trends are made of.
type Query struct {
	// Ops are names or patterns of path.Match, as in "snapshot/*/create";
	// none means all.
	Ops []string
	// All takes every metric, not only those an op is judged by.
	All    bool
	Filter Filter
	By     Grouping
	// Across names what may differ on one line all the same: "image",
	// "kernel", "tool". A line is never drawn across another workload.
	Across   []string
	Detector Detector
}

// A Trend is one metric of one op over time.
type Trend struct {
	Op       string
	Unit     string
	Category catalogue.Category
	Better   catalogue.Direction
	// Lines hold the points that may be compared with each other: one line for
	// each kind of machine and workload, in order of their first point.
	Lines []Line
	// Overall has a line for each workload that several machines measured; see
	// [Line.Machines].
	Overall []Line
}

// A Line is one metric on one kind of machine under one workload.
type Line struct {
	Environment Environment
	Workload    string
	// Machines is, of an overall line, how many machines it is of, each of which
	// counts once, however many boots it had; 0 of the line of one kind.
	Machines int
	Points   []Point
	Changes  []Change
	// Common says that the movement which all ops of a release share was taken
	// out before changes were looked for.
	Common bool
}

// A Point is one release.
type Point struct {
	Title  string
	Time   time.Time // of its first run
	Runs   []int64
	Values []float64 // of the boots, in the metric's unit
	Median float64
}

// Where names the machine of a line, or says that it is of several.
func (l Line) Where() string {
	if l.Machines > 0 {
		return fmt.Sprintf("%d machines, each counted once", l.Machines)
	}
	return l.Environment.String()
}

// group is what lines share whose common movement is the machine's.
func (l Line) group() string {
	if l.Machines > 0 {
		return "overall"
	}
	return l.Environment.key(nil)
}

// An Environment is where boots ran. Its ID is the store's.
type Environment struct {
	ID int64
	compare.Environment
}

// String names the machine in a few words.
func (e Environment) String() string {
	words := []string{cmp.Or(e.Arch, "unknown machine")}
	for _, w := range []string{e.CPU, e.Sandbox, e.Accel} {
		if w != "" {
			words = append(words, w)
		}
	}
	if e.Kernel != "" {
		words = append(words, "kernel "+e.Kernel)
	}
	if e.Image != "" {
		words = append(words, "image "+e.Image[:min(12, len(e.Image))])
	}
	return strings.Join(words, ", ")
}

// key is what has to be the same on one line.
func (e Environment) key(across []string) string {
	parts := []string{e.Arch, e.CPU, e.CPUs, e.Memory, e.Accel, e.Sandbox, e.Virtualization, e.Root}
	for what, v := range map[string]string{"kernel": e.Kernel, "image": e.Image} {
		if !slices.Contains(across, what) {
			parts = append(parts, what+v)
		}
	}
	slices.Sort(parts[8:]) // a map has no order
	return strings.Join(parts, "\x00")
}

// Trends returns the trends of the metrics that a query chooses, in report
// order, with their changes.
func (s *Store) Trends(ctx context.Context, q Query) ([]Trend, error) {
	runs, err := s.runs(ctx, q.Filter, "0") // nobody asks for their boots
	if err != nil {
		return nil, err
	}
	c := &collector{query: q, runs: make(map[int64]RunInfo), titles: make(map[int64]string)}
	for _, r := range runs {
		c.runs[r.ID], c.titles[r.ID] = r, title(r, q.By)
	}
	if c.environments, err = s.environments(ctx); err != nil {
		return nil, s.wrap(err)
	}
	metrics, err := s.metrics(ctx)
	if err != nil {
		return nil, s.wrap(err)
	}
	wanted := slices.DeleteFunc(slices.Clone(metrics), func(m metric) bool { return !q.wants(m) })
	if len(wanted) == 0 && len(q.Ops) > 0 && len(metrics) > 0 {
		return nil, fmt.Errorf("no op in the store matches %s; 'capsem-bench trend' without one shows all", strings.Join(q.Ops, ", "))
	}
	for _, m := range wanted {
		if err := s.read(ctx, c, m); err != nil {
			return nil, s.wrap(err)
		}
	}
	trends := c.trends()
	detect(trends, q.Detector)
	return trends, nil
}

func title(r RunInfo, by Grouping) string {
	switch by {
	case ByRun:
		return fmt.Sprintf("%d %s", r.ID, r.Name)
	case ByDay:
		return r.Time.Format(time.DateOnly)
	case ByCommit:
		return cmp.Or(r.Labels["commit"], r.Name)
	}
	return r.Title()
}

// A metric is a row of the table metrics.
type metric struct {
	id                         int64
	op, unit, workload, better string
	category                   string
	primary                    bool
}

func (q Query) wants(m metric) bool {
	if !q.All && !m.primary {
		return false
	}
	return len(q.Ops) == 0 || slices.ContainsFunc(q.Ops, func(p string) bool {
		ok, _ := path.Match(p, m.op)
		return ok || p == m.op || p == m.category
	})
}

func (s *Store) metrics(ctx context.Context) ([]metric, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, op, unit, workload, better, category, is_primary FROM metrics`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []metric
	for rows.Next() {
		var m metric
		if err := rows.Scan(&m.id, &m.op, &m.unit, &m.workload, &m.better, &m.category, &m.primary); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

func (s *Store) environments(ctx context.Context) (map[int64]Environment, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, arch, cpu, cpus, memory, kernel, accel, image, sandbox, virtualization, root FROM environments`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[int64]Environment)
	for rows.Next() {
		var e Environment
		if err := rows.Scan(&e.ID, &e.Arch, &e.CPU, &e.CPUs, &e.Memory, &e.Kernel, &e.Accel, &e.Image, &e.Sandbox, &e.Virtualization, &e.Root); err != nil {
			return nil, err
		}
		out[e.ID] = e
	}
	return out, rows.Err()
}

// read adds all figures of one metric: a range of the table's key.
func (s *Store) read(ctx context.Context, c *collector, m metric) error {
	rows, err := s.db.QueryContext(ctx, `SELECT b.run_id, b.environment_id, b.machine, f.value FROM figures f JOIN boots b ON b.id = f.boot_id
		WHERE f.metric_id = $1`, m.id)
	if err != nil {
		return err
	}
	defer rows.Close()
	lines := make(map[int64]*collected) // by environment
	for rows.Next() {
		var run, env int64
		var machine string
		var v float64
		if err := rows.Scan(&run, &env, &machine, &v); err != nil {
			return err
		}
		info, ok := c.runs[run]
		if !ok || math.IsNaN(v) || math.IsInf(v, 0) {
			continue // not chosen by the filter
		}
		if lines[env] == nil {
			lines[env] = c.line(m, env)
		}
		lines[env].add(c.titles[run], info, cmp.Or(machine, info.Labels["machine"]), v)
	}
	return rows.Err()
}

// A collector sorts figures into trends, lines and points.
type collector struct {
	query        Query
	runs         map[int64]RunInfo
	titles       map[int64]string
	environments map[int64]Environment
	found        map[trendKey]map[lineKey]*collected
}

type (
	trendKey struct{ op, unit, category, better string }
	lineKey  struct{ environment, workload string }
)

// collected is a line in the making.
type collected struct {
	environment Environment
	points      map[string]*collectedPoint
}

type collectedPoint struct {
	Point
	machines []string // of the values
}

// line returns the line of a metric in an environment.
func (c *collector) line(m metric, env int64) *collected {
	if c.found == nil {
		c.found = make(map[trendKey]map[lineKey]*collected)
	}
	tk := trendKey{m.op, m.unit, m.category, m.better}
	lk := lineKey{c.environments[env].key(c.query.Across), m.workload}
	if c.found[tk] == nil {
		c.found[tk] = make(map[lineKey]*collected)
	}
	if c.found[tk][lk] == nil {
		c.found[tk][lk] = &collected{c.environments[env], make(map[string]*collectedPoint)}
	}
	return c.found[tk][lk]
}

func (l *collected) add(title string, run RunInfo, machine string, v float64) {
	p := l.points[title]
	if p == nil {
		p = &collectedPoint{Point: Point{Title: title, Time: run.Time}}
		l.points[title] = p
	}
	if run.Time.Before(p.Time) {
		p.Time = run.Time
	}
	if n := len(p.Runs); n == 0 || p.Runs[n-1] != run.ID {
		p.Runs = append(p.Runs, run.ID)
	}
	p.Values, p.machines = append(p.Values, v), append(p.machines, machine)
}

func sortPoints(points []Point) {
	slices.SortFunc(points, func(a, b Point) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Title, b.Title)) })
}

// trends returns what was collected, in report order: releases stand in the
// order in which they were measured, as their names need not sort.
func (c *collector) trends() []Trend {
	var out []Trend
	for tk, lines := range c.found {
		t := Trend{Op: tk.op, Unit: tk.unit, Category: catalogue.Category(tk.category), Better: catalogue.Direction(tk.better)}
		for lk, line := range lines {
			l := Line{Environment: line.environment, Workload: lk.workload}
			for _, p := range line.points {
				slices.Sort(p.Runs)
				p.Runs = slices.Compact(p.Runs)
				p.Median = median(p.Values)
				l.Points = append(l.Points, p.Point)
			}
			sortPoints(l.Points)
			t.Lines = append(t.Lines, l)
		}
		t.Overall = overall(lines)
		slices.SortFunc(t.Lines, func(a, b Line) int {
			return cmp.Or(a.Points[0].Time.Compare(b.Points[0].Time), strings.Compare(a.Workload, b.Workload), cmp.Compare(a.Environment.ID, b.Environment.ID))
		})
		out = append(out, t)
	}
	places := make(map[string]int)
	for i, cat := range catalogue.Categories() {
		places[string(cat)] = i + 1
	}
	place := func(t Trend) int {
		if p := places[string(t.Category)]; p > 0 {
			return p
		}
		return len(places) + 1
	}
	slices.SortFunc(out, func(a, b Trend) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(catalogue.Place(a.Op), catalogue.Place(b.Op)),
			strings.Compare(a.Op, b.Op), strings.Compare(a.Unit, b.Unit))
	})
	return out
}
