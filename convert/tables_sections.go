package convert

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
)

// measurable reports whether an operation has figures to show.
func measurable(res *Result) bool { return res.Status == record.OK }

// word returns the status as a cell in place of a figure.
func word(res *Result) cell {
	style := layout.Red
	if res.Status == record.Skipped {
		style = layout.Yellow
	}
	return cell{text: string(cmp.Or(res.Status, record.Missing)), style: style}
}

// unitMedian returns the median of a unit over the rounds, NaN if it has none.
func unitMedian(res *Result, unit string) float64 {
	s := res.Values[unit]
	if s == nil || len(s.Values()) == 0 {
		return math.NaN()
	}
	return s.Median()
}

// sampleMedian returns the median over the rounds of a value of the samples.
func sampleMedian(res *Result, value func(record.Samples) float64) float64 {
	var s []float64
	for _, sample := range res.Samples {
		if v := value(sample); v > 0 {
			s = append(s, v)
		}
	}
	if len(s) == 0 {
		return math.NaN()
	}
	return NewSeries(s...).Median()
}

// elapsed returns the time of a whole pass in ns.
func elapsed(res *Result) float64 {
	ns := sampleMedian(res, func(s record.Samples) float64 { return float64(s.ElapsedNS) })
	if math.IsNaN(ns) {
		return unitMedian(res, "ns/op") * float64(max(res.Op.Count, 1))
	}
	return ns
}

func bytesMoved(res *Result) float64 {
	n := sampleMedian(res, func(s record.Samples) float64 { return float64(s.Bytes) })
	if math.IsNaN(n) && res.Op.Bytes > 0 {
		return float64(res.Op.Bytes)
	}
	return n
}

// spread formats half the range of a unit relative to its median.
func spread(res *Result, units ...string) string {
	for _, unit := range units {
		s := res.Values[unit]
		if s == nil || len(s.Values()) < 2 {
			continue
		}
		v := s.Values()
		rel := (slices.Max(v) - slices.Min(v)) / 2 / math.Abs(s.Median()) * 100
		if math.IsNaN(rel) || rel > 1e6 {
			return none
		}
		if rel < 10 {
			return "±" + number(rel, 1) + "%"
		}
		return "±" + number(rel, 0) + "%"
	}
	return none
}

// figures makes a row: label and figures, or label, status and dashes.
func (t *tables) figures(label string, res *Result, spreadOf []string, figures ...string) gridRow {
	row := gridRow{{text: termtext.Cell(label), res: res}}
	if t.rounds > 1 {
		figures = append(figures, spread(res, spreadOf...))
	}
	for i, s := range figures {
		switch {
		case measurable(res) && s != none:
			row = append(row, cell{text: s})
		case i == 0 && !measurable(res):
			row = append(row, word(res))
		default:
			row = append(row, cell{text: none, style: layout.Faint})
		}
	}
	return row
}

// head makes the column heads; with several rounds the last is the spread.
func (t *tables) head(columns ...column) []column {
	if t.rounds > 1 {
		columns = append(columns, column{name: "±"})
	}
	return columns
}

// label turns a name into words: "Disk/op=seq_read/size=256MiB" into
// "seq read". A name outside the catalogue keeps its sizes, at the end:
// "HTTP/n=50/c=5/scenario=x" becomes "x n=50 c=5".
func label(op catalogue.Op) string {
	var words, sizes []string
	for part := range strings.SplitSeq(op.Leaf(), "/") {
		switch key, value, ok := strings.Cut(part, "="); {
		case key == "op":
			words = append(words, strings.ReplaceAll(value, "_", " "))
		case key == "vms":
			words = append(words, value+" at once,")
		case key == "size" || key == "count" || key == "n" || key == "c" || key == "rate":
			sizes = append(sizes, part)
		case ok:
			words = append(words, value)
		default:
			words = append(words, part)
		}
	}
	if op.ID == "" || op.Category == catalogue.Load { // its levels are operations
		words = append(words, sizes...)
	}
	return cmp.Or(strings.TrimSpace(strings.Join(words, " ")), op.Name)
}

