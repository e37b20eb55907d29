package convert

import (
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// This file shows the categories whose form Capsem's JSON does not prescribe.
// Section and table follow from the catalogue's row, so that a new benchmark
// needs no code here.

// genericSection has one object an operation, by the part of its ID after the
// category: the benchmark's name, the median of every metric by unit, and the
// samples.
func (r *Report) genericSection(cat *record.Category, ops []*Result) fields {
	f := fields{}
	if len(cat.Settings) > 0 {
		settings := fields{}
		for _, key := range sortedKeys(cat.Settings) {
			settings = append(settings, member{key, cat.Settings[key]})
		}
		f = append(f, member{"settings", settings})
	}
	for _, res := range ops {
		_, key, _ := strings.Cut(res.Op.ID, "/")
		op := fields{{"name", res.Op.Name}}
		if !usable(res) {
			f = append(f, member{key, append(op, out(res)...)})
			continue
		}
		metrics := fields{}
		for _, unit := range res.Units {
			metrics = append(metrics, member{unit, res.Values[unit].Median()})
		}
		f = append(f, member{key, append(op, member{"metrics", metrics}, samples(res))})
	}
	return f
}

// generic reads such a section of a document of ours.
func (im *importer) generic(o object, c catalogue.Category) {
	cat := &record.Category{Type: record.TypeCategory, Category: string(c)}
	im.cats[c] = cat
	if _, _, ok := o.outcome(); ok {
		return // the state of every operation is in capsem_bench
	}
	if o.has("settings") {
		settings := o.object("settings")
		cat.Settings = make(map[string]string)
		for _, key := range settings.keys() {
			cat.Settings[key] = settings.str(key)
		}
	}
	for _, key := range o.keys() {
		if key == "settings" {
			continue
		}
		if c == catalogue.Fork && (strings.HasSuffix(key, suffixMillis) || strings.HasSuffix(key, suffixMega)) {
			o.get(key) // in Capsem's form what the other members have in ours
			continue
		}
		op := o.object(key)
		im.takeSamples(op, string(c)+"/"+key)
		for _, k := range []string{"name", "metrics", "error", "skipped", "reason"} {
			op.get(k) // follow from the samples and from capsem_bench
		}
		op.done()
	}
	o.done()
}

// mostColumns is how many metrics fit beside a name into 80 columns.
const mostColumns = 5

// generic shows one row an operation, and its metrics as columns: those it is
// compared by first.
func (t *tables) generic(row catalogue.Benchmark) {
	results := t.category(row.Category)
	units := unitsOf(results)
	g := grid{title: row.Title, head: []column{{name: "Operation", left: true}}}
	if cat := t.rep.Categories[row.Category]; cat != nil {
		var settings []string
		for _, key := range sortedKeys(cat.Settings) {
			settings = append(settings, key+" "+cat.Settings[key])
		}
		g.caption = strings.Join(settings, ", ")
	}
	for i, unit := range units {
		g.head = append(g.head, column{name: unit, optional: i > 0})
	}
	g.head = t.head(g.head...)
	for _, res := range results {
		var figures []string
		for _, unit := range units {
			figures = append(figures, metricText(unit, unitMedian(res, unit)))
		}
		g.rows = append(g.rows, t.figures(label(res.Op), res, slices.Concat(res.Op.Primary, units), figures...))
	}
	t.table(g)
}

// unitsOf returns the units to show of some operations, at most mostColumns.
func unitsOf(results []*Result) []string {
	var out []string
	add := func(units []string) {
		for _, unit := range units {
			if len(out) < mostColumns && !slices.Contains(out, unit) {
				out = append(out, unit)
			}
		}
	}
	for _, res := range results {
		add(res.Op.Primary)
	}
	for _, res := range results {
		add(res.Op.Units)
		add(res.Units)
	}
	return out
}

// metricText formats a value of a unit.
func metricText(unit string, v float64) string {
	switch u := catalogue.UnitOf(unit); {
	case u.Kind.IsTime() && strings.Contains(unit, "ns"):
		return duration(v)
	case unit == "B/s":
		return throughput(v)
	case unit == "B" || unit == "B/op" || strings.HasSuffix(unit, "-B"):
		return size(v)
	case v == float64(int64(v)):
		return number(v, 0)
	case v >= 100:
		return number(v, 1)
	}
	return number(v, 3)
}
