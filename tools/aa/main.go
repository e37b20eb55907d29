// Command aa tries the gate on this machine, with real boots of the local
// sandbox and one build on both sides.
//
//	aa [flags] [CATEGORY...]    boots of one build, split into old and new many times
//	aa -delay snapshots_create=200ms    a trial of 'ab' whose new side has slower snapshots
//	aa -debug    a trial of 'ab' whose new side has the guest's commands built for debugging
//	aa -image    a trial of 'ab' in VMs whose new side has an image made for debugging
//
// The first prints for every op how much boots of one build differ, and rounds of
// one boot. -splits 0 prints nothing else, for which a few boots, of any sandbox,
// are enough. Then it counts how often the gate stops a build in which nothing changed,
// and what it says when one operation of the new side is made slower in the
// texts. The splits share their boots, so their interval is too narrow where
// the machine itself changed. The others are slowdowns that are really there:
// what is slower has to be named, and nothing that it does not touch.
//
// Exit status: 0 as it should be, 1 not, 2 usage, 3 not measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/delay"
)

const (
	exitWrong   = 1
	exitUsage   = 2
	exitUnfit   = 3
	interrupted = 130
)

type options struct {
	boots, splits, rounds int
	seed                  uint64
	delay                 string
	debug, image          bool
	in, out               string
	categories            []string
}

// trials is how many trials are asked for.
func (o *options) trials() (n int) {
	for _, asked := range []bool{o.delay != "", o.debug, o.image} {
		if asked {
			n++
		}
	}
	return n
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "aa:", err)
		return exitUsage
	}
	var wrong []string
	if o.trials() > 0 {
		wrong, err = slowed(ctx, o, stdout, stderr)
	} else {
		wrong, err = same(ctx, o, stdout, stderr)
	}
	switch {
	case ctx.Err() != nil:
		return interrupted
	case err != nil:
		fmt.Fprintln(stderr, "aa:", err)
		return exitUnfit
	}
	for _, w := range wrong {
		fmt.Fprintln(stderr, "aa:", w)
	}
	if len(wrong) > 0 {
		return exitWrong
	}
	return 0
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("aa", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.boots, "boots", 40, "boots to measure, an even number; at least those of the last look of both sides")
	f.IntVar(&o.splits, "splits", 200, "random splits of them; 0 only prints how much they differ")
	f.IntVar(&o.rounds, "count", 3, "rounds of every operation in a boot")
	f.Uint64Var(&o.seed, "seed", 1, "of the splits")
	f.StringVar(&o.delay, "delay", "", "measure a trial of 'ab' with this `DELAY` on the new side instead")
	f.BoolVar(&o.debug, "debug", false, "measure a trial of 'ab' with guest commands built for debugging on the new side instead")
	f.BoolVar(&o.image, "image", false, "measure a trial of 'ab' in VMs with an image made for debugging on the new side instead")
	f.StringVar(&o.in, "in", "", "split the boots of `DIR`, measure none")
	f.StringVar(&o.out, "out", "", "keep what is measured in `DIR`")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.categories = f.Args()
	switch {
	case o.splits == 0 && o.boots < minBoots:
		return nil, fmt.Errorf("-boots %d: want at least %d", o.boots, minBoots)
	case o.splits > 0 && (o.boots < least() || o.boots%2 != 0):
		return nil, fmt.Errorf("-boots %d: want an even number from %d", o.boots, least())
	case o.splits < 0 || o.rounds < 1:
		return nil, errors.New("-splits and -count: want at least 0 and 1")
	case o.trials() > 1:
		return nil, errors.New("-delay, -debug and -image are trials of their own")
	case o.trials() > 0 && (o.in != "" || len(o.categories) > 0):
		return nil, errors.New("-delay, -debug and -image choose what is measured; they take neither -in nor a category")
	}
	if _, err := delay.Parse(o.delay); err != nil {
		return nil, fmt.Errorf("-delay: %w", err)
	}
	for _, c := range o.categories {
		if !slices.Contains(catalogue.GuestCategories(), catalogue.Category(c)) {
			return nil, fmt.Errorf("no category %q", c)
		}
	}
	return o, nil
}

// same measures boots of this build and splits them.
func same(ctx context.Context, o *options, stdout, stderr io.Writer) ([]string, error) {
	dir := o.in
	if dir == "" {
		done, out, err := outDir(o.out)
		if err != nil {
			return nil, err
		}
		defer done()
		dir = filepath.Join(out, "boots")
		command, err := build(ctx, out)
		if err != nil {
			return nil, err
		}
		args := append([]string{"run", "--quiet", "--boots=" + strconv.Itoa(o.boots), "--count=" + strconv.Itoa(o.rounds), "--out=" + dir}, o.categories...)
		fmt.Fprintf(stderr, "aa: %d boots, kept in %s while it runs\n", o.boots, dir)
		if status, err := call(ctx, io.Discard, stderr, command, args...); err != nil || status > exitWrong {
			return nil, fmt.Errorf("'capsem-bench run' ended with status %d: %w", status, errors.Join(err, errNotMeasured))
		}
	}
	boots, err := readBoots(dir)
	if err != nil {
		return nil, err
	}
	all, err := spreads(boots)
	if err != nil {
		return nil, err
	}
	if o.splits > 0 {
		if err := enough(boots, dir); err != nil {
			return nil, err
		}
	}
	renderSpreads(stdout, all, len(boots))
	if o.splits == 0 {
		return nil, nil
	}
	return split(boots, o, stdout)
}

var errNotMeasured = errors.New("not measured")

// outDir is where to keep things, and what to do when they are done with.
func outDir(out string) (done func(), dir string, err error) {
	if out != "" {
		return func() {}, out, os.MkdirAll(out, 0o755)
	}
	dir, err = os.MkdirTemp("", "capsem-bench-aa-")
	return func() { _ = os.RemoveAll(dir) }, dir, err
}

// build makes the command from the sources around the working directory.
func build(ctx context.Context, dir string) (string, error) {
	command := filepath.Join(dir, "capsem-bench")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", command, "github.com/capsem/capsem-bench/cmd/capsem-bench")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building capsem-bench: %w\n%s", err, text)
	}
	return filepath.Abs(command)
}

// call runs a command and returns its exit status.
func call(ctx context.Context, stdout, stderr io.Writer, name string, args ...string) (int, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var exit *exec.ExitError
	switch err := cmd.Run(); {
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil
	case err != nil:
		return -1, err
	}
	return 0, nil
}
