package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/capsem/capsem-bench/internal/fit"
	"github.com/jedib0t/go-pretty/v6/table"
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
			r := a.examine(cmd.Context(), fit.Options{Dir: dir})
			p.Close()
			if cmd.Context().Err() != nil {
				return unfit(cmd.Context(), cmd.Context().Err())
			}
			write := writeChecks
			if asJSON {
				write = writeChecksJSON
			}
			if err := write(a.stdout, r, a.term.width()); err != nil {
				return exit(exitUnfit, err)
			}
			switch {
			case r.Fit():
				return nil
			case accept:
				fmt.Fprintln(a.stderr, "capsem-bench: this machine is unfit, and accepted:", clean(strings.Join(r.Machine.Unfit, "; ")))
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

// writeChecks prints the table, and below it what to do.
func writeChecks(w io.Writer, r *fit.Report, width int) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{"check", "state", "value"})
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, WidthMax: max(20, width-32), WidthMaxEnforcer: text.WrapSoft}})
	var b strings.Builder
	for _, c := range r.Checks {
		t.AppendRow(table.Row{c.Name, string(c.State), clean(c.Value)})
		if c.Advice != "" {
			for l := range strings.SplitSeq(text.WrapSoft(c.Name+": "+clean(c.Advice), width-1), "\n") {
				b.WriteString(strings.TrimRight(l, " ") + "\n")
			}
		}
	}
	_, err := fmt.Fprintf(w, "%s\n%s", t.Render(), b.String())
	return err
}

// writeChecksJSON prints the report with the verdict on top.
func writeChecksJSON(w io.Writer, r *fit.Report, _ int) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		Fit    bool     `json:"fit"`
		Unfit  []string `json:"unfit"`
		Doubts []string `json:"doubts"`
		*fit.Report
	}{r.Fit(), orEmpty(r.Machine.Unfit), orEmpty(r.Machine.Doubts), r})
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
