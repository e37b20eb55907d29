package main

import (
	"fmt"

	"github.com/capsem/capsem-bench/sandbox/qemu"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

// vmPruneCommand removes images from the cache.
func (a *app) vmPruneCommand() *cobra.Command {
	var all, dry bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove images that this version does not use",
		Long: `prune removes images from the user's cache directory: those that this version of
the command would not boot, or with --all every one. It prints the directory,
size and last use of each. A VM that runs from one of them runs on.

Without it the cache has a bound too: when an image is built, those of other
versions that were not used for 30 days are removed.`,
		Example: "  capsem-bench vm prune --dry-run\n  capsem-bench vm prune --all",
		Args:    atMostArgs(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			return a.vmPrune(all, dry)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "remove this version's images too")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be removed and change nothing")
	return cmd
}

func (a *app) vmPrune(all, dry bool) error {
	images, err := qemu.CachedImages()
	if err != nil {
		return exit(exitUnfit, err)
	}
	var freed, kept uint64
	left := 0
	for _, c := range images {
		if c.Current && !all {
			kept += uint64(c.Size)
			left++
			continue
		}
		if !dry {
			if err := c.Remove(); err != nil {
				return exit(exitUnfit, fmt.Errorf("removing %s: %w", c.Dir, err))
			}
		}
		freed += uint64(c.Size)
		if _, err := fmt.Fprintf(a.stdout, "%s\t%s\tused %s\n", c.Dir, humanize.IBytes(uint64(c.Size)), humanize.Time(c.Used)); err != nil {
			return exit(exitUnfit, err)
		}
	}
	verb := "freed"
	if dry {
		verb = "would free"
	}
	fmt.Fprintf(a.stderr, "%s %s, %d images with %s left\n", verb, humanize.IBytes(freed), left, humanize.IBytes(kept))
	return nil
}
