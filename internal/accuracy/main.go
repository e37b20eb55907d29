// Command accuracy shows that the figures of the guest binary are those of
// tools that this project did not write: fio and dd for the disk and the
// rootfs, hyperfine for cold starts, curl for the download, wrk and hey for
// requests. It prints one table of ratios.
//
// Both sides take turns on the same bytes. A ratio is the median over the
// pairs, and has to be 1 within the tolerance: the spread of our runs plus
// that of theirs, each the distance between the quartiles as a share of the
// median, and never less than 5 %. For seven pairs of normally distributed
// runs that is four standard errors of the ratio. A tolerance over 50 % is no
// agreement but a machine that cannot tell.
//
// It needs root, which alone drops all caches, and installs what is missing
// on Debian. Every cold operation has to be proven cold, or it is an error.
// Exit status: 0 all agree, 1 some do not, 2 usage, 3 unfit machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/capsem/capsem-bench/internal/rivals"
	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

const (
	exitDiffers = rivals.ExitFailed
	exitUnfit   = rivals.ExitUnfit

	leastTolerance = 0.05 // a file of one run lies elsewhere on the disk than that of another
	mostTolerance  = 0.50
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return rivals.Command(ctx, "accuracy", args, stderr, func(ctx context.Context, opt rivals.Options) (int, error) {
		rows, err := compare(ctx, opt)
		render(stdout, rows, opt.Runs)
		return status(rows), err
	})
}

// A row is one finished comparison.
type row struct {
	duel
	rivals.Result
	err error
}

func (r row) tolerance() float64 {
	return max(leastTolerance, rivals.Spread(r.Ours)+rivals.Spread(r.Theirs))
}

// verdict is "agrees", "differs", "failed", or "too noisy" where nothing can
// be told.
func (r row) verdict() string {
	if r.err != nil {
		return "failed"
	}
	tolerance := r.tolerance()
	switch ratio := r.Ratio(); {
	case ratio > 1+tolerance || ratio < 1/(1+tolerance):
		return "differs"
	case tolerance > mostTolerance:
		return "too noisy"
	}
	return "agrees"
}

func status(rows []row) int {
	code := 0
	for _, r := range rows {
		switch r.verdict() {
		case "differs", "failed":
			return exitDiffers
		case "too noisy":
			code = exitUnfit
		}
	}
	return code
}

func compare(ctx context.Context, opt rivals.Options) (rows []row, err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: only root can drop all caches; run it as root", rivals.ErrUnfit)
	}
	if err := rivals.Install(ctx, opt.Log, map[string]string{
		"fio": "fio", "hyperfine": "hyperfine", "wrk": "wrk", "curl": "curl",
	}); err != nil {
		return nil, err
	}
	w, err := rivals.NewWorkshop(opt.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	duels, closeAll, err := prepare(ctx, w)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	for _, d := range duels {
		if !opt.Only.MatchString(d.op + " " + d.tool) {
			continue
		}
		fmt.Fprintf(opt.Log, "%s and %s\n", d.op, d.tool)
		res, err := rivals.Alternate(ctx, opt.Runs, d.ours, d.theirs)
		if err != nil {
			fmt.Fprintf(opt.Log, "%s and %s: %v\n", d.op, d.tool, err)
		}
		if ctx.Err() != nil {
			return rows, ctx.Err()
		}
		rows = append(rows, row{d, res, err})
	}
	return rows, nil
}

func render(out io.Writer, rows []row, runs int) {
	if len(rows) == 0 {
		return
	}
	t := table.NewWriter()
	t.SetOutputMirror(out)
	t.SetStyle(table.StyleLight)
	t.SetTitle("The guest binary and other tools, medians of %d alternated runs", runs)
	t.AppendHeader(table.Row{"operation", "cache", "ours", "spread", "theirs", "spread", "tool", "ratio", "tolerance", ""})
	for _, r := range rows {
		if r.err != nil {
			t.AppendRow(table.Row{r.op, "", "", "", "", "", r.tool, "", "", r.verdict()})
			continue
		}
		t.AppendRow(table.Row{
			r.op, r.cache, r.show(rivals.Median(r.Ours)), percent(rivals.Spread(r.Ours)),
			r.show(rivals.Median(r.Theirs)), percent(rivals.Spread(r.Theirs)), r.tool,
			fmt.Sprintf("%.3f", r.Ratio()), "±" + percent(r.tolerance()), r.verdict(),
		})
	}
	right := []table.ColumnConfig{}
	for _, i := range []int{3, 4, 5, 6, 8, 9} {
		right = append(right, table.ColumnConfig{Number: i, Align: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	t.Render()
}

func percent(share float64) string { return fmt.Sprintf("%.0f%%", 100*share) }

func (d duel) show(v float64) string {
	switch d.unit {
	case "B/s":
		return humanize.IBytes(uint64(v)) + "/s"
	case "ns":
		return fmt.Sprintf("%.2f ms", v/1e6)
	}
	return humanize.CommafWithDigits(v, 0) + " " + d.unit
}
