package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/report"
	"github.com/spf13/cobra"
)

// reportOptions are the flags of report.
type reportOptions struct {
	where, out, title, serve string
	base, cand               string
	across                   []string
	all                      bool
	filter                   filterFlags
}

// reportCommand draws results as a page.
func (a *app) reportCommand() *cobra.Command {
	opt := new(reportOptions)
	cmd := &cobra.Command{
		Use:   "report [PATH...]",
		Short: "Draw results as one HTML page: trends, a comparison, all boots",
		Long: `report writes one HTML file that needs nothing else: no network, no other file,
no JavaScript. It draws the runs of the history, or those of each PATH (a run
directory, a text, a JSON document): for each operation its releases with every
boot, and the changes of level. With --base and --cand it draws their
comparison: an interval for each operation and every boot in its order.

--serve shows the history live to browsers of this machine, and to others with
an address that they can reach; there is no password. :8080 is 127.0.0.1:8080.`,
		Example: `  capsem-bench report -o report.html
  capsem-bench report results/today -o today.html
  capsem-bench report --base results/ab/base --cand results/ab/cand -o ab.html
  capsem-bench report --serve 127.0.0.1:8080`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if (opt.base == "") != (opt.cand == "") {
				return usage("report: --base and --cand go together")
			}
			if opt.serve != "" {
				if len(paths) > 0 || opt.out != "" {
					return usage("report: --serve shows the store; it takes no PATH and no --out")
				}
				return a.serveReport(cmd.Context(), opt)
			}
			return a.report(cmd.Context(), opt, paths)
		},
	}
	storeFlag(cmd, &opt.where)
	opt.filter.add(cmd)
	f := cmd.Flags()
	f.StringVarP(&opt.out, "out", "o", "", "write the page to `FILE` instead of standard output")
	f.StringVar(&opt.title, "title", "capsem-bench", "`TITLE` of the page")
	f.StringVar(&opt.base, "base", "", "boots of the base side: a `PATH`, as compare takes it")
	f.StringVar(&opt.cand, "cand", "", "boots of the candidate side")
	f.StringVar(&opt.serve, "serve", "", "show the history at an `ADDRESS`, such as 127.0.0.1:8080")
	f.StringSliceVar(&opt.across, "across", nil, "what may differ on one line: `image`, kernel")
	f.BoolVar(&opt.all, "all", false, "every metric, also those that operations are not judged by")
	return cmd
}

func (a *app) report(ctx context.Context, opt *reportOptions, paths []string) error {
	in, err := a.reportInput(ctx, opt, paths)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := report.Write(&page, *in); err != nil {
		return exit(exitUnfit, err)
	}
	if opt.out == "" || opt.out == "-" {
		return a.output(page.String())
	}
	if err := atomicfile.Write(opt.out, page.Bytes()); err != nil {
		return exit(exitUnfit, err)
	}
	fmt.Fprintf(a.stderr, "%s: %s\n", termtext.Cell(opt.out), size(int64(page.Len())))
	return nil
}

// reportInput collects what the page is made of.
func (a *app) reportInput(ctx context.Context, opt *reportOptions, paths []string) (*report.Input, error) {
	in := &report.Input{Title: opt.title, Made: time.Now()}
	if opt.base != "" {
		if err := a.reportSides(in, opt); err != nil {
			return nil, err
		}
		if len(paths) == 0 && opt.where == "" {
			return in, nil
		}
	}
	if len(paths) == 0 {
		err := a.withStore(ctx, opt.where, func(s *history.Store) error { return fromStore(ctx, in, s, opt, "") })
		return in, err
	}
	dir, err := scratch.New(scratch.Temp(), "capsem-report-")
	if err != nil {
		return nil, exit(exitUnfit, err)
	}
	defer dir.Close()
	err = a.withStore(ctx, filepath.Join(dir.Path(), "runs.db"), func(s *history.Store) error {
		if err := a.addQuietly(ctx, in, s, paths); err != nil {
			return err
		}
		return fromStore(ctx, in, s, opt, onlyDirectory(paths))
	})
	in.From = strings.Join(paths, ", ")
	return in, err
}

