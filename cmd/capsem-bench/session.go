package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

// sessionCommand reads session databases.
func (a *app) sessionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "session",
		Short: "List, inspect and query session databases",
		Long: `session reads the databases in which the host services note every request of a
guest: those of 'capsem-bench run', and those that Capsem itself writes, also
compressed ones. It never changes them.

A SESSION is a database file, a directory that has one, or the id that
'session list' shows; without it the newest is taken. Sessions are looked for
in results and in ~/.capsem/sessions.`,
		Example: `  capsem-bench session list
  capsem-bench session inspect
  capsem-bench session query 'SELECT tool_name, duration_us FROM mcp_calls'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("session: want list, inspect or query, as in 'capsem-bench session list'")
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args never lets it come to this
	}
	cmd.AddCommand(a.sessionListCommand(), a.sessionInspectCommand(), a.sessionQueryCommand())
	return cmd
}

// sessionDirs are where sessions are looked for.
func sessionDirs() []string {
	dirs := []string{resultsDir}
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, ".capsem", "sessions"))
	}
	return dirs
}

func (a *app) sessionListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [DIR...]",
		Short: "List sessions, newest first",
		Example: `  capsem-bench session list
  capsem-bench session list ~/.capsem/sessions --json`,
		RunE: func(cmd *cobra.Command, dirs []string) error {
			list, err := listSessions(cmd, dirs)
			if err != nil {
				return err
			}
			for _, n := range list.Notes {
				fmt.Fprintln(a.stderr, "note:", termtext.Block(n))
			}
			if asJSON {
				return a.outputJSON(list)
			}
			return a.show(sessionTable(list, a.stdoutWidth()))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of a table")
	return cmd
}

// listSessions lists the directories given, which must be there, else those
// that are looked in by default, which need not.
func listSessions(cmd *cobra.Command, dirs []string) (*session.SessionList, error) {
	given := len(dirs) > 0
	if !given {
		dirs = sessionDirs()
	}
	all := &session.SessionList{Sessions: []session.Session{}}
	for _, dir := range dirs {
		list, err := session.ListSessions(cmd.Context(), dir)
		if err != nil {
			if !given && errors.Is(err, os.ErrNotExist) {
				continue
			}
			return nil, exit(exitUsage, err)
		}
		all.Sessions = append(all.Sessions, list.Sessions...)
		all.Notes = append(all.Notes, list.Notes...)
	}
	slices.SortStableFunc(all.Sessions, func(a, b session.Session) int { return b.Time.Compare(a.Time) })
	return all, nil
}

// findSession returns the database that a person means: a file, a directory,
// an id, or, when nothing is said, the newest.
func findSession(cmd *cobra.Command, arg string) (string, error) {
	if arg != "" {
		for _, path := range []string{arg, filepath.Join(arg, "session.db"), filepath.Join(arg, "session.db.gz")} {
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				return path, nil
			}
		}
	}
	list, err := listSessions(cmd, nil)
	if err != nil {
		return "", err
	}
	for _, s := range list.Sessions {
		if s.Path != "" && (arg == "" || s.ID == arg) {
			return s.Path, nil
		}
	}
	if arg == "" {
		return "", usage("no session in %s; 'capsem-bench run' makes one", strings.Join(sessionDirs(), " or "))
	}
	return "", usage("no session %q: want a database file, a directory with session.db, or an id of 'capsem-bench session list'", arg)
}

func (a *app) sessionInspectCommand() *cobra.Command {
	var asJSON, single bool
	cmd := &cobra.Command{
		Use:   "inspect [SESSION]",
		Short: "Say what a session did, and where the time went",
		Long: `inspect prints event counts, MCP tool usage, proxy usage and, where the
benchmark text lies beside the database, where the time went: that of each
snapshot operation split into process start, handshake, transport and gateway,
and that of http and throughput into proxy and what is outside of it.

