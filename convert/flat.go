package convert

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/jedib0t/go-pretty/v6/table"
)

// A Row is one value: of one metric, in one round of one boot. An operation
// without a value has one row with its status and the reason.
type Row struct {
	File     string              `json:"file"`
	Boot     int                 `json:"boot"` // from 1: of the host's boot line, else the place of the file
	Side     string              `json:"side,omitempty"`
	Category string              `json:"category,omitempty"`
	Op       string              `json:"op"`   // its ID in the catalogue, else its name
	Name     string              `json:"name"` // with its sizes
	Pkg      string              `json:"pkg,omitempty"`
	Unit     string              `json:"unit,omitempty"`
	Better   catalogue.Direction `json:"better,omitempty"`
	Round    int                 `json:"round,omitempty"` // of the good rounds, from 1
	Value    *float64            `json:"value,omitempty"`
	// Exact says that the value is not rounded to the digits of a result line.
	Exact  bool         `json:"exact"`
	Status record.State `json:"status"`
	Reason string       `json:"reason,omitempty"`
}

// Rows returns the values of some boots, each read for itself, in the order of
// the reports.
func Rows(boots ...*Report) []Row {
	var out []Row
	for i, rep := range boots {
		boot, side := i+1, ""
		if rep.Boot != nil {
			boot, side = rep.Boot.Slot, rep.Boot.Side
		}
		for _, res := range rep.Ops {
			row := Row{
				File: rep.Name, Boot: boot, Side: side, Category: string(res.Op.Category), Op: opKey(res), Name: res.Op.Name, Pkg: res.Pkg,
				Status: res.Status, Reason: res.Reason,
			}
			before := len(out)
			for _, unit := range res.Units {
				values, exact := res.Figure(unit)
				row.Unit, row.Better, row.Exact = unit, rep.Unit(res, unit).Better, exact
				for r, v := range values {
					row.Round, row.Value = r+1, &v
					out = append(out, row)
				}
			}
			if len(out) == before {
				row.Unit, row.Better, row.Exact = "", "", false
				out = append(out, row)
			}
		}
	}
	return out
}

func rowHeader() []string {
	return []string{"file", "boot", "side", "category", "op", "name", "pkg", "unit", "better", "round", "value", "exact", "status", "reason"}
}

// cells are the row as text, escaped for a line.
func (r Row) cells() []string {
	value, round := "", ""
	if r.Value != nil {
		value, round = strconv.FormatFloat(*r.Value, 'f', -1, 64), strconv.Itoa(r.Round)
	}
	text := termtext.Cell
	return []string{
		text(r.File), strconv.Itoa(r.Boot), text(r.Side), r.Category, text(r.Op), text(r.Name), text(r.Pkg), text(r.Unit), string(r.Better),
		round, value, strconv.FormatBool(r.Exact), string(r.Status), text(r.Reason),
	}
}

// WriteCSV writes rows with a header, for spreadsheets and notebooks. Text that
// a spreadsheet would take for a formula begins with an apostrophe.
func WriteCSV(w io.Writer, rows []Row) error {
	cw := csv.NewWriter(w)
	_ = cw.Write(rowHeader())
	for _, r := range rows {
		cells := r.cells()
		for i := range cells {
			cells[i] = termtext.Spreadsheet(cells[i])
		}
		_ = cw.Write(cells)
	}
	cw.Flush()
	if err := cw.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// WriteMarkdown writes rows as one table of GitHub's Markdown.
func WriteMarkdown(w io.Writer, rows []Row) error {
	t := table.NewWriter()
	line := func(cells []string, escape func(string) string) table.Row {
		out := make(table.Row, len(cells))
		for i, c := range cells {
			out[i] = escape(c)
		}
		return out
	}
	t.AppendHeader(line(rowHeader(), func(s string) string { return s }))
	for _, r := range rows {
		t.AppendRow(line(r.cells(), termtext.Markdown))
	}
	if _, err := io.WriteString(w, t.RenderMarkdown()+"\n"); err != nil {
		return fmt.Errorf("writing Markdown: %w", err)
	}
	return nil
}

// WriteFlatJSON writes rows as one array of objects, a row a line, for jq.
func WriteFlatJSON(w io.Writer, rows []Row) error {
	out := []byte("[")
	for i, r := range rows {
		line, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(out, '\n'), termtext.JSON(line)...)
	}
	if _, err := w.Write(append(out, "\n]\n"...)); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}