// addQuietly adds the runs of paths to a store of this page's own.
func (a *app) addQuietly(ctx context.Context, in *report.Input, s *history.Store, paths []string) error {
	for _, p := range paths {
		sources, err := findRuns(p)
		if err != nil {
			return exit(exitUsage, err)
		}
		for _, src := range sources {
			run, err := a.readRun(src, nil)
			if err != nil {
				return exit(exitUsage, err)
			}
			in.Doubts = append(in.Doubts, run.Notes...)
			if _, _, err := s.Add(ctx, run); err != nil {
				return err
			}
		}
	}
	return nil
}

// onlyDirectory is the directory of the one run that a page is of; "" where it
// is of several, whose session database would be anybody's.
func onlyDirectory(paths []string) string {
	if len(paths) != 1 {
		return ""
	}
	if info, err := os.Stat(paths[0]); err != nil || !info.IsDir() {
		return ""
	}
	return paths[0]
}

// fromStore takes the runs, their trends and what the newest has inside; dir
// is where its session database may lie.
func fromStore(ctx context.Context, in *report.Input, s *history.Store, opt *reportOptions, dir string) error {
	f, err := opt.filter.filter(time.Now())
	if err != nil {
		return err
	}
	if in.Runs, err = s.Runs(ctx, f); err != nil {
		return err
	}
	d := history.DefaultDetector()
	if in.Trends, err = s.Trends(ctx, history.Query{All: opt.all, Filter: f, By: history.ByRelease, Across: opt.across, Detector: d}); err != nil {
		return exit(exitUsage, err)
	}
	in.Suite = history.Suite(in.Trends, d)
	if in.Inside, err = insideStore(ctx, s, in.Runs, dir); err != nil {
		return err
	}
	in.From = "History " + s.Where()
	return nil
}

// reportSides compares both sides, as gate does.
func (a *app) reportSides(in *report.Input, opt *reportOptions) error {
	var err error
	if in.Base, in.Cand, err = a.loadSides([]string{opt.base, opt.cand}); err != nil {
		return err
	}
	in.Comparison, err = compare.Judge(in.Base, in.Cand, compare.Options{Plan: compare.DefaultPlan(), Policy: compare.DefaultPolicy(), Now: time.Now()})
	if err != nil {
		return exit(exitUsage, err)
	}
	in.Decision = compare.Gate(in.Comparison)
	return nil
}

// serveReport shows the page of the store, made for each request, until the
// command is interrupted.
func (a *app) serveReport(ctx context.Context, opt *reportOptions) error {
	host, port, err := net.SplitHostPort(opt.serve)
	if err != nil {
		return usage("--serve %q: want ADDRESS:PORT, such as 127.0.0.1:8080", opt.serve)
	}
	// To net.Listen no address is every one, and there is no password.
	opt.serve = net.JoinHostPort(cmp.Or(host, "127.0.0.1"), port)
	ln, err := net.Listen("tcp", opt.serve)
	if err != nil {
		return exit(exitUnfit, err)
	}
	fmt.Fprintf(a.stderr, "http://%s/\n", ln.Addr())
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.servePage(w, r, opt) }), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return exit(exitUnfit, err)
	}
	return exit(exitInterrupted, ctx.Err())
}

// servedName reports whether a Host header is an address, localhost or the name
// that --serve was given. Any other name is that of a foreign page whose owner
// made it lead here (DNS rebinding), so that its scripts could read the history.
func servedName(host, serve string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	given, _, _ := net.SplitHostPort(serve)
	return strings.EqualFold(name, "localhost") || strings.EqualFold(name, given) || net.ParseIP(strings.Trim(name, "[]")) != nil
}

func (a *app) servePage(w http.ResponseWriter, r *http.Request, opt *reportOptions) {
	switch {
	case !servedName(r.Host, opt.serve):
		http.Error(w, "not a name of this server; use its address", http.StatusForbidden)
		return
	case r.URL.Path != "/":
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	in, err := a.reportInput(r.Context(), opt, nil)
	if err != nil {
		http.Error(w, termtext.Block(err.Error()), http.StatusInternalServerError)
		return
	}
	var page bytes.Buffer
	if err := report.Write(&page, *in); err != nil {
		http.Error(w, termtext.Block(err.Error()), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.Copy(w, &page) // nobody to tell
}
