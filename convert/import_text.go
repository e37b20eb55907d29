package convert

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

// pkgPath is what testing prints as pkg in the guest; it is part of the key
// by which benchstat groups.
const (
	pkgPath  = "github.com/capsem/" + pathBase
	pathBase = "capsem-bench"
)

// writeText writes the document as the guest would have written it.
func (im *importer) writeText(buf *bytes.Buffer) error {
	if !im.plain() {
		if err := appendRecord(buf, im.run); err != nil {
			return fmt.Errorf("too many operations: %w", err)
		}
	}
	for _, u := range catalogue.Units() {
		fmt.Fprintln(buf, u.UnitLine())
	}
	if isName(im.run.OS) && !im.plain() {
		fmt.Fprintln(buf, "goos: "+im.run.OS)
	}
	if im.goarch != "" {
		fmt.Fprintln(buf, "goarch: "+im.goarch)
	}
	for _, unit := range sortedKeys(im.own.units) {
		fmt.Fprintf(buf, "Unit %s better=%s\n", unit, im.own.units[unit])
	}
	fmt.Fprintln(buf, "pkg: "+pkgPath)
	for _, c := range append(catalogue.Categories(), "") {
		if cat := im.cats[c]; cat != nil {
			if err := appendRecord(buf, cat); err != nil {
				return err
			}
		}
		if err := im.writeOps(buf, func(op *importedOp) bool { return op.pkg == "" && op.category == c }); err != nil {
			return err
		}
	}
	for _, pkg := range im.packages() {
		fmt.Fprintln(buf, "pkg: "+pkg)
		if err := im.writeOps(buf, func(op *importedOp) bool { return op.pkg == pkg }); err != nil {
			return err
		}
	}
	for _, reason := range im.own.failures {
		fmt.Fprintln(buf, "FAIL\t"+reason)
	}
	if im.end == nil {
		return nil
	}
	return appendRecord(buf, im.end)
}

// plain reports whether the document was made from text without a run line, as
// other benchmarks print it: it has neither a start nor an end.
func (im *importer) plain() bool { return im.own.present && im.run.Time == 0 && im.end == nil }

// packages returns the Go packages of benchmarks that are not ours.
func (im *importer) packages() []string {
	var out []string
	for _, op := range im.ops {
		if op.pkg != "" && !slices.Contains(out, op.pkg) {
			out = append(out, op.pkg)
		}
	}
	return out
}

func (im *importer) writeOps(buf *bytes.Buffer, which func(*importedOp) bool) error {
	for _, op := range im.ops {
		if !which(op) {
			continue
		}
		if err := op.write(buf); err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
	}
	return nil
}

// write writes the operation's result lines, one for each round that has a
// figure, then its samples and status lines.
func (op *importedOp) write(buf *bytes.Buffer) error {
	for i, s := range op.samples {
		if _, timed := s.Metrics["ns/op"]; len(s.Metrics) == 0 || !timed && op.status.Status != record.OK {
			continue
		}
		iterations := int64(1)
		if i < len(op.iterations) {
			iterations = op.iterations[i]
		}
		fmt.Fprintf(buf, "Benchmark%s\t%d", op.name, iterations)
		for _, unit := range unitOrder(s.Metrics, op.units) {
			buf.WriteString("\t" + strconv.FormatFloat(s.Metrics[unit], 'f', -1, 64) + " " + unit)
		}
		buf.WriteByte('\n')
	}
	for _, s := range op.samples {
		if len(op.iterations) > 0 {
			break // it came from result lines alone, which say all there is
		}
		if err := appendRecord(buf, s); err != nil {
			return err
		}
	}
	return appendRecord(buf, op.status)
}

func appendRecord(buf *bytes.Buffer, v any) error {
	line, err := record.Append(nil, v)
	if err != nil {
		return err
	}
	buf.Write(line)
	return nil
}

// unitOrder returns the units of a result line: those of the given order
// first, then those of the catalogue in its order, then the others.
func unitOrder(metrics map[string]float64, order []string) []string {
	var units []string
	add := func(unit string) {
		if _, ok := metrics[unit]; ok && !slices.Contains(units, unit) {
			units = append(units, unit)
		}
	}
	for _, unit := range order {
		add(unit)
	}
	for _, u := range catalogue.Units() {
		add(u.Name)
	}
	for _, unit := range sortedKeys(metrics) {
		add(unit)
	}
	return units
}
