package main

import (
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everyCommand calls f with each command that --help names, deepest last.
func everyCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			everyCommand(c, f)
		}
	}
}

// Every command has an example that begins with its own name, one at least, and
// a description of each flag.
func TestEveryCommandHasExamples(t *testing.T) {
	t.Parallel()
	everyCommand(newRoot(newApp(nil, io.Discard, io.Discard)), func(cmd *cobra.Command) {
		assert.Contains(t, cmd.Example, cmd.CommandPath(), "%s --help has no example of it", cmd.CommandPath())
		assert.NotEmpty(t, cmd.Short, cmd.CommandPath())
		cmd.Flags().VisitAll(func(f *pflag.Flag) { assert.NotEmpty(t, f.Usage, "%s --%s", cmd.CommandPath(), f.Name) })
	})
}

var roffMarks = regexp.MustCompile(`\\f[BIPR]|\\&|(?m)^\.[A-Za-z]+ ?`)

// plainWords are the words of text or of a man page's source.
func plainWords(s string) string {
	s = roffMarks.ReplaceAllString(s, "")
	s = strings.NewReplacer(`\-`, "-", `\e`, `\`, `\(aq`, "'", `\(ga`, "`", `\~`, "~", `\(ti`, "~", `\(ha`, "^", `\\`, `\`, `"`, "").Replace(s)
	return strings.Join(strings.Fields(s), " ")
}

// A man page says all that --help says: description, examples and flags with
// their descriptions.
func TestManPagesSayWhatHelpSays(t *testing.T) {
	t.Parallel()
	everyCommand(newRoot(newApp(nil, io.Discard, io.Discard)), func(cmd *cobra.Command) {
		page, err := manPage(cmd)
		require.NoError(t, err)
		words := plainWords(string(page))
		for _, text := range []string{cmd.Short, cmd.Long, cmd.Example} {
			for line := range strings.Lines(text) {
				assert.Contains(t, words, plainWords(line), "%s.1 lacks a line of --help", cmd.CommandPath())
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			_, usage := pflag.UnquoteUsage(f)
			if !f.Hidden {
				assert.Contains(t, words, "--"+f.Name, cmd.CommandPath())
				assert.Contains(t, words, plainWords(usage), "%s --%s", cmd.CommandPath(), f.Name)
			}
		})
	})
}