// access fills a table of passes over files, disk or rootfs.
func (t *tables) access(g grid, results []*Result) {
	g.head = t.head(
		column{name: "Test", left: true}, column{name: "Duration"}, column{name: "Throughput"},
		column{name: "IOPS"}, column{name: "p99"}, column{name: "Size", optional: true},
	)
	for _, res := range results {
		g.rows = append(g.rows, t.figures(
			label(res.Op), res, append(slices.Clone(res.Op.Primary), "B/s", "ns/op"),
			duration(elapsed(res)), throughput(unitMedian(res, "B/s")), number(unitMedian(res, "iops"), 0),
			duration(unitMedian(res, "p99-ns")), size(bytesMoved(res)),
		))
	}
	t.table(g)
}

func (t *tables) disk() {
	g := grid{title: "Scratch Disk I/O"}
	if cat := t.rep.Categories[catalogue.Disk]; cat != nil {
		g.caption = cat.Directory
	}
	t.access(g, t.category(catalogue.Disk))
}

func (t *tables) rootfs() {
	g := grid{title: "Rootfs Read I/O"}
	if cat := t.rep.Categories[catalogue.Rootfs]; cat != nil && cat.LargestFile != "" {
		g.caption = fmt.Sprintf("largest of %s: %s", termtext.Plural(cat.FilesFound, "file"), cat.LargestFile)
	}
	t.access(g, t.category(catalogue.Rootfs))
}

func (t *tables) startup() {
	g := grid{title: "CLI Cold Start Latency", head: t.head(
		column{name: "Command", left: true}, column{name: "Min"}, column{name: "Mean"}, column{name: "Max"},
		column{name: "CPU", optional: true}, column{name: "RSS", optional: true},
	)}
	for _, res := range t.category(catalogue.Startup) {
		ms := func(unit string) string { return withUnit(millis(unitMedian(res, unit)), "ms") }
		g.rows = append(g.rows, t.figures(
			label(res.Op), res, []string{"ns/op"}, ms("min-ns"), ms("ns/op"), ms("max-ns"),
			withUnit(millis(unitMedian(res, "user-ns")+unitMedian(res, "sys-ns")), "ms"), size(unitMedian(res, "maxrss-B")),
		))
	}
	t.table(g)
}

// http shows the catalogue's operation as keys and values, as Capsem does,
// and requests of other kinds as rows below.
func (t *tables) http() {
	results := t.category(catalogue.HTTP)
	i := slices.IndexFunc(results, func(res *Result) bool { return res.Known })
	if i < 0 && len(results) == 1 {
		i = 0
	}
	if i >= 0 {
		t.httpKeys(results[i])
		results = slices.Delete(slices.Clone(results), i, i+1)
	}
	g := grid{title: "HTTP Benchmark: other requests", head: t.head(
		column{name: "Request", left: true}, column{name: "Req/s"}, column{name: "p50"}, column{name: "p95"},
		column{name: "p99"}, column{name: "Failed", optional: true},
	)}
	for _, res := range results {
		g.rows = append(g.rows, t.figures(
			label(res.Op), res, []string{"req/s"}, number(unitMedian(res, "req/s"), 1), duration(unitMedian(res, "p50-ns")),
			duration(unitMedian(res, "p95-ns")), duration(unitMedian(res, "p99-ns")), number(unitMedian(res, "errors"), 0),
		))
	}
	t.table(g)
}

func (t *tables) httpKeys(res *Result) {
	g := grid{title: "HTTP Benchmark", head: []column{{name: "Metric", left: true}, {name: "Value", left: true}}}
	row := func(key, value string) {
		if value != "" && value != none {
			g.rows = append(g.rows, gridRow{{text: key, res: res}, {text: termtext.Cell(value)}})
		}
	}
	if cat := t.rep.Categories[catalogue.HTTP]; cat != nil {
		row("URL", cat.URL)
		if cat.Requests > 0 && cat.Concurrency > 0 {
			row("Requests", fmt.Sprintf("%d at concurrency %d", cat.Requests, cat.Concurrency))
		}
	}
	if !measurable(res) {
		g.rows = append(g.rows, gridRow{{text: "Status", res: res}, word(res)})
	}
	t.httpCounts(res, row)
	if measurable(res) {
		t.httpRates(res, row)
	}
	t.table(g)
}

