package main

import (
	"errors"
	"fmt"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRoot(a *app) *cobra.Command {
	opt := new(measureOptions)
	root := &cobra.Command{
		Use:   "capsem-bench",
		Short: "Measure what a Capsem VM costs, and whether a release made it worse",
		Long: `capsem-bench measures disk, rootfs, startup, http, throughput and snapshot in a
Capsem VM. Without a subcommand it measures everything here, as in the guest.

One JSON document goes to standard output, tables go to standard error.

Exit status: 0 ok, 1 what was measured failed, 2 usage or unreadable input,
3 the environment is unfit, 130 interrupted.`,
		Example: `  capsem-bench                      measure everything here (in the guest)
  capsem-bench disk -count 6        one category, six rounds
  capsem-bench run                  measure in a sandbox on this machine
  capsem-bench convert bench.txt    benchmark text to JSON and tables`,
		Version:       record.ToolVersion,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return usage("unknown command %q; did you mean %q?", args[0], near[0])
			}
			return usage("unknown command %q; see 'capsem-bench --help'", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return a.measureHere(cmd.Context(), opt, nil) },
	}
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w; see '%s --help'", flagError(err), cmd.CommandPath())
	})
	opt.flags(root.Flags(), "")
	root.SetHelpCommand(a.helpCommand(root))
	root.AddCommand(a.measureCommands()...)
	root.AddCommand(
		a.doctorCommand(),
		a.runCommand(),
		a.abCommand(),
		a.convertCommand(),
		a.importCommand(),
		a.compareCommand(),
		a.gateCommand(),
		a.sessionCommand(),
		a.vmCommand(),
		a.completionCommand(root),
		a.manCommand(root),
	)
	return root
}

// flagError says what kind of value a flag wants instead of how its text was
// parsed.
func flagError(err error) error {
	want := map[string]string{
		"int": "a whole number", "intSlice": "whole numbers with commas between them", "float64": "a number",
		"duration": "a time such as 90s", "bool": "true or false",
	}
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) || want[bad.GetFlag().Value.Type()] == "" {
		return err
	}
	return fmt.Errorf("--%s %q: want %s", bad.GetFlag().Name, bad.GetValue(), want[bad.GetFlag().Value.Type()])
}
