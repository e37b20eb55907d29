package convert

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
)

// Widths of the tables, in columns.
const (
	defaultWidth = 80
	minWidth     = 40
)

// TableOptions says how WriteTables lays out its tables.
type TableOptions struct {
	Width int  // columns at most; 0 means 80, less than 40 means 40
	Color bool // use ANSI colours
}

// WriteTables writes one table per category of the report, titled and laid out
// as Capsem's tool does it. No line is wider than opt.Width.
//
// An operation without a good figure shows its status in place of the figure.
// Remarks on a number are below its table: a footnote where they concern some
// rows, a line with a star where they concern all. With several rounds a figure
// is the median, and ± is half the range.
func WriteTables(w io.Writer, rep *Report, opt TableOptions) error {
	if opt.Width == 0 {
		opt.Width = defaultWidth
	}
	opt.Width = max(opt.Width, minWidth)
	t := &tables{rep: rep, opt: opt, rounds: 1, shown: make(map[*Result]bool)}
	for _, res := range rep.Ops {
		t.rounds = max(t.rounds, res.Rounds)
	}
	t.heading()
	t.disk()
	t.rootfs()
	t.startup()
	t.http()
	t.throughput()
	t.snapshot()
	for _, row := range catalogue.Benchmarks() {
		if !row.Category.Prescribed() {
			t.generic(row)
		}
	}
	t.others()
	t.warnings()
	bw := bufio.NewWriter(w)
	bw.WriteString(strings.Join(t.parts, "\n"))
	if err := bw.Flush(); err != nil {
		return fmt.Errorf("writing tables: %w", err)
	}
	return nil
}

// tables collects the blocks of text between which a line is left empty.
type tables struct {
	rep    *Report
	opt    TableOptions
	rounds int
	shown  map[*Result]bool
	parts  []string
}

// category returns the results of a category that no table has shown yet, and
// takes them as shown.
func (t *tables) category(c catalogue.Category) []*Result {
	var out []*Result
	for _, res := range t.rep.Category(c) {
		if !t.shown[res] {
			t.shown[res] = true
			out = append(out, res)
		}
	}
	return out
}

// heading says in one line where and how the run was made.
func (t *tables) heading() {
	var parts []string
	add := func(s string) {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if run := t.rep.Run; run != nil {
		add(run.Hostname)
		add(strings.TrimSpace(run.OS + " " + run.Arch))
		add(run.CPU)
		if run.CPUs > 0 {
			add(termtext.Plural(int64(run.CPUs), "CPU"))
		}
		add(run.Virtualization)
		if run.Accel != run.Virtualization {
			add(run.Accel)
		}
	}
	if len(parts) > 0 {
		t.block(layout.Wrap(termtext.Cell(strings.Join(parts, ", ")), t.opt.Width, ""))
	}
}

// warnings lists what the reader of the text had to complain about.
func (t *tables) warnings() {
	const most = 10
	var lines []string
	for _, f := range t.rep.Failures[:min(len(t.rep.Failures), most)] {
		lines = append(lines, layout.Wrap("the run failed: "+termtext.Cell(f.String()), t.opt.Width, "  ")...)
	}
	warnings := slices.DeleteFunc(slices.Clone(t.rep.Warnings), func(w Warning) bool {
		return strings.HasPrefix(w.Msg, endedEarly) // every table has it, see runNotes
	})
	shown := warnings[:min(len(warnings), most)]
	for _, w := range shown {
		lines = append(lines, layout.Wrap("warning: "+termtext.Cell(w.String()), t.opt.Width, "  ")...)
	}
	if more := len(warnings) - len(shown) + t.rep.Dropped; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more warnings", more))
	}
	t.block(lines)
}

func (t *tables) block(lines []string) {
	if len(lines) > 0 {
		// A line of the log of a workflow must not begin with a command.
		t.parts = append(t.parts, termtext.Inert(strings.Join(lines, "\n")+"\n"))
	}
}