// httpCounts shows how many requests went well, also of a failed operation.
func (t *tables) httpCounts(res *Result, row func(key, value string)) {
	if len(res.Samples) == 0 {
		return
	}
	var count, failed int64
	for _, s := range res.Samples {
		count += s.Count
		failed += s.Failed
	}
	rounds := ""
	if t.rounds > 1 {
		rounds = fmt.Sprintf(" in %d rounds", res.Rounds)
	}
	row("Successful", number(float64(count), 0)+rounds)
	row("Failed", number(float64(failed), 0)+rounds)
}

func (t *tables) httpRates(res *Result, row func(key, value string)) {
	row("Duration", duration(elapsed(res)))
	rate := number(unitMedian(res, "req/s"), 1)
	if t.rounds > 1 && rate != none {
		rate += " " + spread(res, "req/s")
	}
	row("Requests/s", rate)
	row("Transferred", size(bytesMoved(res)))
	for _, l := range [...]struct{ key, unit string }{
		{"min", "min-ns"}, {"mean", "ns/op"}, {"p50", "p50-ns"}, {"p95", "p95-ns"}, {"p99", "p99-ns"}, {"max", "max-ns"},
	} {
		row("Latency "+l.key, withUnit(millis(unitMedian(res, l.unit)), "ms"))
	}
}

func (t *tables) throughput() {
	g := grid{title: "Proxy Throughput", head: t.head(
		column{name: "Download", left: true}, column{name: "Size"}, column{name: "Duration"}, column{name: "Throughput"},
	)}
	url := ""
	if cat := t.rep.Categories[catalogue.Throughput]; cat != nil {
		url = cat.URL
	}
	for _, res := range t.category(catalogue.Throughput) {
		g.rows = append(g.rows, t.figures(
			cmp.Or(url, label(res.Op)), res, []string{"B/s"},
			size(bytesMoved(res)), duration(elapsed(res)), throughput(unitMedian(res, "B/s")),
		))
	}
	t.table(g)
}

// snapshot shows one row per number of files and one column per call, in ms,
// so that five figures with their spread fit.
func (t *tables) snapshot() {
	g := grid{title: "Snapshot Operations (ms)", head: []column{{name: "Files", left: true}}}
	cells := make(map[string]*Result)
	var files []string
	for _, res := range t.category(catalogue.Snapshot) {
		n, op := res.Op.Key("files"), res.Op.Key("op")
		if n == "" || !slices.Contains(catalogue.SnapshotOps(), op) || cells[n+"/"+op] != nil {
			t.shown[res] = false // others shows it
			continue
		}
		cells[n+"/"+op] = res
		if !slices.Contains(files, n) {
			files = append(files, n)
		}
	}
	slices.SortStableFunc(files, compareNumbers)
	for _, op := range catalogue.SnapshotOps() {
		g.head = append(g.head, column{name: op})
	}
	for _, n := range files {
		row := gridRow{{text: termtext.Cell(n)}}
		for _, op := range catalogue.SnapshotOps() {
			row = append(row, t.snapshotCell(cells[n+"/"+op]))
		}
		g.rows = append(g.rows, row)
	}
	t.table(g)
}

func (t *tables) snapshotCell(res *Result) cell {
	if res == nil {
		return cell{text: none, style: layout.Faint}
	}
	if !measurable(res) {
		c := word(res)
		c.res = res
		return c
	}
	c := cell{text: millis(unitMedian(res, "ns/op")), res: res}
	if t.rounds > 1 && c.text != none {
		c.spread = " " + spread(res, "ns/op")
	}
	return c
}

func compareNumbers(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX != nil || errY != nil {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(x, y)
}

// others shows the operations that fit in no table.
func (t *tables) others() {
	g := grid{title: "Other Operations", head: t.head(column{name: "Operation", left: true}, column{name: "Time"}, column{name: "Throughput"})}
	for _, res := range t.rep.Ops {
		if !t.shown[res] {
			t.shown[res] = true
			g.rows = append(g.rows, t.figures(
				res.Op.Name, res, []string{"ns/op"}, duration(unitMedian(res, "ns/op")), throughput(unitMedian(res, "B/s")),
			))
		}
	}
	t.table(g)
}
