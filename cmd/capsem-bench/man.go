package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// manCommand writes the man pages.
func (a *app) manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the man pages into a directory",
		Example: "  capsem-bench man ~/.local/share/man/man1",
		Args:    oneArg("one directory"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return exit(exitUnfit, err)
			}
			root.DisableAutoGenTag = true
			return exit(exitUnfit, writePages(root, args[0]))
		},
	}
}

func writePages(cmd *cobra.Command, dir string) error {
	page, err := manPage(cmd)
	if err != nil {
		return fmt.Errorf("writing man pages: %w", err)
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := atomicfile.Write(filepath.Join(dir, name), page); err != nil {
		return err
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			if err := writePages(c, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// manPage is cobra's page with what man(7) wants of a command beside options:
// exit statuses, environment and files.
func manPage(cmd *cobra.Command) ([]byte, error) {
	long := cmd.Long
	cmd.Long = literal(long)
	defer func() { cmd.Long = long }()
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { f.Usage = strings.ReplaceAll(f.Usage, "<", `\<`) })
	defer cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { f.Usage = strings.ReplaceAll(f.Usage, `\<`, "<") })
	var b bytes.Buffer
	header := &doc.GenManHeader{Title: strings.ToUpper(strings.ReplaceAll(cmd.CommandPath(), " ", "-")), Section: "1", Source: "capsem-bench " + record.ToolVersion}
	if err := doc.GenMan(cmd, header, &b); err != nil {
		return nil, err
	}
	page := b.Bytes()
	end := bytes.Index(page, []byte("\n.SH EXAMPLE"))
	if end < 0 {
		end = bytes.Index(page, []byte("\n.SH SEE ALSO"))
	}
	if end < 0 {
		end = len(page)
	}
	return []byte(string(page[:end+1]) + manSections() + string(page[min(end+1, len(page)):])), nil
}

// listLine is a line of a description that is set out: a list or a layout.
var listLine = regexp.MustCompile(`(?m)^( {2,}\S.*(\n {2,}\S.*)*)$`)

// literal writes a description as the Markdown that cobra takes it for: lists
// keep their lines, and <time> is no tag.
func literal(long string) string {
	long = listLine.ReplaceAllStringFunc(long, func(list string) string {
		return "\n    " + strings.ReplaceAll(list, "\n", "\n    ") + "\n"
	})
	lines := strings.Split(long, "\n")
	for i, l := range lines {
		if !strings.HasPrefix(l, "    ") {
			lines[i] = strings.ReplaceAll(l, "<", `\<`)
		}
	}
	return strings.Join(lines, "\n")
}

// manSections are the same for every command, because all of them share them.
func manSections() string {
	var b strings.Builder
	item := func(name, text string) { fmt.Fprintf(&b, ".TP\n\\fB%s\\fP\n%s\n", roff(name), roff(text)) }
	b.WriteString(".SH EXIT STATUS\n")
	for _, s := range []struct {
		status int
		text   string
	}{
		{exitOK, "Success."},
		{exitFailed, "What was measured failed, or is slower."},
		{exitUsage, "Wrong usage, or input that cannot be read."},
		{exitUnfit, "The environment is unfit, or no verdict can be given."},
		{exitInterrupted, "Interrupted by SIGINT or SIGTERM."},
	} {
		item(fmt.Sprint(s.status), s.text)
	}
	b.WriteString(".SH ENVIRONMENT\n")
	for _, s := range catalogue.Environment() {
		text := s.Doc
		if s.Default != "" {
			text += " (default " + s.Default + ")"
		}
		item(s.Env, text)
	}
	item("NO_COLOR, CLICOLOR, CLICOLOR_FORCE", "Keep colour away, or bring it where there is no terminal.")
	b.WriteString(".SH FILES\n")
	item(resultsDir+"/TIME-ID/", "Text, JSON and session database of a run without --out.")
	item(policyName, "Budgets, mutes and required operations, read by gate and ab in the directory where they run.")
	item("~/.capsem/sessions/", "Session databases of Capsem, which session reads.")
	item("$XDG_CACHE_HOME/capsem-bench/", "Images of VMs and binaries built from sources; ~/.cache without the variable. It may be removed.")
	return b.String()
}

// roff escapes text for troff: a backslash, a dash that is one, and a line that
// would begin with a request.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
