package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
)

func (a *app) historyListCommand(where *string) *cobra.Command {
	var asJSON bool
	opt := new(filterFlags)
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the runs, oldest first",
		Example: "  capsem-bench history list --since 30d --json",
		Args:    atMostArgs(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := opt.filter(time.Now())
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), *where, func(s *history.Store) error {
				runs, err := s.Runs(cmd.Context(), f)
				if err != nil {
					return err
				}
				if asJSON {
					return a.outputJSON(runsJSON(runs))
				}
				if len(runs) == 0 {
					fmt.Fprintf(a.stderr, "no run in %s; 'capsem-bench history add results' adds some\n", termtext.Cell(s.Where()))
				}
				return a.show(runsTable(runs, a.stdoutWidth()))
			})
		},
	}
	opt.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of a table")
	return cmd
}

// runJSON is a run in the output of list and show.
type runJSON struct {
	ID       int64             `json:"id"`
	Name     string            `json:"name"`
	Time     time.Time         `json:"time"`
	Added    time.Time         `json:"added"`
	Complete bool              `json:"complete"`
	Boots    int               `json:"boots"`
	Labels   map[string]string `json:"labels"`
}

func runsJSON(runs []history.RunInfo) []runJSON {
	out := make([]runJSON, 0, len(runs))
	for _, r := range runs {
		labels := r.Labels
		if labels == nil {
			labels = history.Labels{}
		}
		out = append(out, runJSON{r.ID, r.Name, r.Time, r.Added, r.Complete, r.Boots, labels})
	}
	return out
}

// runsTable lists runs in a table, or below each other where that is wider than
// width, less than 0 of which is any.
func runsTable(runs []history.RunInfo, width int) string {
	if len(runs) == 0 {
		return ""
	}
	rows := [][]string{{"Run", "Measured (UTC)", "Boots", "Name", "Labels"}}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(tableRow(rows[0]))
	for _, r := range runs {
		boots := strconv.Itoa(r.Boots)
		if !r.Complete {
			boots += " (incomplete)"
		}
		rows = append(rows, []string{strconv.FormatInt(r.ID, 10), r.Time.Format("2006-01-02 15:04"), boots, termtext.Cell(r.Name), termtext.Cell(r.Labels.String())})
		t.AppendRow(tableRow(rows[len(rows)-1]))
	}
	for _, labels := range []int{22, 16} {
		t.SetColumnConfigs([]table.ColumnConfig{{Number: len(rows[0]), WidthMax: labels, WidthMaxEnforcer: text.WrapSoft}})
		if out := t.Render() + "\n"; width < 0 || fits(out, width) {
			return out
		}
	}
	for _, row := range rows[1:] {
		row[0] = "run " + row[0]
	}
	return below(rows, width)
}

func tableRow(cells []string) table.Row {
	var row table.Row
	for _, c := range cells {
		row = append(row, c)
	}
	return row
}

// runArg reads the number of a run.
func runArg(arg string) (int64, error) {
	id, err := strconv.ParseInt(arg, 10, 64)
	if err != nil || id <= 0 {
		return 0, usage("run %q: want the number that 'capsem-bench history list' shows", arg)
	}
	return id, nil
}

func (a *app) historyShowCommand(where *string) *cobra.Command {
	return &cobra.Command{
		Use:   "show RUN",
		Short: "Print the documents of a run as they were added",
		Example: `  capsem-bench history show 12 | capsem-bench convert
  capsem-bench history show 12 > old.txt`,
		Args: oneArg("the number of a run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := runArg(args[0])
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), *where, func(s *history.Store) error {
				docs, err := s.Documents(cmd.Context(), id)
				if err != nil {
					return err
				}
				for _, d := range docs {
					if err := a.output(string(d.Data)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (a *app) historyLabelCommand(where *string) *cobra.Command {
	return &cobra.Command{
		Use:     "label RUN KEY=VALUE...",
		Short:   "Label a run that is in the store",
		Example: "  capsem-bench history label 12 release=1.4.0 channel=stable",
		Args:    minArgs(2, "the number of a run and labels"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := runArg(args[0])
			if err != nil {
				return err
			}
			labels, err := history.ParseLabels(args[1:])
			if err != nil {
				return exit(exitUsage, err)
			}
			return a.withStore(cmd.Context(), *where, func(s *history.Store) error { return s.Label(cmd.Context(), id, labels) })
		},
	}
}

func (a *app) historyRemoveCommand(where *string) *cobra.Command {
	return &cobra.Command{
		Use:     "remove RUN...",
		Short:   "Remove runs and their texts",
		Example: "  capsem-bench history remove 12 13",
		Args:    minArgs(1, "the numbers of runs"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids := make([]int64, len(args))
			for i, arg := range args {
				var err error
				if ids[i], err = runArg(arg); err != nil {
					return err
				}
			}
			slices.Sort(ids)
			return a.withStore(cmd.Context(), *where, func(s *history.Store) error {
				for _, id := range slices.Compact(ids) {
					if err := s.Remove(cmd.Context(), id); err != nil {
						return err
					}
					fmt.Fprintf(a.stderr, "run %d removed\n", id)
				}
				return nil
			})
		},
	}
}
