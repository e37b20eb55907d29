package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/capsem/capsem-bench/internal/contract"
	"github.com/capsem/capsem-bench/internal/termtext"
)

const snapshotsUsage = `Usage: snapshots <command> [arguments] [--json]

Workspace snapshots, taken by the host.

  create [name]                        take a snapshot; the name defaults to the time
  list                                 the snapshots, newest first
  changes                              what differs from the snapshots
  revert <path> [checkpoint]           bring one file back
  delete <checkpoint>                  remove a snapshot taken by hand
  history <path>                       the versions of one file
  compact <cp> <cp>... [--name <name>] merge snapshots into one

  --json   print the answer as JSON
`

// wholeText asks for list and changes in one piece. Capsem cuts both, JSON
// too, to 5000 bytes if the call does not say otherwise, and the pages of two
// calls need not fit together; a gateway that does not cut JSON ignores it.
const wholeText = 1 << 30

// usageError is a command line without a required argument.
type usageError struct{ unknown string }

func (e usageError) Error() string {
	if e.unknown != "" {
		return "Unknown command: " + e.unknown + "\n" + snapshotsUsage
	}
	return snapshotsUsage
}

// A toolCall is what a command line asks the gateway for.
type toolCall struct {
	verb string
	tool string
	args map[string]any
	json bool
}

// snapshots is the program of that name. argv0 is how it was called; the relay
// is looked for beside it. It prints the answer on stdout and returns 0, or an
// error on stderr, nothing on stdout, and returns 1.
func snapshots(ctx context.Context, argv0 string, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	args, asJSON := cutJSON(args)
	if len(args) == 0 || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(stdout, snapshotsUsage)
		return 0
	}
	call, err := parseCall(args[0], args[1:], asJSON, time.Now())
	if err != nil {
		fmt.Fprint(stderr, err.Error())
		return 1
	}
	text, err := answer(ctx, argv0, call, getenv)
	if err != nil {
		fmt.Fprintf(stderr, "Error: %s\n", termtext.Block(err.Error()))
		return 1
	}
	if _, err := io.WriteString(stdout, text); err != nil {
		fmt.Fprintf(stderr, "Error: writing the answer: %v\n", err)
		return 1
	}
	return 0
}

// answer makes the call and renders what came back.
func answer(ctx context.Context, argv0 string, call toolCall, getenv func(string) string) (string, error) {
	limit, err := durationSetting(getenv, contract.EnvSnapshotsTimeout, time.Minute)
	if err != nil {
		return "", err
	}
	argv, err := findRelay(argv0, getenv)
	if err != nil {
		return "", err
	}
	text, err := callTool(ctx, argv, limit, call)
	if err != nil {
		return "", err
	}
	if cut := cutNotice(text); cut != "" {
		return "", fmt.Errorf("the gateway cut its answer (%s)", cut)
	}
	if call.json {
		return renderJSON(text)
	}
	return renderText(call, text), nil
}

// cutJSON takes --json out of the command line, wherever it is. Only the first
// one counts, as in Capsem; a second is an argument.
func cutJSON(args []string) ([]string, bool) {
	i := slices.Index(args, "--json")
	if i < 0 {
		return args, false
	}
	return slices.Concat(args[:i], args[i+1:]), true
}

// parseCall reads the command line. Words that a command has no use for are
// ignored, as in Capsem.
func parseCall(verb string, args []string, asJSON bool, now time.Time) (toolCall, error) {
	c := toolCall{verb: verb, args: map[string]any{}, json: asJSON}
	c.tool = contract.ToolPrefix + c.verb
	switch c.verb {
	case "create":
		c.args["name"] = now.Format("20060102_150405")
		if len(args) > 0 {
			c.args["name"] = args[0]
		}
	case "list", "changes":
		c.args["max_length"] = wholeText
		if c.json {
			c.args["format"] = "json"
		}
	case "revert", "history", "delete":
		if len(args) == 0 {
			return c, usageError{}
		}
		if c.verb == "delete" {
			c.args["checkpoint"] = args[0]
			break
		}
		c.args["path"] = args[0]
		if !utf8.ValidString(args[0]) { // else it may be a name as an answer spells it
			c.args["path"] = contract.EscapePath(args[0])
		}
		if c.verb == "revert" && len(args) > 1 {
			c.args["checkpoint"] = args[1]
		}
	case "compact":
		return c, c.parseCompact(args)
	default:
		return c, usageError{unknown: termtext.Cell(c.verb)}
	}
	return c, nil
}

// parseCompact reads the checkpoints and the name of compact.
func (c *toolCall) parseCompact(args []string) error {
	if len(args) < 2 {
		return usageError{}
	}
	var checkpoints []string
	for i := 0; i < len(args); i++ {
		if args[i] != "--name" {
			checkpoints = append(checkpoints, args[i])
			continue
		}
		if i++; i == len(args) {
			return usageError{}
		}
		c.args["name"] = args[i]
	}
	if len(checkpoints) == 0 {
		return usageError{}
	}
	c.args["checkpoints"] = checkpoints
	return nil
}

// cutNotice returns the head of an answer that was cut to a page, in one line.
// Capsem before it kept JSON whole prints such an answer as a success.
func cutNotice(text string) string {
	p, _, ok := contract.ParsePage(text)
	if !ok {
		return ""
	}
	return fmt.Sprintf("bytes %d to %d of %d", p.From, p.To, p.Total)
}
