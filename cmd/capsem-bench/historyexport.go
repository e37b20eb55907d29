package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/spf13/cobra"
	xterm "golang.org/x/term"
)

func (a *app) historyExportCommand(where *string) *cobra.Command {
	opt := new(filterFlags)
	var format, out string
	var names []string
	for _, f := range history.Formats() {
		names = append(names, string(f))
	}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write runs as text, CSV, JSON lines or Parquet",
		Long: `export writes the chosen runs: text are the documents as they were added; csv,
jsonl and parquet have a row for each value of each metric, round and boot.`,
		Example: `  capsem-bench history export --format csv --since 90d > values.csv
  capsem-bench history export --format parquet --out values.parquet`,
		Args: atMostArgs(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := opt.filter(time.Now())
			if err != nil {
				return err
			}
			if !slices.Contains(names, format) {
				return usage("--format %q: want %s", format, strings.Join(names, ", "))
			}
			if format == string(history.FormatParquet) && out == "" && a.stdoutIsTerminal() {
				return usage("parquet is no text; give --out FILE or a pipe")
			}
			return a.withStore(cmd.Context(), *where, func(s *history.Store) error {
				write := func(w io.Writer) error { return s.Export(cmd.Context(), w, history.Format(format), f) }
				if out == "" || out == "-" {
					return write(outputWriter{a})
				}
				return atomicfile.WriteFrom(out, write)
			})
		},
	}
	opt.add(cmd)
	cmd.Flags().StringVar(&format, "format", "text", "`text`, csv, jsonl or parquet")
	cmd.Flags().StringVar(&out, "out", "", "write to `FILE` instead of standard output")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) stdoutIsTerminal() bool {
	f, ok := a.stdout.(*os.File)
	return ok && xterm.IsTerminal(int(f.Fd()))
}

// outputWriter writes data to standard output.
type outputWriter struct{ a *app }

func (w outputWriter) Write(b []byte) (int, error) {
	if err := w.a.output(string(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (a *app) historyGitCommand(where *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import-git REPO [PATH]",
		Short: "Add every version of the result files that a repository kept",
		Long: `import-git walks the history of a git repository, oldest commit first, and adds
every version of each .json and .txt file below PATH that has benchmark results
as a run, with the commit and its date as labels. It changes nothing in the repository.`,
		Example: "  capsem-bench history import-git ~/src/capsem benchmarks",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage("import-git: want a repository and, if any, a path in it, as in '%s'", useLine(cmd))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 2 {
				dir = args[1]
			}
			return a.withStore(cmd.Context(), *where, func(s *history.Store) error { return a.historyGit(cmd.Context(), s, args[0], dir) })
		},
	}
	return cmd
}

func (a *app) historyGit(ctx context.Context, s *history.Store, repo, dir string) error {
	added, known, other := 0, 0, 0
	err := history.GitVersions(ctx, repo, dir, func(v history.Version) error {
		labels := history.Infer(v.Document)
		labels["commit"], labels["date"] = v.Commit, v.Time.Format(time.DateOnly)
		run, err := history.Read(v.Document.Name, labels, []history.Document{v.Document})
		if err != nil {
			other++
			fmt.Fprintf(a.stderr, "note: %s\n", termtext.Cell(fmt.Sprintf("%s: left out: %v", v.Commit, err)))
			return nil
		}
		run.Time = v.Time
		_, isNew, err := s.Add(ctx, run)
		if isNew {
			added++
		} else {
			known++
		}
		return err
	})
	fmt.Fprintf(a.stderr, "%s: %d added, %d there already, %d without results\n", termtext.Cell(s.Where()), added, known, other)
	return err
}

func (a *app) historyRebuildCommand(where *string) *cobra.Command {
	return &cobra.Command{
		Use:     "rebuild",
		Short:   "Derive all tables from the kept texts again",
		Example: "  capsem-bench history rebuild",
		Args:    atMostArgs(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), *where, func(s *history.Store) error {
				runs := 0
				if err := s.Rebuild(cmd.Context(), func(done, all int) { runs = done }); err != nil {
					return err
				}
				fmt.Fprintf(a.stderr, "%s: %s rebuilt\n", termtext.Cell(s.Where()), termtext.Plural(runs, "run"))
				return nil
			})
		},
	}
}
