package main

import (
	"context"
	"fmt"
	"time"

	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/spf13/cobra"
)

// pruneOptions are the flags of history prune.
type pruneOptions struct {
	keep         string
	keepReleases bool
	labels       []string
	yes, dry     bool
}

func (a *app) historyPruneCommand(where *string) *cobra.Command {
	opt := new(pruneOptions)
	cmd := &cobra.Command{
		Use:   "prune --keep AGE",
		Short: "Remove old runs; without --yes only say which",
		Long: `prune removes the runs that were measured before an age or a date. It prints
them and changes nothing, until it is given the same flags and --yes. With
--keep-releases a run that has the label release stays, however old it is.

The texts of a run go with it. An interrupted prune leaves every run whole or
gone. A SQLite file becomes smaller at the end, for which the disk needs as much
room as what is kept.`,
		Example: `  capsem-bench history prune --keep 90d --keep-releases          # what would go
  capsem-bench history prune --keep 90d --keep-releases --yes
  capsem-bench history prune --keep 2026-01-31 --label channel=nightly`,
		Args: atMostArgs(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			keep, err := opt.retention(time.Now())
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), *where, func(s *history.Store) error { return a.historyPrune(cmd.Context(), s, keep, opt.yes) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&opt.keep, "keep", "", "keep runs measured since an `AGE`, as 90d, or a date, as 2026-01-31")
	f.BoolVar(&opt.keepReleases, "keep-releases", false, "keep every run with the label release")
	f.StringArrayVar(&opt.labels, "label", nil, "remove only runs that have the label `KEY=VALUE`; may be repeated")
	f.BoolVar(&opt.yes, "yes", false, "remove them")
	f.BoolVar(&opt.dry, "dry-run", false, "say what would be removed and change nothing (the default)")
	return cmd
}

func (o *pruneOptions) retention(now time.Time) (keep history.Retention, err error) {
	switch {
	case o.keep == "":
		return keep, usage("history prune: want --keep, as in 'capsem-bench history prune --keep 90d --keep-releases'")
	case o.yes && o.dry:
		return keep, usage("history prune: --yes removes and --dry-run does not; give one of them")
	}
	keep.KeepReleases = o.keepReleases
	if keep.Before, err = since("--keep", o.keep, now); err != nil {
		return keep, err
	}
	if keep.Before.After(now) {
		return keep, usage("--keep %q: is in the future, so no run would be kept", o.keep)
	}
	if keep.Labels, err = history.ParseLabels(o.labels); err != nil {
		return keep, exit(exitUsage, err)
	}
	return keep, nil
}

func (a *app) historyPrune(ctx context.Context, s *history.Store, keep history.Retention, yes bool) error {
	old, releases, err := s.Prunable(ctx, keep)
	if err != nil {
		return err
	}
	if err := a.show(runsTable(old, a.stdoutWidth())); err != nil {
		return err
	}
	kept := ""
	if releases > 0 {
		kept = fmt.Sprintf(", %s kept for a release", termtext.Plural(releases, "older run"))
	}
	before := keep.Before.UTC().Format("2006-01-02 15:04 UTC")
	switch {
	case len(old) == 0:
		fmt.Fprintf(a.stderr, "nothing to remove before %s%s\n", before, kept)
		return nil
	case !yes:
		fmt.Fprintf(a.stderr, "%s from before %s would go%s; --yes removes\n", termtext.Plural(len(old), "run"), before, kept)
		return nil
	}
	ids := make([]int64, len(old))
	for i, r := range old {
		ids[i] = r.ID
	}
	if err := s.RemoveRuns(ctx, ids); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "%s from before %s removed%s\n", termtext.Plural(len(old), "run"), before, kept)
	return s.Compact(ctx)
}
