package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
	"github.com/spf13/cobra"
)

// trendOptions are the flags of trend.
type trendOptions struct {
	where, by, format string
	across            []string
	all, gate         bool
	filter            filterFlags
}

// trendCommand says since when an operation is slower.
func (a *app) trendCommand() *cobra.Command {
	opt := new(trendOptions)
	var groupings []string
	for _, g := range history.Groupings() {
		groupings = append(groupings, string(g))
	}
	cmd := &cobra.Command{
		Use:   "trend [OP...]",
		Short: "Say since when an operation is slower or faster",
		Long: `trend reads the history and says per operation how it went: the first and the
last value, a sparkline of the releases in the order in which they were
measured, and the releases between which the level changed. OP is the name of an
operation, a pattern such as 'snapshot/*/create', or a category.

Releases are the points, boots the observations. Machines, images, kernels and
workloads are never joined: each has a line of its own; --across image,kernel
says which of them may differ. What all operations of a release share is taken
out first, since it is mostly the machine; it is shown as the suite.

History proposes, paired boots decide: each change comes with the 'ab' command
that settles it. docs/history.md has the rates at which changes are found and
invented. --gate ends with status 1 when one of the last five releases began a
slower level.`,
		Example: `  capsem-bench trend
  capsem-bench trend 'snapshot/*/create' --since 90d
  capsem-bench trend startup --by commit --format markdown
  capsem-bench trend --gate --label channel=nightly`,
		RunE: func(cmd *cobra.Command, ops []string) error {
			if !slices.Contains(groupings, opt.by) {
				return usage("--by %q: want %s", opt.by, strings.Join(groupings, ", "))
			}
			if !slices.Contains(formats(), opt.format) {
				return usage("--format %q: want %s", opt.format, strings.Join(formats(), ", "))
			}
			for _, w := range opt.across {
				if w != "image" && w != "kernel" {
					return usage("--across %q: want image, kernel or both", w)
				}
			}
			return a.withStore(cmd.Context(), opt.where, func(s *history.Store) error { return a.trend(cmd.Context(), s, ops, opt) })
		},
	}
	storeFlag(cmd, &opt.where)
	opt.filter.add(cmd)
	f := cmd.Flags()
	f.StringVar(&opt.by, "by", string(history.ByRelease), "what a point is: `release`, commit, day or run")
	f.StringVar(&opt.format, "format", "text", "`text`, markdown, json or csv")
	f.StringSliceVar(&opt.across, "across", nil, "what may differ on one line: `image`, kernel")
	f.BoolVar(&opt.all, "all", false, "every metric, also those that operations are not judged by")
	f.BoolVar(&opt.gate, "gate", false, "exit status 1 when one of the last five releases began a slower level")
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions(groupings, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) trend(ctx context.Context, s *history.Store, ops []string, opt *trendOptions) error {
	filter, err := opt.filter.filter(time.Now())
	if err != nil {
		return err
	}
	d := history.DefaultDetector()
	trends, err := s.Trends(ctx, history.Query{
		Ops: ops, All: opt.all, Filter: filter, By: history.Grouping(opt.by), Across: opt.across, Detector: d,
	})
	if err != nil {
		return exit(exitUsage, err)
	}
	if len(trends) == 0 {
		fmt.Fprintf(a.stderr, "no results in %s; 'capsem-bench history add results' adds some\n", termtext.Cell(s.Where()))
	}
	view := newTrendView(trends, history.Suite(trends, d))
	text, err := view.write(opt.format, a.term.width())
	if err == nil {
		print := a.output
		if opt.format == "text" {
			print = a.show
		}
		err = print(text)
	}
	if err != nil || !opt.gate {
		return err
	}
	return view.gate()
}

// A trendRow is one line of one metric, as all formats show it.
type trendRow struct {
	Op       string        `json:"op"`
	Category string        `json:"category,omitempty"`
	Unit     string        `json:"unit,omitempty"`
	Better   string        `json:"better,omitempty"`
	Machine  string        `json:"machine"`
	Machines int           `json:"machines,omitempty"` // of an overall line: how many, each counted once
	Workload string        `json:"workload,omitempty"`
	Points   []trendPoint  `json:"points"`
	Changes  []trendChange `json:"changes"`
}

type trendPoint struct {
	Title  string    `json:"title"`
	Time   time.Time `json:"time"`
	Runs   []int64   `json:"runs,omitempty"`
	Boots  []float64 `json:"boots,omitempty"`
	Median float64   `json:"median"`
}

type trendChange struct {
	From, To string  `json:"-"`
	Before   string  `json:"before"`
	After    string  `json:"after"`
	Worse    float64 `json:"worse"` // ratio minus 1; negative is better
	Lo       float64 `json:"worse_lo"`
	Hi       float64 `json:"worse_hi"`
	P        float64 `json:"p"`
	Settle   string  `json:"settle"` // the command
	at       int
	of       int // points of the line
}

// suiteOp names the movement that all operations share.
const suiteOp = "suite"

type trendView struct{ rows []trendRow }

func newTrendView(trends []history.Trend, suite []history.SuiteLine) *trendView {
	v := new(trendView)
	for _, t := range trends {
		for _, l := range slices.Concat(t.Lines, t.Overall) {
			r := trendRow{
				Op: t.Op, Category: string(t.Category), Unit: t.Unit, Better: string(t.Better),
				Machine: l.Where(), Machines: l.Machines, Workload: l.Workload,
			}
			titles := make([]string, len(l.Points))
			for i, p := range l.Points {
				titles[i] = p.Title
				r.Points = append(r.Points, trendPoint{p.Title, p.Time, p.Runs, p.Values, p.Median})
			}
			r.Changes = changesOf(titles, l.Changes, t.Op)
			v.rows = append(v.rows, r)
		}
	}
	for _, s := range suite {
		r := trendRow{Op: suiteOp, Unit: "ratio", Better: string(catalogue.Lower), Machine: s.Where, Changes: changesOf(s.Titles, s.Changes, "")}
		for i, t := range s.Titles {
			r.Points = append(r.Points, trendPoint{Title: t, Median: math.Exp(s.Away[i])})
		}
		v.rows = append(v.rows, r)
	}
	return v
}

func changesOf(titles []string, changes []history.Change, op string) []trendChange {
	out := []trendChange{}
	for _, c := range changes {
		from, to := titles[c.At-1], titles[c.At]
		settle := strings.TrimSpace(fmt.Sprintf("capsem-bench ab --base %s --cand %s", shellWord(from), shellWord(to)))
		if category, _, ok := strings.Cut(op, "/"); ok {
			settle += " " + category
		}
		out = append(out, trendChange{
			From: from, To: to, Before: from, After: to, Worse: math.Expm1(c.Shift), Lo: math.Expm1(c.Lo), Hi: math.Expm1(c.Hi), P: c.P,
			Settle: settle, at: c.At, of: len(titles),
		})
	}
	return out
}

// shellWord quotes a title that a shell would take apart.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-+@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(termtext.Cell(s), "'", `'\''`) + "'"
}

