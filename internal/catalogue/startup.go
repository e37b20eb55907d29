package catalogue

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultCLIs are the commands of Capsem's own tool, in its order.
const DefaultCLIs = "python3,node,claude,gemini,codex"

// A CLI is a command whose cold start is measured.
type CLI struct {
	Name string // in names of operations: "python3"
	Argv []string
}

// Bounds on what a user may list: a run line names every operation, and three
// cold starts of a slow command take a minute.
const (
	maxCLIs    = 50
	maxCLI     = 1000 // bytes of a command with its arguments
	maxCLIName = 64
)

// CLIs returns the commands of the startup category by their names, in order.
func CLIs() []string { return strings.Split(DefaultCLIs, ",") }

// ParseCLIs reads commands with commas between them: "python3,mytool --help".
// Blanks separate a command from its arguments; one without arguments gets
// --version. No shell sees them, so there are no quotes and no variables.
//
// The name of "/opt/bin/mytool --help" is mytool_help: the last part of the
// path, and the arguments other than --version. Two commands of one name are an
// error, since they would be one operation.
func ParseCLIs(text string) ([]CLI, error) {
	var out []CLI
	for part := range strings.SplitSeq(text, ",") {
		cli, err := parseCLI(part)
		switch {
		case err != nil:
			return nil, err
		case slices.ContainsFunc(out, func(other CLI) bool { return other.Name == cli.Name }):
			return nil, fmt.Errorf("%s is there twice", cli.Name)
		case len(out) == maxCLIs:
			return nil, fmt.Errorf("want at most %d commands", maxCLIs)
		}
		out = append(out, cli)
	}
	return out, nil
}

func parseCLI(text string) (CLI, error) {
	words := strings.Fields(text)
	switch {
	case len(words) == 0:
		return CLI{}, fmt.Errorf("want commands with commas between them, such as %q", "python3,mytool --help")
	case len(text) > maxCLI:
		return CLI{}, fmt.Errorf("%.40q...: want at most %d bytes", text, maxCLI)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' }):
		return CLI{}, fmt.Errorf("%q: want printable characters", text)
	case strings.ContainsAny(text, "'\"`\\"):
		return CLI{}, fmt.Errorf("%q: want no quotes, as no shell takes them away; blanks separate arguments", text)
	case strings.HasPrefix(words[0], "-"):
		return CLI{}, fmt.Errorf("%q: want a command before its arguments", text)
	}
	if len(words) == 1 {
		words = append(words, "--version")
	}
	name := cliName(words)
	switch {
	case strings.Trim(name, "_.") == "":
		return CLI{}, fmt.Errorf("%q: want a command with a letter or a digit in its name", text)
	case len(name) > maxCLIName:
		return CLI{}, fmt.Errorf("%.40q...: want a command and arguments of at most %d characters, without its directory", text, maxCLIName)
	}
	return CLI{name, words}, nil
}

// cliName is a command as the value of a name: what is not in [A-Za-z0-9_.]
// becomes "_". A dash does too, since "-8" at the end of a name is a number of
// processors.
func cliName(argv []string) string {
	name := argv[0][strings.LastIndexByte(argv[0], '/')+1:]
	if args := argv[1:]; !slices.Equal(args, []string{"--version"}) {
		for _, a := range args {
			name += "_" + strings.TrimLeft(a, "-")
		}
	}
	return strings.Map(func(r rune) rune {
		if r == '.' || r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '_'
	}, name)
}

// StartupOp is the operation of one command.
func StartupOp(name string) Op {
	return Op{
		Startup, "startup/" + name, "Startup/cli=" + name, StartupRuns, 0,
		[]string{"ns/op", "min-ns", "max-ns", "user-ns", "sys-ns", "maxrss-B"},
		[]string{"ns/op"},
		true, name + " in PATH",
	}
}

// lookupStartup finds the operation of a name of StartupOp, of any command.
func lookupStartup(name string) (Op, bool) {
	cli, ok := strings.CutPrefix(name, "Startup/cli=")
	if !ok || cli == "" || cli != cliName([]string{cli, "--version"}) {
		return Op{}, false
	}
	return StartupOp(cli), true
}
