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

const (
	leastRuns    = 3 // pairs, which have a median and a spread
	leastMinutes = 2 // of which the second can differ from the first
)

// Options are the choices of a comparison.
type Options struct {
	Dir     string         // for the files
	Runs    int            // pairs of runs of each comparison
	Only    *regexp.Regexp // what to do
	Minutes int            // of what is watched over a time
	Log     io.Writer      // for people
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
	flags.IntVar(&opt.Minutes, "minutes", 10, "minutes of what is watched over a time, at least 2")
	flags.StringVar(&opt.Dir, "dir", ".", "where to put the files")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK
	case err != nil:
		return ExitUsage
	}
	var err error
	if opt.Only, err = regexp.Compile(*only); err != nil || opt.Runs < leastRuns || opt.Minutes < leastMinutes || flags.NArg() > 0 {
		fmt.Fprintf(stderr, "%s: want -runs of at least %d, -minutes of at least %d, -only with a regular expression, and nothing else\n", name, leastRuns, leastMinutes)
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
