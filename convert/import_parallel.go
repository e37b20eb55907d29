package convert

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/record"
)

// parallel reads several VMs that measured at once: how long each took, and the
// figures in the tables that each printed. A round is a VM.
func (im *importer) parallel(o object) {
	prefix := fmt.Sprintf("Parallel/vms=%d", o.count("num_vms"))
	var took []float64
	inside := make(map[string]*tableFigures)
	var order []string
	for i, vm := range o.objects("results") {
		name, status := vm.optStr("vm"), vm.str("status")
		ms := vm.optFloat("duration_ms")
		text := ""
		if n := vm.get("stdout"); n != nil {
			text, _ = n.value.(string)
		}
		reason := cmp.Or(vm.optStr("error"), vm.optStr("stderr"))
		if status != "success" {
			st := record.Status{Status: record.Failed, Reason: shorten(strings.TrimSpace("status " + status + " " + reason))}
			im.add(category(prefix), fmt.Sprintf("%s/op=vm/vm=%d", prefix, i+1), record.Samples{}, st)
			im.note("results[%d]: %s: status %s", i, name, status)
		} else {
			took = append(took, ms)
		}
		for _, f := range tableRows(text) {
			if inside[f.op] == nil {
				inside[f.op] = &tableFigures{op: f.op}
				order = append(order, f.op)
			}
			have := inside[f.op]
			have.rows = append(have.rows, f.metrics)
			have.failed = have.failed || f.failed
			have.units = f.units
		}
		vm.done()
	}
	im.rounds(prefix+"/op=all", "ns/op", 1e6, []float64{o.float("total_duration_ms")})
	if len(took) > 0 {
		im.rounds(prefix+"/op=vm", "ns/op", 1e6, took)
	}
	for _, op := range order {
		im.tableOp(prefix+"/"+op, inside[op])
	}
	if len(order) > 0 {
		im.note("results: figures are read off the tables in stdout, with their digits")
	}
}

// tableFigures are the figures of one operation in the tables of all VMs.
type tableFigures struct {
	op     string
	rows   []map[string]float64
	units  []string
	failed bool
}

func (im *importer) tableOp(name string, f *tableFigures) {
	st := record.Status{Doubts: []string{"measured by several VMs at once"}}
	if f.failed {
		st.Status, st.Reason = record.Failed, "it failed in some VM"
	}
	op := im.addOp(category(name), name, record.Samples{}, st)
	if op == nil {
		return
	}
	op.units = f.units
	im.run.Rounds = max(im.run.Rounds, len(f.rows))
	for i, metrics := range f.rows[:min(len(f.rows), maxSamples)] {
		s := newSamples()
		s.Op, s.Round, s.Count, s.Metrics = name, i+1, 1, metrics
		s.ElapsedNS = int64(metrics["ns/op"])
		if f.failed {
			s.Metrics = nil
		}
		if !possibleSamples(&s) {
			im.doc.fail(nil, name, "number out of range")
			return
		}
		op.samples = append(op.samples, s)
	}
}

// A tableRow is one row of a table that Capsem's tool prints.
type tableRow struct {
	op      string
	metrics map[string]float64
	units   []string
	failed  bool
}

func (r *tableRow) add(unit, text string, scale float64) {
	number := regexp.MustCompile(`^[0-9]+(\.[0-9]+)?`).FindString(text)
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return // "-"
	}
	r.metrics[unit] = v * scale
	r.units = append(r.units, unit)
}

// tableRows reads the rows of the tables by title and cells: rich draws them
// with box characters, one row a line.
func tableRows(text string) []tableRow {
	var out []tableRow
	title := ""
	http := tableRow{op: "cat=http", metrics: make(map[string]float64)}
	for line := range strings.Lines(text[:min(len(text), 64<<10)]) {
		line = strings.TrimSpace(line)
		body, ok := strings.CutPrefix(line, "│")
		if !ok {
			if !strings.ContainsAny(line, "┃┏┡├└━─") && line != "" && !strings.HasPrefix(line, "[") {
				title = line
			}
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.TrimSuffix(body, "│"), "│") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		if strings.HasPrefix(title, "HTTP") {
			http.key(cells)
			continue
		}
		if row := rowOf(title, cells); len(row.metrics) > 0 {
			out = append(out, row)
		}
	}
	if len(http.metrics) > 0 {
		out = append(out, http)
	}
	return out
}

// rowOf reads a row of a table whose rows are operations.
func rowOf(title string, cells []string) tableRow {
	row := tableRow{metrics: make(map[string]float64)}
	is := func(prefix string, n int) bool { return strings.HasPrefix(title, prefix) && len(cells) >= n }
	pass := func(category string, throughput, iops, duration string) {
		op := map[string]string{"Seq write": "seq_write", "Seq read ": "seq_read", "Rand writ": "rand_write_4k", "Rand read": "rand_read_4k"}[cells[0][:min(len(cells[0]), 9)]]
		if op == "" {
			return
		}
		row.op = "cat=" + category + "/op=" + op
		row.add("ns/op", duration, 1e6)
		row.add("B/s", throughput, mib)
		row.add("iops", iops, 1)
	}
	switch {
	case is("Scratch Disk I/O", 4):
		pass("disk", cells[1], cells[2], cells[3])
	case is("Rootfs Read I/O", 5):
		pass("rootfs", cells[2], cells[3], cells[4])
	case is("CLI Cold Start Latency", 4):
		row.op = "cat=startup/cli=" + slug(cells[0])
		row.add("ns/op", cells[2], 1e6)
		row.add("min-ns", cells[1], 1e6)
		row.add("max-ns", cells[3], 1e6)
	case is("Proxy Throughput", 2) && cells[0] == "Throughput":
		row.op = "cat=throughput"
		row.add("B/s", cells[1], mib)
	case is("Snapshot Operations", 4):
		files, _, _ := strings.Cut(cells[1], " ")
		row.op = fmt.Sprintf("cat=snapshot/files=%s/op=%s", slug(files), slug(cells[0]))
		row.add("ns/op", cells[2], 1e6)
		row.failed = cells[3] != "ok"
	}
	return row
}

// key reads a row of the table of http, whose rows are metrics.
func (r *tableRow) key(cells []string) {
	if len(cells) < 2 {
		return
	}
	units := map[string]string{
		"Latency mean": "ns/op", "Latency p50": "p50-ns", "Latency p95": "p95-ns", "Latency p99": "p99-ns", "Latency min": "min-ns", "Latency max": "max-ns",
	}
	switch unit := units[cells[0]]; {
	case cells[0] == "Requests":
		done, all, _ := strings.Cut(cells[1], "/")
		r.failed = done != all
	case cells[0] == "Requests/sec":
		r.add("req/s", cells[1], 1)
	case unit != "":
		r.add(unit, cells[1], 1e6)
	}
	slices.SortStableFunc(r.units, func(a, b string) int {
		return strings.Compare(strconv.FormatBool(a != "ns/op"), strconv.FormatBool(b != "ns/op"))
	})
}
