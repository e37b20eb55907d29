// Command duels measures capsem-bench beside tools that this project did not
// write: fio and dd for the disk and the rootfs, hyperfine for cold starts, curl
// for the download, wrk, hey and vegeta for requests, dnsperf for queries,
// benchstat for text. It has two tables: duels accuracy says whether our figures
// are those of the tools, and duels speed whether the guest binary, the
// converter, a history and its page are fast and small enough.
//
// Both sides take turns on the same work and a ratio is the median over the
// pairs, so a loaded machine changes both. Absolute figures mean something on an
// idle one only. Figures agree where the ratio is 1 within the tolerance; one of
// over 50 % is no agreement but a machine that cannot tell.
//
// It needs root, which alone drops all caches, and installs what is missing on
// Debian. Exit status: 0 all targets are met, 1 some are not, 2 usage, 3 unfit
// machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/capsem/capsem-bench/tools/internal/reference"
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
	tables := map[string]func(*plan, context.Context) error{"accuracy": (*plan).accuracy, "speed": (*plan).speed, "steady": (*plan).steady}
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	prepare, ok := tables[name]
	if !ok {
		fmt.Fprintln(stderr, "usage: duels accuracy|speed|steady [-runs N] [-only REGEXP] [-dir DIR] [-minutes N]")
		return reference.ExitUsage
	}
	return reference.Command(ctx, "duels "+name, args[1:], stderr, func(ctx context.Context, opt reference.Options) (int, error) {
		rows, err := measure(ctx, opt, prepare)
		render(stdout, rows)
		return status(rows), err
	})
}

func measure(ctx context.Context, opt reference.Options, prepare func(*plan, context.Context) error) (rows []row, err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: only root can drop all caches; run it as root", reference.ErrUnfit)
	}
	if err := reference.Install(ctx, opt.Log, map[string]string{
		"fio": "fio", "hyperfine": "hyperfine", "wrk": "wrk", "curl": "curl", "nginx": "nginx-light", "time": "time", "dnsperf": "dnsperf",
	}); err != nil {
		return nil, err
	}
	w, err := reference.NewWorkshop(opt.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	p := &plan{w: w, log: opt.Log, minutes: opt.Minutes}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := prepare(p, ctx); err != nil {
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
		if r.err != nil {
			t.AppendRow(table.Row{r.what, r.unit, "", "", r.tool, "", r.target.String(), r.verdict()})
			continue
		}
		theirs, target := "", r.target.String()
		if r.theirs != nil {
			theirs = figure(reference.Median(r.Theirs))
		}
		if r.target.kind == agrees {
			target = fmt.Sprintf("1 ± %.2f", r.tolerance())
		}
		t.AppendRow(table.Row{r.what, r.unit, figure(reference.Median(r.Ours)), theirs, r.tool, r.result(), target, r.verdict()})
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
