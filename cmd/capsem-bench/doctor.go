package main

import (
	"fmt"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/hostcheck"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
)

// doctorCommand says whether this machine is fit to measure on.
func (a *app) doctorCommand() *cobra.Command {
	var dir string
	var asJSON, accept bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say whether this machine is fit to measure on",
		Long: `doctor looks at load, clock rate, steal, memory pressure, other VMs, clock source,
free disk, KVM and caches, and runs a fixed burn-in loop that must repeat within
10 %. A doubt is worth knowing; an unfit machine gives exit status 3.`,
		Example: "  capsem-bench doctor\n  capsem-bench doctor --json | jq .unfit",
		Args:    atMostArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := newProgress(a.term, false)
			p.step("burn-in loop", 0)
			r := a.examine(cmd.Context(), hostcheck.Options{Dir: dir})
			p.Close()
			if cmd.Context().Err() != nil {
				return unfit(cmd.Context(), cmd.Context().Err())
			}
			if err := a.showChecks(r, asJSON); err != nil {
				return err
			}
			switch {
			case r.Fit():
				return nil
			case accept:
				fmt.Fprintln(a.stderr, "capsem-bench: this machine is unfit, and accepted:", termtext.Block(strings.Join(r.Machine.Unfit, "; ")))
				return nil
			}
			return exit(exitUnfit, fmt.Errorf("this machine is unfit to measure on: %s", strings.Join(r.Machine.Unfit, "; ")))
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", ".", "the `DIR` that measurements write to")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.BoolVar(&accept, "accept-unfit", false, "exit 0 on an unfit machine too")
	return cmd
}

// showChecks prints a report as a table or, with the verdict on top, as JSON.
func (a *app) showChecks(r *hostcheck.Report, asJSON bool) error {
	if !asJSON {
		return a.show(checksTable(r, a.term.width()))
	}
	return a.outputJSON(struct {
		Fit    bool     `json:"fit"`
		Unfit  []string `json:"unfit"`
		Doubts []string `json:"doubts"`
		*hostcheck.Report
	}{r.Fit(), orEmpty(r.Machine.Unfit), orEmpty(r.Machine.Doubts), r})
}

// checksTable is the table, and below it what to do.
func checksTable(r *hostcheck.Report, width int) string {
	var checks [][3]string
	var b strings.Builder
	for _, c := range r.Checks {
		checks = append(checks, [3]string{c.Name, string(c.State), termtext.Block(c.Value)})
		if c.Advice != "" {
			for l := range strings.SplitSeq(text.WrapSoft(c.Name+": "+termtext.Block(c.Advice), width-1), "\n") {
				b.WriteString(strings.TrimRight(l, " ") + "\n")
			}
		}
	}
	return statesTable(checks, width) + "\n" + b.String()
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
