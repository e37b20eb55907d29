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
const pkgPath = "github.com/capsem/capsem-bench"

// writeText writes the document as the guest would have written it.
func (im *importer) writeText(buf *bytes.Buffer) error {
	if err := appendRecord(buf, im.run); err != nil {
		return fmt.Errorf("too many operations: %w", err)
	}
	for _, u := range catalogue.Units() {
		fmt.Fprintln(buf, u.UnitLine())
	}
	if isName(im.run.OS) {
		fmt.Fprintln(buf, "goos: "+im.run.OS)
	}
	if im.goarch != "" {
		fmt.Fprintln(buf, "goarch: "+im.goarch)
	}
	fmt.Fprintln(buf, "pkg: "+pkgPath)
	for _, c := range catalogue.Categories() {
		if cat := im.cats[c]; cat != nil {
			if err := appendRecord(buf, cat); err != nil {
				return err
			}
		}
		for _, op := range im.ops {
			if op.category != c {
				continue
			}
			if err := op.write(buf); err != nil {
				return fmt.Errorf("%s: %w", op.name, err)
			}
		}
	}
	if im.end == nil {
		return nil
	}
	return appendRecord(buf, im.end)
}

// write writes the operation's result lines, one for each round that has the
// time of an operation, then its samples and status lines.
func (op *importedOp) write(buf *bytes.Buffer) error {
	for _, s := range op.samples {
		if _, ok := s.Metrics["ns/op"]; !ok {
			continue
		}
		fmt.Fprintf(buf, "Benchmark%s\t1", op.name)
		for _, unit := range unitOrder(s.Metrics) {
			buf.WriteString("\t" + strconv.FormatFloat(s.Metrics[unit], 'f', -1, 64) + " " + unit)
		}
		buf.WriteByte('\n')
	}
	for _, s := range op.samples {
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

// unitOrder returns the units of a result line: those of the catalogue in its
// order, then the others.
func unitOrder(metrics map[string]float64) []string {
	var units, others []string
	for _, u := range catalogue.Units() {
		if _, ok := metrics[u.Name]; ok {
			units = append(units, u.Name)
		}
	}
	for unit := range metrics {
		if !slices.Contains(units, unit) {
			others = append(others, unit)
		}
	}
	slices.Sort(others)
	return append(units, others...)
}
