package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// jsonFormat is the document; the other formats have a row for each value.
const jsonFormat = "json"

func convertFormats() []string { return []string{jsonFormat, "csv", "markdown", "json-flat"} }

// openRuns opens files, and of a directory the boots of the run in it. What is
// there already, byte for byte, is left out: compare counts it once, too.
func (a *app) openRuns(names []string) (inputs, error) {
	all, err := a.open(names)
	if err != nil {
		return nil, err
	}
	var in inputs
	for _, f := range all {
		twin, err := in.twin(f)
		if err != nil {
			all.Close()
			return nil, err
		}
		if twin == "" {
			in = append(in, f)
			continue
		}
		fmt.Fprintf(a.stderr, "note: %s is the same boot as %s, and counts once\n", termtext.Cell(f.name), termtext.Cell(twin))
		_ = f.close()
	}
	return in, nil
}

// maxWarned bounds what is said of one text; the tables of JSON have all.
const maxWarned = 20

// warnOf says which lines could not be used: a row that is missing is not seen
// in what is written for programs.
func (a *app) warnOf(rep *convert.Report) {
	shown := rep.Warnings[:min(len(rep.Warnings), maxWarned)]
	for _, w := range shown {
		fmt.Fprintln(a.stderr, "warning:", termtext.Cell(w.String()))
	}
	if n := len(rep.Warnings) + rep.Dropped - len(shown); n > 0 {
		fmt.Fprintf(a.stderr, "warning: %s: %d more such lines\n", termtext.Cell(rep.Name), n)
	}
}

// convertFlat prints one row for each value. Every file is a boot of its own.
func (a *app) convertFlat(format string, names []string) error {
	write := map[string]func(io.Writer, []convert.Row) error{
		"csv": convert.WriteCSV, "markdown": convert.WriteMarkdown, "json-flat": convert.WriteFlatJSON,
	}[format]
	if write == nil || !slices.Contains(convertFormats(), format) {
		return usage("--format %s: want %s", format, strings.Join(convertFormats(), ", "))
	}
	in, err := a.openRuns(names)
	if err != nil {
		return exit(exitUsage, err)
	}
	defer in.Close()
	var boots []*convert.Report
	var failed []error
	for _, src := range in.sources() {
		rep, err := readText(src.Name, src)
		if err != nil {
			return err
		}
		a.warnOf(rep)
		boots, failed = append(boots, rep), append(failed, ended(rep, src.Name))
	}
	var out strings.Builder
	if err := write(&out, convert.Rows(boots...)); err != nil {
		return exit(exitUnfit, err)
	}
	return worst(append([]error{a.output(out.String())}, failed...))
}
