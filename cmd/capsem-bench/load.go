package main

import (
	"fmt"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/spf13/cobra"
)

// loadCommands are load and its modes, to measure here.
func (a *app) loadCommands() []*cobra.Command {
	out := []*cobra.Command{a.loadCommand(string(catalogue.Load), catalogue.Load.Row().About, "")}
	for _, m := range catalogue.LoadModes() {
		about := "Measure the proxy alone under load"
		switch m {
		case catalogue.MCPLoad:
			about = "Measure the MCP gateway alone under load"
		case catalogue.DNSLoad:
			about = "Measure the resolver alone under load"
		}
		out = append(out, a.loadCommand(string(m), about, "/^proto=("+strings.Join(m.Protocols(), "|")+")$"))
	}
	return out
}

func (a *app) loadCommand(name, about, leaf string) *cobra.Command {
	opt := &measureOptions{leaf: leaf}
	rate := ""
	cmd := &cobra.Command{
		Use: name, Short: about, Args: atMostArgs(0, "no arguments"),
		Long: about + fmt.Sprintf(`, at each level of %s (%s) for
%s (%d) seconds. Each connection sends its next request
when it has its answer. With --rate requests start on a schedule, answered or
not, and their times count from when they were due: a service that stands still
for a second is seen so. A rate of 50%% is half of what the same connections
reached in the closed loop just before. No category of "all".`,
			catalogue.EnvLoadConcurrency, catalogue.DefaultLoadLevels, catalogue.EnvLoadSeconds, catalogue.DefaultLoadSeconds),
		Example: fmt.Sprintf("  capsem-bench %s\n  capsem-bench %s --rate 500 --json %s.json\n  capsem-bench %s --rate 50%%,80%%", name, name, name, name),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var env []string
			if rate != "" {
				env = append(env, catalogue.EnvLoadRate+"="+rate)
			}
			return a.measureHere(cmd.Context(), opt, env, catalogue.Load)
		},
	}
	opt.flags(cmd.Flags(), keptHere)
	cmd.Flags().StringVar(&rate, "rate", "", "requests a second, on a schedule, or shares of the closed loop's: 50%,80%")
	return cmd
}
