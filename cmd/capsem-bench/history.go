package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/spf13/cobra"
)

// historyCommand keeps runs over time.
func (a *app) historyCommand() *cobra.Command {
	where := new(string)
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Keep runs over time: add, list, show, label, remove, prune, export",
		Long: `history keeps runs: the benchmark texts and the JSON documents of capsem-bench
and of Capsem, whole, and tables made from them that SQL users can ask
(docs/history.md). 'capsem-bench trend' then says since when an operation is
slower, and 'capsem-bench report' draws it.

The store is one SQLite file, $XDG_DATA_HOME/capsem-bench/history.db or what
--store names, or a PostgreSQL database that a team shares:
--store postgres://USER@HOST/DATABASE. Both have the same tables. Adding the
same content twice adds it once; an interrupted add leaves the store as it was.`,
		Example: `  capsem-bench history add results/20260101-120000-ab12 --label release=1.4.0
  capsem-bench history add old/*.json
  capsem-bench history list
  capsem-bench history export --format parquet --out runs.parquet`,
		Args: func(cmd *cobra.Command, args []string) error {
			const want = "add, list, show, label, remove, prune, export, import-git or rebuild"
			if len(args) == 0 {
				return usage("history: want %s, as in 'capsem-bench history list'", want)
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args never lets it come to this
	}
	storeFlag(cmd, where)
	cmd.AddCommand(
		a.historyAddCommand(where), a.historyListCommand(where), a.historyShowCommand(where), a.historyLabelCommand(where),
		a.historyRemoveCommand(where), a.historyPruneCommand(where), a.historyExportCommand(where), a.historyGitCommand(where), a.historyRebuildCommand(where),
	)
	return cmd
}

func storeFlag(cmd *cobra.Command, where *string) {
	cmd.PersistentFlags().StringVar(where, "store", "", "the history: a SQLite `FILE` or a postgres:// URL")
}

// withStore runs f on the store that --store or the user's directories name.
func (a *app) withStore(ctx context.Context, where string, f func(*history.Store) error) error {
	if where == "" {
		var err error
		if where, err = history.DefaultPath(); err != nil {
			return exit(exitUnfit, err)
		}
	}
	s, err := history.Open(ctx, where)
	if err != nil {
		return storeError(ctx, err)
	}
	defer s.Close()
	return storeError(ctx, f(s))
}

// storeError gives an error of the store its exit status. One that has a
// status keeps it.
func storeError(ctx context.Context, err error) error {
	var has *exitError
	var version *history.VersionError
	switch {
	case err == nil, errors.As(err, &has):
		return err
	case ctx.Err() != nil:
		return exit(exitInterrupted, err)
	case errors.Is(err, history.ErrForeign), errors.Is(err, history.ErrNoRun), errors.As(err, &version):
		return exit(exitUsage, err)
	}
	return exit(exitUnfit, err)
}

func (a *app) historyAddCommand(where *string) *cobra.Command {
	var words []string
	cmd := &cobra.Command{
		Use:   "add PATH...",
		Short: "Add runs: run directories, benchmark texts, JSON documents, -",
		Long: `add keeps each PATH as one run: a file of benchmark text or JSON, a directory of
one file a boot, or - for standard input. Files whose names state several
releases are a run each. A SQLite store capsem.bench.v1 has many
runs, and adds them all. A directory without such files is
searched for directories that have them: results/ adds all its runs, and the
directory of an 'ab' both its sides. A release or commit that a document states
becomes a label; --label adds to it or says otherwise.

What cannot be read is said and left out, the rest is added, and the exit
status is 2.`,
		Example: `  capsem-bench history add results --label channel=nightly
  capsem-bench run | capsem-bench history add - --label release=1.4.0`,
		Args: minArgs(1, "runs"),
		RunE: func(cmd *cobra.Command, args []string) error {
			labels, err := history.ParseLabels(words)
			if err != nil {
				return exit(exitUsage, err)
			}
			return a.withStore(cmd.Context(), *where, func(s *history.Store) error { return a.historyAdd(cmd.Context(), s, args, labels) })
		},
	}
	cmd.Flags().StringArrayVar(&words, "label", nil, "`KEY=VALUE` of all runs that are added, as release=1.4.0; may be repeated")
	return cmd
}

// A source is one run on disk.
type source struct {
	name   string
	files  []string
	labels history.Labels
	// stored is a run of a store capsem.bench.v1, instead of files.
	stored *history.Document
}

func (a *app) historyAdd(ctx context.Context, s *history.Store, paths []string, labels history.Labels) error {
	var failed []error
	added, known := 0, 0
	for _, p := range paths {
		sources, err := findRuns(p)
		if err == nil {
			sources, err = storeRuns(ctx, sources)
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		for _, src := range sources {
			run, err := a.readRun(src, labels)
			if err != nil {
				failed = append(failed, err)
				continue
			}
			id, isNew, err := s.Add(ctx, run)
			if err != nil {
				return err
			}
			state := "added"
			if isNew {
				added++
			} else {
				known++
				state = "is there already"
			}
			for _, n := range run.Notes {
				fmt.Fprintln(a.stderr, "note:", termtext.Cell(n))
			}
			fmt.Fprintln(a.stderr, termtext.Cell(fmt.Sprintf("run %d %s: %s (%s) %s", id, state, src.name, termtext.Plural(len(run.Boots), "boot"), run.Labels)))
		}
	}
	fmt.Fprintf(a.stderr, "%s: %d added, %d there already\n", termtext.Cell(s.Where()), added, known)
	return exit(exitUsage, errors.Join(failed...))
}

// findRuns returns the runs that a path names.
func findRuns(name string) ([]source, error) {
	if name == "-" {
		return []source{{name: "standard input", files: []string{"-"}}}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []source{{name: filepath.Base(name), files: []string{name}}}, nil
	}
	const deepest = 3 // results/RUN/boots, results/AB/base
	return runsBelow(name, deepest)
}

// runsBelow returns the runs of a directory: its own boots, else those of the
// directories in it.
func runsBelow(dir string, depth int) ([]source, error) {
	if _, err := os.Stat(filepath.Join(dir, ab.PlanName)); err == nil {
		return runsOfTrial(dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files, own := bootsIn(dir, entries)
	var out []source
	switch {
	case own == nil && severalReleases(files):
		for _, f := range files {
			out = append(out, source{name: filepath.Base(f), files: []string{f}})
		}
	case own == nil:
		src := source{name: runName(dir), files: files}
		if side := filepath.Base(dir); side == "base" || side == "cand" {
			src.labels = history.Labels{"side": side}
		}
		return []source{src}, nil
	}
	for _, e := range entries {
		if e.IsDir() && depth > 1 && !strings.HasPrefix(e.Name(), ".") {
			below, err := runsBelow(filepath.Join(dir, e.Name()), depth-1)
			if err == nil {
				out = append(out, below...)
			}
		}
	}
	if len(out) == 0 {
		return nil, own
	}
	return out, nil
}

// severalReleases reports whether the names of files state more than one
// release, as those that Capsem kept side by side: each is a run, not a boot.
func severalReleases(files []string) bool {
	releases := make(map[string]bool)
	for _, f := range files {
		if r := history.Infer(history.Document{Name: f})["release"]; r != "" {
			releases[r] = true
		}
	}
	return len(releases) > 1
}

// runsOfTrial returns both sides of the directory of an 'ab'. Beside them it has
// the plan and, of several machines, their shards, whose boots are in the sides.
func runsOfTrial(dir string) (out []source, err error) {
	for _, side := range []string{"base", "cand"} {
		runs, err := runsBelow(filepath.Join(dir, side), 1)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: no boot of the %s side yet; 'capsem-bench ab judge' merges those of shards", dir, side)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, runs...)
	}
	return out, nil
}

// runName is the name of a run's directory; a side or its boots are named
// with the directory that they are in.
func runName(dir string) string {
	dir = filepath.Clean(dir)
	switch filepath.Base(dir) {
	case "base", "cand", "boots":
		return filepath.Join(filepath.Base(filepath.Dir(dir)), filepath.Base(dir))
	}
	return filepath.Base(dir)
}

// readRun reads the files of a run, and the labels that they state.
func (a *app) readRun(src source, given history.Labels) (history.Run, error) {
	var docs []history.Document
	labels := make(history.Labels)
	for _, f := range src.files {
		data, err := a.readDocument(f)
		if err != nil {
			return history.Run{}, err
		}
		d := history.Document{Name: filepath.Base(f), Data: data}
		if f == "-" {
			d.Name = "standard input"
		}
		docs = append(docs, d)
	}
	if src.stored != nil {
		docs = append(docs, *src.stored)
	}
	for _, d := range docs {
		maps.Copy(labels, history.Infer(d))
	}
	for _, more := range []history.Labels{src.labels, given} {
		for k, v := range more {
			labels[k] = v
		}
	}
	return history.Read(src.name, labels, docs)
}

// readDocument reads one file, or standard input.
func (a *app) readDocument(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(a.stdin, maxText+1))
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	if info.Size() > maxText {
		return nil, fmt.Errorf("%s: larger than %s", name, size(maxText))
	}
	return os.ReadFile(name)
}

// filterFlags are the flags that choose runs.
type filterFlags struct {
	since  string
	labels []string
}

func (o *filterFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.since, "since", "", "runs measured since a `DATE`, as 2026-01-31, or so long ago, as 90d")
	cmd.Flags().StringArrayVar(&o.labels, "label", nil, "runs that have the label `KEY=VALUE`; may be repeated")
}

func (o *filterFlags) filter(now time.Time) (history.Filter, error) {
	labels, err := history.ParseLabels(o.labels)
	if err != nil {
		return history.Filter{}, exit(exitUsage, err)
	}
	f := history.Filter{Labels: labels}
	if o.since != "" {
		f.Since, err = since("--since", o.since, now)
	}
	return f, err
}

// since reads a date, or how many days ago.
func since(flag, text string, now time.Time) (time.Time, error) {
	const most = 100 * 365 // days; of a number without bound the date would wrap around
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= most {
			return now.AddDate(0, 0, -n), nil
		}
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("%s %q: want a date such as 2026-01-31, or a number of days such as 90d", flag, text)
}
