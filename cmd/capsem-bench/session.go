package main

import (
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
			return usage("session: unknown command %q; want list, inspect or query", args[0])
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
				fmt.Fprintln(a.stderr, "note:", clean(n))
			}
			if asJSON {
				return a.outputJSON(list)
			}
			return a.output(sessionTable(list))
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
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect [SESSION]",
		Short: "Say what a session did, and where the time of snapshots went",
		Long: `inspect prints event counts, MCP tool usage, proxy usage and, where the
benchmark text lies beside the database, the end-to-end time of each snapshot
operation split into process start, handshake, transport and gateway.`,
		Example: `  capsem-bench session inspect
  capsem-bench session inspect results/20261125-101500-1a2b --json
  capsem-bench session inspect ~/.capsem/sessions/20260327-101500-1a2b/session.db.gz`,
		Args: atMostArgs(1, "at most one session"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := findSession(cmd, first(args))
			if err != nil {
				return err
			}
			sum, err := inspect(cmd, path)
			if err != nil {
				return exit(exitUsage, err)
			}
			if asJSON {
				return a.outputJSON(sum)
			}
			var text strings.Builder
			if err := session.WriteSummary(&text, sum, a.term.width()); err != nil {
				return exit(exitUnfit, err)
			}
			return a.output(text.String())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of tables")
	return cmd
}

// inspect reads a database, with the split of the snapshot calls that the
// benchmark text beside it times.
func inspect(cmd *cobra.Command, path string) (*session.Summary, error) {
	db, err := session.Open(path)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	sum, err := db.Inspect(cmd.Context())
	if err != nil {
		return nil, err
	}
	calls, notes := snapshotCalls(filepath.Dir(path))
	sum.Notes = append(sum.Notes, notes...)
	if len(calls) > 0 {
		sum.Split, err = db.Split(cmd.Context(), calls)
	}
	return sum, err
}

// snapshotCalls returns the timed calls of every benchmark text in dir.
func snapshotCalls(dir string) (calls []session.OpCall, notes []string) {
	names, _ := filepath.Glob(filepath.Join(dir, "boot-*.txt"))
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
	return calls, notes
}

func (a *app) sessionQueryCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "query SQL|- [SESSION]",
		Short: "Ask a session database in SQL, reading only",
		Long: `query runs one reading SQL statement and prints its rows. With - the statement
comes from standard input. At most 10,000 rows are printed.`,
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
			res, err := db.Query(cmd.Context(), sql, session.QueryLimits{})
			if err != nil {
				return exit(exitUsage, err)
			}
			if res.More {
				fmt.Fprintln(a.stderr, "note: there are more rows than are printed; use LIMIT and OFFSET")
			}
			if asJSON {
				return a.outputJSON(res)
			}
			return a.output(rowsTable(res))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of a table")
	return cmd
}

// outputJSON prints a value for programs.
func (a *app) outputJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return exit(exitUnfit, err)
	}
	return a.output(string(text) + "\n")
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// size is a number of bytes for people.
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
