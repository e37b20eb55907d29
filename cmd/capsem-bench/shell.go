package main

import (
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/termtext/layout"
	"github.com/spf13/cobra"
)

// bashWords stands in for the one function of the bash-completion package that
// the script needs. The words that readline splits at = and : are joined again.
const bashWords = `# For shells without the bash-completion package.
if ! declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref() {
        local i word joined=0
        words=() cword=0
        for i in "${!COMP_WORDS[@]}"; do
            word=${COMP_WORDS[i]}
            if ((i > 1)) && { [[ $word == [=:] ]] || ((joined)); }; then
                words[${#words[@]}-1]+=$word
            else
                words+=("$word")
            fi
            [[ $word == [=:] ]] && joined=1 || joined=0
            ((i == COMP_CWORD)) && cword=$((${#words[@]} - 1))
        done
        cur=${words[cword]} prev=${words[cword > 0 ? cword - 1 : 0]}
    }
fi
if ! declare -F __ltrim_colon_completions >/dev/null; then
    __ltrim_colon_completions() { :; }
fi

`

// completionCommand prints completion scripts.
func (a *app) completionCommand(root *cobra.Command) *cobra.Command {
	shells := map[string]func(io.Writer) error{
		"bash": func(w io.Writer) error {
			_, _ = io.WriteString(w, bashWords)
			return root.GenBashCompletionV2(w, true)
		},
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

// helpCommand is cobra's, except that an unknown command is wrong usage, and
// that there is a topic on the environment.
func (a *app) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND|environment]",
		Short:   "Help about any command, and about the environment variables",
		Example: "  capsem-bench help session query\n  capsem-bench help environment",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			cmd, _, err := root.Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			if len(args) == 0 {
				names = append(names, "environment")
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if slices.Equal(args, []string{"environment"}) {
				return a.show(environmentHelp(a.out().width()))
			}
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usage("help: unknown command %q; see 'capsem-bench --help'", strings.Join(args, " "))
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

// environmentHelp prints the settings table, by who reads a variable.
func environmentHelp(width int) string {
	var b strings.Builder
	for _, group := range []struct {
		scope catalogue.Scope
		title string
	}{
		{catalogue.ForWork, "What is measured; every sandbox hands these to its guest:"},
		{catalogue.ForPlace, "Where it is measured; a sandbox may decide these itself:"},
		{catalogue.ForHost, "For the command on the host:"},
	} {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		for _, line := range layout.Wrap(group.title, width, "") {
			b.WriteString(line + "\n")
		}
		for _, s := range catalogue.Environment() {
			if s.Scope != group.scope {
				continue
			}
			doc := s.Doc
			if s.Default != "" {
				doc += " (default " + s.Default + ")"
			}
			const indent = "      "
			b.WriteString("  " + s.Env + "\n")
			for _, line := range layout.Wrap(indent+doc, width, indent) {
				b.WriteString(line + "\n")
			}
		}
	}
	b.WriteByte('\n')
	for _, line := range layout.Wrap("Colour: NO_COLOR, CLICOLOR and CLICOLOR_FORCE; --color is above them.", width, "") {
		b.WriteString(line + "\n")
	}
	return b.String()
}
