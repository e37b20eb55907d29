package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
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
		Version: build().String(),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"auto", "always", "never"}, a.color) {
				return usage("--color %q: want auto, always or never", a.color)
			}
			a.term.setColor(a.color)
			a.reads.Store(leavesNothing(cmd))
			if cmd.HasParent() && cmd.Parent().Name() == "vm" {
				return a.linuxOnly("vm " + cmd.Name())
			}
			return nil
		},
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return a.measureHere(cmd.Context(), opt, nil) },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w; %s", flagError(err), flagHint(cmd, err))
	})
	root.PersistentFlags().StringVar(&a.color, "color", "auto", "colour the tables: auto, always or never")
	_ = root.RegisterFlagCompletionFunc("color", fixed("auto", "always", "never"))
	opt.flags(root.Flags(), "")
	root.SetHelpCommand(a.helpCommand(root))
	root.AddCommand(a.measureCommands()...)
	root.AddCommand(
		a.doctorCommand(),
		a.runCommand(),
		a.lifecycleCommand(),
		a.abCommand(),
		a.convertCommand(),
		a.importCommand(),
		a.compareCommand(),
		a.gateCommand(),
		a.historyCommand(),
		a.trendCommand(),
		a.reportCommand(),
		a.serveCommand(),
		a.sessionCommand(),
		a.vmCommand(),
		a.versionCommand(),
		a.completionCommand(root),
		a.manCommand(root),
	)
	suggestions(root)
	completions(root)
	return root
}

// suggestions has every group of commands name the one that was meant.
func suggestions(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = 2
	for _, c := range cmd.Commands() {
		suggestions(c)
	}
}

// leavesNothing reports whether a command may end at any moment: it only reads
// and prints. The others have sandboxes, scratch directories or results.
func leavesNothing(cmd *cobra.Command) bool {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	return slices.Contains([]string{"convert", "import", "compare", "gate", "session", "trend", "version", "completion", "help", "man"}, cmd.Name())
}

// unknownCommand is the error of a word in the place of a command.
func unknownCommand(cmd *cobra.Command, word string) error {
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return usage("%sunknown command %q; did you mean %q?", group(cmd), word, near[0])
	}
	return usage("%sunknown command %q; see '%s --help'", group(cmd), word, cmd.CommandPath())
}

// group is what stands before a complaint about a command of a group: "vm: ".
func group(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return ""
	}
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ") + ": "
}

// flagHint names the flag that was meant, else where the flags are listed.
func flagHint(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && len(unknown.GetSpecifiedName()) > 1 {
		name := unknown.GetSpecifiedName()
		near, least := "", max(1, len(name)/3)+1 // of a short name two letters are most of it
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if d := catalogue.Distance(name, f.Name); d < least && !f.Hidden && f.Name != "help" {
				near, least = f.Name, d
			}
		})
		if near != "" {
			return "did you mean --" + near + "?"
		}
		// People who measure in place look there for what chooses a sandbox.
		run, _, _ := cmd.Root().Find([]string{"run"})
		if run.Flags().Lookup(name) != nil && (!cmd.HasParent() || slices.Contains(categoryNames(), cmd.Name())) {
			return fmt.Sprintf("'%s' has it", strings.TrimSpace("capsem-bench run "+strings.TrimPrefix(cmd.Name(), "capsem-bench")))
		}
	}
	return fmt.Sprintf("see '%s --help'", cmd.CommandPath())
}

// flagError says what kind of value a flag wants instead of how its text was
// parsed.
func flagError(err error) error {
	want := map[string]string{
		"int": "a whole number", "intSlice": "whole numbers with commas between them", "float64": "a number such as 0.05",
		"duration": "a time such as 90s", "bool": "true or false",
	}
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) || want[bad.GetFlag().Value.Type()] == "" {
		return err
	}
	return fmt.Errorf("--%s %q: want %s", bad.GetFlag().Name, bad.GetValue(), want[bad.GetFlag().Value.Type()])
}
