package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/record"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// completionCommand prints completion scripts.
func (a *app) completionCommand(root *cobra.Command) *cobra.Command {
	shells := map[string]func(io.Writer) error{
		"bash":       func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":        root.GenZshCompletion,
		"fish":       func(w io.Writer) error { return root.GenFishCompletion(w, true) },
		"powershell": root.GenPowerShellCompletionWithDesc,
	}
	names := slices.Sorted(maps.Keys(shells))
	return &cobra.Command{
		Use:   "completion " + strings.Join(names, "|"),
		Short: "Print the completion script of a shell",
		Example: `  source <(capsem-bench completion bash)
  capsem-bench completion zsh > "${fpath[1]}/_capsem-bench"
  capsem-bench completion fish > ~/.config/fish/completions/capsem-bench.fish`,
		Args:      oneArg("the name of one shell"),
		ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error {
			generate, ok := shells[args[0]]
			if !ok {
				return usage("completion: unknown shell %q; want %s", args[0], strings.Join(names, ", "))
			}
			var script strings.Builder
			if err := generate(&script); err != nil {
				return exit(exitUnfit, err)
			}
			return a.output(script.String())
		},
	}
}

// helpCommand is cobra's, except that an unknown command is wrong usage.
func (a *app) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Help about any command",
		Example: "  capsem-bench help session query",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usage("help: unknown command %q; see 'capsem-bench --help'", strings.Join(args, " "))
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

// manCommand writes the man pages.
func (a *app) manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the man pages into a directory",
		Example: "  capsem-bench man ~/.local/share/man/man1",
		Args:    oneArg("one directory"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return exit(exitUnfit, err)
			}
			header := &doc.GenManHeader{Title: "CAPSEM-BENCH", Section: "1", Source: "capsem-bench " + record.ToolVersion}
			root.DisableAutoGenTag = true
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return exit(exitUnfit, fmt.Errorf("writing man pages: %w", err))
			}
			return nil
		},
	}
}
