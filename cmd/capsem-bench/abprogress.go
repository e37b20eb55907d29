package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/internal/termtext"
)

// progressText is the progress line before a boot. With the time of a boot
// behind it, it fits 80 columns.
func progressText(p ab.Progress) string {
	var b strings.Builder
	fmt.Fprintf(&b, "boot %d/%d %s", p.Done+1, p.Planned, p.Boot.Side)
	if p.OpenOps >= 0 {
		fmt.Fprintf(&b, ", %s open", termtext.Plural(p.OpenOps, "op"))
	}
	if p.Left >= time.Second {
		fmt.Fprintf(&b, ", %s left", p.Left.Round(time.Second))
		if p.Longest > p.Left {
			fmt.Fprintf(&b, ", at most %s", p.Longest.Round(time.Second))
		}
	}
	return b.String()
}
