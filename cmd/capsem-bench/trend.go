package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext"
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
	slower, older := view.slower()
	if len(slower) > 0 {
		return exit(exitFailed, errors.New("slower: "+strings.Join(slower, "; ")))
	}
	if older > 0 {
		fmt.Fprintf(a.stderr, "capsem-bench: no slower level began in the last %d releases; %d began before\n", recentReleases, older)
	}
	return nil
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

// recentReleases is how many releases --gate looks at.
const recentReleases = 5

// slower names the slower levels that began in recent releases, and counts the
// older ones.
func (v *trendView) slower() (recent []string, older int) {
	seen := make(map[string]bool)
	for _, r := range v.rows {
		for _, c := range r.Changes {
			what := fmt.Sprintf("%s since %s", r.Op, c.To)
			switch {
			case c.Worse <= 0 || seen[what]:
				continue
			case c.of-c.at <= recentReleases:
				recent = append(recent, what)
			default:
				older++
			}
			seen[what] = true
		}
	}
	return recent, older
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