// gate is the exit status of --gate.
func (v *trendView) gate() error {
	const recent = 5
	var slower []string
	for _, r := range v.rows {
		for _, c := range r.Changes {
			what := fmt.Sprintf("%s since %s", r.Op, c.To)
			if c.Worse > 0 && c.of-c.at <= recent && !slices.Contains(slower, what) {
				slower = append(slower, what)
			}
		}
	}
	if len(slower) == 0 {
		return nil
	}
	return exit(exitFailed, errors.New("slower: "+strings.Join(slower, "; ")))
}

func (v *trendView) write(format string, width int) (string, error) {
	var buf bytes.Buffer
	switch format {
	case "json":
		text, err := json.MarshalIndent(map[string][]trendRow{"trends": slices.Concat([]trendRow{}, v.rows)}, "", "  ")
		return string(termtext.JSON(text)) + "\n", err
	case "csv":
		return v.csv()
	case "markdown":
		v.markdown(&buf)
	default:
		v.text(&buf, width)
	}
	return buf.String(), nil
}

// text is a table, or, where there is no room for one, each row below its name.
func (v *trendView) text(w *bytes.Buffer, width int) {
	const beside = 71 // what a row takes beside the sparkline
	machine, spark := "", min(max(width-beside, 8), 40)
	head := []string{"op", "first", "releases", "last", "change", "since"}
	row := func(cells []string) {
		if width < beside+spark {
			w.WriteString(stacked(head, cells, width))
			return
		}
		line := fmt.Sprintf("%-24s %9s  %-*s %9s %8s  %s", layout.ShortenMiddle(cells[0], 24), cells[1], spark, cells[2], cells[3], cells[4], layout.ShortenMiddle(cells[5], 12))
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	for _, r := range v.byMachine() {
		if r.Machine != machine {
			machine = r.Machine
			if w.Len() > 0 {
				w.WriteByte('\n')
			}
			fmt.Fprintf(w, "%s\n", layout.ShortenEnd(termtext.Cell(machine), width))
			if width >= beside+spark {
				row(head)
			}
		}
		first, last := r.Points[0].Median, r.Points[len(r.Points)-1].Median
		since := ""
		if n := len(r.Changes); n > 0 {
			since = r.Changes[n-1].To
		}
		row([]string{termtext.Cell(r.label()), r.value(first), sparkline(r.medians(), spark), r.value(last), ratio(last/first - 1), termtext.Cell(since)})
	}
	v.notes(w, "", width)
}

// byMachine returns the rows with those of one machine together.
func (v *trendView) byMachine() []trendRow {
	var order []string
	for _, r := range v.rows {
		if !slices.Contains(order, r.Machine) {
			order = append(order, r.Machine)
		}
	}
	rows := slices.Clone(v.rows)
	slices.SortStableFunc(rows, func(a, b trendRow) int { return slices.Index(order, a.Machine) - slices.Index(order, b.Machine) })
	return rows
}

// notes are the changes in words, with what settles them, in lines of at most
// width columns, less than 0 of which is any. A command stays one that a shell takes.
func (v *trendView) notes(w *bytes.Buffer, bullet string, width int) {
	say := func(s, indent string) {
		lines := []string{s}
		if width >= 0 {
			lines = layout.Wrap(s, width, indent)
		}
		w.WriteString(strings.Join(lines, "\n") + "\n")
	}
	several := slices.ContainsFunc(v.rows, func(r trendRow) bool { return r.Machine != v.rows[0].Machine })
	for _, r := range v.rows {
		for _, c := range r.Changes {
			word := "slower"
			if c.Worse < 0 {
				word = "faster"
			}
			w.WriteByte('\n')
			say(fmt.Sprintf("%s%s %s since %s (%s before): %s, %s to %s, p %.3f", bullet, termtext.Cell(r.label()), word, termtext.Cell(c.To), termtext.Cell(c.From),
				ratio(c.Worse), ratio(c.Lo), ratio(c.Hi), c.P), "  ")
			if several {
				say("  on "+termtext.Cell(r.Machine), "  ")
			}
			if r.Op == suiteOp {
				say("  all operations moved together: the build or the machine, which paired boots tell apart", "  ")
			}
			settle := []string{"  to settle it: " + c.Settle}
			if width >= 0 {
				settle = layout.WrapCommand(settle[0], width, "    ")
			}
			w.WriteString(strings.Join(settle, "\n") + "\n")
		}
	}
	if lines := v.split(); lines > 0 {
		w.WriteByte('\n')
		say(bullet+termtext.Plural(lines, "line")+" of operations that another machine, image, kernel or workload has too; they are not joined", "  ")
	}
}

// split counts the lines beyond the first of a metric.
func (v *trendView) split() int {
	seen := make(map[string]int)
	for _, r := range v.rows {
		if r.Machines == 0 {
			seen[r.Op+" "+r.Unit]++
		}
	}
	n := 0
	for key, c := range seen {
		if c > 1 && !strings.HasPrefix(key, suiteOp) {
			n += c - 1
		}
	}
	return n
}

func (v *trendView) markdown(w *bytes.Buffer) {
	w.WriteString("| op | machine | first | releases | last | change | since |\n|---|---|--:|---|--:|--:|---|\n")
	for _, r := range v.rows {
		first, last := r.Points[0].Median, r.Points[len(r.Points)-1].Median
		since := ""
		if n := len(r.Changes); n > 0 {
			since = r.Changes[n-1].To
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", compare.Markdown(r.label()), compare.Markdown(r.Machine), r.value(first), sparkline(r.medians(), 20), r.value(last),
			ratio(last/first-1), compare.Markdown(since))
	}
	v.notes(w, "- ", -1)
}

func (v *trendView) csv() (string, error) {
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	rows := [][]string{{"op", "unit", "better", "machine", "workload", "title", "time", "boots", "median", "change_worse", "change_lo", "change_hi", "p"}}
	for _, r := range v.rows {
		for i, p := range r.Points {
			row := []string{
				r.Op, r.Unit, r.Better, r.Machine, r.Workload, p.Title, p.Time.Format(time.RFC3339), strconv.Itoa(len(p.Boots)),
				strconv.FormatFloat(p.Median, 'g', -1, 64), "", "", "", "",
			}
			for _, c := range r.Changes {
				if c.at == i {
					for j, x := range []float64{c.Worse, c.Lo, c.Hi, c.P} {
						row[9+j] = strconv.FormatFloat(x, 'g', 4, 64)
					}
				}
			}
			rows = append(rows, row)
		}
	}
	for _, row := range rows {
		for i, c := range row[:6] { // the others are times and numbers
			row[i] = termtext.Spreadsheet(c)
		}
	}
	err := w.WriteAll(rows)
	return buf.String(), err
}

// label names the row: with its unit where that is not what everybody
// expects.
func (r trendRow) label() string {
	if r.Unit == "ns/op" || r.Op == suiteOp {
		return r.Op
	}
	return r.Op + " " + r.Unit
}

func (r trendRow) value(v float64) string {
	if r.Op == suiteOp {
		return ratio(v - 1)
	}
	return compare.Value(v, r.Unit)
}

func (r trendRow) medians() []float64 {
	out := make([]float64, len(r.Points))
	for i, p := range r.Points {
		out[i] = p.Median
	}
	return out
}

// ratio formats a change: "+12.3 %", "x3.1".
func ratio(x float64) string {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return "-"
	case x >= 9.995:
		return fmt.Sprintf("x%.1f", 1+x)
	}
	return fmt.Sprintf("%+.1f %%", 100*x)
}

// sparkline draws values as blocks of eight heights, the least at the bottom:
// at most so many, of a longer sequence the means of equal parts.
func sparkline(values []float64, most int) string {
	if len(values) > most {
		parts := make([]float64, most)
		for i := range parts {
			part := values[i*len(values)/most : (i+1)*len(values)/most]
			for _, v := range part {
				parts[i] += v / float64(len(part))
			}
		}
		values = parts
	}
	lo, hi := slices.Min(values), slices.Max(values)
	var b strings.Builder
	for _, v := range values {
		at := 0
		if hi > lo {
			at = int(math.Round((v - lo) / (hi - lo) * 7))
		}
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[at])
	}
	return b.String()
}
