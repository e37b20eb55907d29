// Command speed holds the guest binary and the converter to their targets of
// speed and size, beside tools that this project did not write, in one run
// and one table: fio for cached reads, hey and wrk for requests, curl for the
// download, hyperfine for cold starts, benchstat for text.
//
// Both sides take turns and a ratio is the median over the pairs, so a loaded
// machine lowers both. Absolute figures mean something on an idle one only.
// It needs root, to drop caches, and installs what is missing on Debian.
// Exit status: 0 all targets are met, 1 some are not, 2 usage, 3 unfit
// machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/capsem/capsem-bench/internal/rivals"
	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return rivals.Command(ctx, "speed", args, stderr, func(ctx context.Context, opt rivals.Options) (int, error) {
		rows, err := measure(ctx, opt)
		render(stdout, rows)
		if slices.ContainsFunc(rows, func(r row) bool { return !r.met() }) {
			return rivals.ExitFailed, err
		}
		return rivals.ExitOK, err
	})
}

func measure(ctx context.Context, opt rivals.Options) (rows []row, err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: only root can drop all caches; run it as root", rivals.ErrUnfit)
	}
	if err := rivals.Install(ctx, opt.Log, map[string]string{
		"fio": "fio", "hyperfine": "hyperfine", "wrk": "wrk", "curl": "curl", "nginx": "nginx-light", "time": "time",
	}); err != nil {
		return nil, err
	}
	w, err := rivals.NewWorkshop(opt.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	p := &plan{w: w}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	for _, l := range p.lines {
		if !opt.Only.MatchString(l.what + " " + l.tool) {
			continue
		}
		fmt.Fprintln(opt.Log, l.what, l.tool)
		r := l.run(ctx, opt.Runs)
		if r.err != nil {
			fmt.Fprintf(opt.Log, "%s: %v\n", l.what, r.err)
		}
		rows = append(rows, r)
		if ctx.Err() != nil {
			return rows, ctx.Err()
		}
	}
	return rows, nil
}

func render(out io.Writer, rows []row) {
	if len(rows) == 0 {
		return
	}
	t := table.NewWriter()
	t.SetOutputMirror(out)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"what", "unit", "ours", "theirs", "tool", "result", "target", ""})
	for _, r := range rows {
		verdict := "met"
		if !r.met() {
			verdict = "MISSED"
		}
		if r.err != nil {
			t.AppendRow(table.Row{r.what, r.unit, "", "", r.tool, "failed", r.target.String(), verdict})
			continue
		}
		theirs := ""
		if r.theirs != nil {
			theirs = figure(rivals.Median(r.Theirs))
		}
		t.AppendRow(table.Row{r.what, r.unit, figure(rivals.Median(r.Ours)), theirs, r.tool, r.target.result(r.value()), r.target.String(), verdict})
	}
	var right []table.ColumnConfig
	for _, i := range []int{3, 4, 6, 7} {
		right = append(right, table.ColumnConfig{Number: i, Align: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	t.Render()
}

func figure(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.2f", v)
	}
	return humanize.Comma(int64(v))
}
