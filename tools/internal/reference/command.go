package reference

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
)

// The exit statuses of a command that compares.
const (
	ExitOK     = 0
	ExitFailed = 1 // a figure is not what it should be
	ExitUsage  = 2
	ExitUnfit  = 3

	exitInterrupted = 130
)

// leastRuns is the smallest number of pairs that have a median and a spread.
const leastRuns = 3

// Options are the choices of a comparison.
type Options struct {
	Dir  string         // for the files
	Runs int            // pairs of runs of each comparison
	Only *regexp.Regexp // what to do
	Log  io.Writer      // for people
}

// Command reads the options of the named command and does what it is for. do
// prints the figures, also those from before an error, and returns the exit
// status that they stand for. The result is that of the command.
func Command(ctx context.Context, name string, args []string, stderr io.Writer, do func(context.Context, Options) (int, error)) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	opt := Options{Log: stderr}
	flags.IntVar(&opt.Runs, "runs", 7, "pairs of runs of each comparison, at least 3")
	only := flags.String("only", ".", "do only what this regular expression matches")
	flags.StringVar(&opt.Dir, "dir", ".", "where to put the files")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK
	case err != nil:
		return ExitUsage
	}
	var err error
	if opt.Only, err = regexp.Compile(*only); err != nil || opt.Runs < leastRuns || flags.NArg() > 0 {
		fmt.Fprintf(stderr, "%s: want -runs of at least %d, -only with a regular expression, and nothing else\n", name, leastRuns)
		return ExitUsage
	}
	status, err := do(ctx, opt)
	if err == nil {
		return status
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, ErrUnfit):
		return ExitUnfit
	}
	return ExitFailed
}