With --calls it lists every call and request with what the host took for it,
and percentiles of each tool, domain and operation.`,
		Example: `  capsem-bench session inspect
  capsem-bench session inspect results/20261125-101500-1a2b --json
  capsem-bench session inspect --calls
  capsem-bench session inspect ~/.capsem/sessions/20260327-101500-1a2b/session.db.gz`,
		Args: atMostArgs(1, "at most one session"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := findSession(cmd, first(args))
			if err != nil {
				return err
			}
			sum, err := inspect(cmd, path, single)
			if err != nil {
				return exit(exitUsage, err)
			}
			if asJSON {
				return a.outputJSON(sum)
			}
			var text strings.Builder
			if err := session.WriteSummary(&text, sum, a.stdoutWidth()); err != nil {
				return exit(exitUnfit, err)
			}
			return a.show(text.String())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of tables")
	cmd.Flags().BoolVar(&single, "calls", false, "list single calls, with percentiles")
	return cmd
}

// inspect reads a database, with the split of the snapshot calls and the
// requests that the benchmark text beside it times.
func inspect(cmd *cobra.Command, path string, single bool) (*session.Summary, error) {
	db, err := session.Open(path)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	sum, err := db.Inspect(cmd.Context())
	if err != nil {
		return nil, err
	}
	texts, notes := benchTexts(filepath.Dir(path))
	sum.Notes = append(sum.Notes, notes...)
	if calls := snapshotCalls(texts); len(calls) > 0 {
		if sum.Split, err = db.Split(cmd.Context(), calls); err != nil {
			return nil, err
		}
	}
	if sum.Requests, err = db.SplitRequests(cmd.Context(), requestPasses(texts)); err != nil {
		return nil, err
	}
	if single {
		err = db.SingleCalls(cmd.Context(), sum)
	}
	return sum, err
}

// benchTexts reads every benchmark text in dir.
func benchTexts(dir string) (reps []*convert.Report, notes []string) {
	names, _ := filepath.Glob(filepath.Join(dir, record.BootFiles))
	for _, name := range append(names, filepath.Join(dir, textName)) {
		f, err := os.Open(name)
		if err != nil {
			continue // a database alone
		}
		rep, err := convert.Read(f, name)
		_ = f.Close()
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s was not used: %v", name, err))
			continue
		}
		if _, _, ok := rep.Clock.At(0); !ok && rep.Run != nil && rep.Run.Sandbox == "qemu" {
			notes = append(notes, name+" does not say how far the guest's clock is from the host's, so calls may not be found")
		}
		reps = append(reps, rep)
	}
	return reps, notes
}

// snapshotCalls returns the timed calls of snapshots.
func snapshotCalls(reps []*convert.Report) (calls []session.OpCall) {
	for _, rep := range reps {
		for _, res := range rep.Category(catalogue.Snapshot) {
			for _, s := range res.Samples {
				if s.StartNS > 0 {
					offset, bound, _ := rep.Clock.At(s.StartNS)
					calls = append(calls, session.OpCall{
						Op: s.Op, Start: time.Unix(0, s.StartNS-offset), Elapsed: time.Duration(s.ElapsedNS), Bound: time.Duration(bound),
					})
				}
			}
		}
	}
	return calls
}

// requestPasses returns the rounds of the operations that make requests.
func requestPasses(reps []*convert.Report) (passes []session.Pass) {
	for _, rep := range reps {
		for _, c := range []catalogue.Category{catalogue.HTTP, catalogue.Throughput} {
			cat := rep.Categories[c]
			if cat == nil {
				continue
			}
			for _, res := range rep.Category(c) {
				for _, s := range res.Samples {
					if s.StartNS <= 0 || !res.Known {
						continue
					}
					offset, bound, _ := rep.Clock.At(s.StartNS)
					passes = append(passes, session.Pass{
						Op: res.Op.ID, URL: cat.URL, Start: time.Unix(0, s.StartNS-offset), Elapsed: time.Duration(s.ElapsedNS),
						Bound: time.Duration(bound), OK: s.Count, Failed: s.Failed, Client: clientTimes(s),
					})
				}
			}
		}
	}
	return passes
}

// clientTimes are the times of a round's requests. A download is one.
func clientTimes(s record.Samples) session.Times {
	const ms = 1e6
	if l := s.Latency; l != nil {
		return session.Times{Mean: l.Mean / ms, P50: l.P50 / ms, P95: l.P95 / ms, P99: l.P99 / ms, Max: l.Max / ms}
	}
	one := float64(s.ElapsedNS) / ms
	return session.Times{Mean: one, P50: one, P95: one, P99: one, Max: one}
}

func (a *app) sessionQueryCommand() *cobra.Command {
	var asJSON bool
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "query SQL|- [SESSION]",
		Short: "Ask a session database in SQL, reading only",
		Long: `query runs one reading SQL statement and prints its rows. With - the statement
comes from standard input. At most 10,000 rows are printed, and a query that
takes longer than --timeout is broken off.`,
		Example: `  capsem-bench session query 'SELECT domain, count(*) FROM net_events GROUP BY 1'
  capsem-bench session query --json 'SELECT * FROM mcp_calls LIMIT 3' 20261125-101500-1a2b
  capsem-bench session query - < report.sql`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage(`query: want one SQL statement in quotes and at most one session, as in 'capsem-bench session query "SELECT count(*) FROM mcp_calls"'`)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			sql, err := a.statement(args[0])
			if err != nil {
				return err
			}
			path, err := findSession(cmd, first(args[1:]))
			if err != nil {
				return err
			}
			db, err := session.Open(path)
			if err != nil {
				return exit(exitUsage, err)
			}
			defer db.Close()
			if limit <= 0 {
				return usage("--timeout %v: want a time such as 30s", limit)
			}
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), limit, fmt.Errorf("it took longer than %v; --timeout allows more", limit))
			defer cancel()
			res, err := db.Query(ctx, sql, session.QueryLimits{})
			if err != nil {
				return exit(exitUsage, err)
			}
			if res.More {
				fmt.Fprintln(a.stderr, "note: there are more rows than are printed; use LIMIT and OFFSET")
			}
			if asJSON {
				return a.outputJSON(res)
			}
			return a.show(rowsTable(res, a.stdoutWidth()))
		},
	}
	cmd.Flags().DurationVar(&limit, "timeout", 30*time.Second, "how long the query may take")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of a table")
	return cmd
}

// stdoutWidth is the width of tables on standard output: that of the terminal or
// of COLUMNS, and any width where there is neither.
func (a *app) stdoutWidth() int {
	if t := newTerm(a.stdout); t.tty || os.Getenv("COLUMNS") != "" {
		return t.width()
	}
	return -1
}

// outputJSON prints a value for programs.
func (a *app) outputJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return exit(exitUnfit, err)
	}
	return a.output(string(termtext.JSON(text)) + "\n")
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// size is a number of bytes for people.
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
