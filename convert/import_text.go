package convert

import (
	"bytes"
	"fmt"
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
	fmt.Fprintln(buf, "goos: linux")
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
	return appendRecord(buf, im.end)
}

// write writes the operation's result line when it went well, then its
// samples and status lines.
func (op *importedOp) write(buf *bytes.Buffer) error {
	for _, s := range op.samples {
		if op.status.Status == record.OK {
			fmt.Fprintf(buf, "Benchmark%s\t1", op.name)
			for _, u := range catalogue.Units() {
				if v, ok := s.Metrics[u.Name]; ok {
					buf.WriteString("\t" + strconv.FormatFloat(v, 'f', -1, 64) + " " + u.Name)
				}
			}
			buf.WriteByte('\n')
		}
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
