package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/userfile"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// measureOptions are the flags of everything that measures.
type measureOptions struct {
	leaf           string // pattern of the operations of a category; no flag, "" is all
	count          int
	labels         []string
	json           string
	out            string
	quiet, verbose bool
}

func (o *measureOptions) flags(f *pflag.FlagSet, out string) {
	f.IntVar(&o.count, "count", 1, "rounds of every operation")
	o.keepFlags(f, out)
}

// keepFlags are those of flags that say what becomes of the results.
func (o *measureOptions) keepFlags(f *pflag.FlagSet, out string) {
	f.StringVar(&o.json, "json", "", "write the JSON document to `FILE` too")
	f.StringVar(&o.out, "out", "", "keep text and JSON in `DIR`"+out)
	f.StringArrayVar(&o.labels, "label", nil, "say what is measured: `KEY=VALUE`, as release=1.4.0; may be repeated")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no tables and no progress")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show the benchmark text as it comes")
}

// keptHere is where results go that are measured without a sandbox.
const keptHere = " (default: a new one in $" + resultsVariable + ", if that is set)"

// maxCount keeps the text of one run within maxText.
const maxCount = 10_000

func (o *measureOptions) check() error {
	switch {
	case o.count < 1 || o.count > maxCount:
		return usage("--count %d: want 1 to %d", o.count, maxCount)
	case o.quiet && o.verbose:
		return usage("--quiet and --verbose: want one of them")
	}
	if _, err := o.labelled(nil); err != nil {
		return exit(exitUsage, err)
	}
	return checkCommands(os.Environ())
}

// checkCommands refuses a list of commands at once that the guest would refuse
// after a boot.
func checkCommands(env []string) error {
	for _, kv := range env {
		if text, ok := strings.CutPrefix(kv, catalogue.EnvCLIs+"="); ok && text != "" {
			if _, err := catalogue.ParseCLIs(text); err != nil {
				return usage("%s: %w", catalogue.EnvCLIs, err)
			}
		}
	}
	return nil
}

// checkJSON finds out before anything is measured that the document cannot be
// written, or would replace what it must not.
func (o *measureOptions) checkJSON() error {
	if o.json == "" || o.json == stdoutName {
		return nil
	}
	if err := o.replaceable(); err != nil {
		return err
	}
	if info, err := os.Stat(o.json); err == nil && !info.Mode().IsRegular() { // a pipe or a device
		return nil
	}
	if err := atomicfile.Try(filepath.Dir(o.json)); err != nil {
		return exit(exitUnfit, fmt.Errorf("--json %s: %w", o.json, err))
	}
	return nil
}

// replaceable holds --json to files of its kind, and to none of what is read.
func (o *measureOptions) replaceable(inputs ...os.FileInfo) error {
	if o.json == "" || o.json == stdoutName {
		return nil
	}
	if info, err := os.Stat(o.json); err == nil && info.IsDir() {
		return usage("--json %s: it is a directory; want a file in it", o.json)
	}
	if err := userfile.Replaceable(o.json, userfile.Document(), inputs...); err != nil {
		return usage("--json: %w", err)
	}
	return nil
}

// measureCommands are the categories, to measure here.
func (a *app) measureCommands() []*cobra.Command {
	var out []*cobra.Command
	for _, c := range catalogue.GuestCategories() {
		if c == catalogue.Load {
			out = append(out, a.loadCommands()...)
			continue
		}
		opt := new(measureOptions)
		cmd := &cobra.Command{
			Use: string(c), Short: c.Row().About, Args: atMostArgs(0, "no arguments"),
			Example: fmt.Sprintf("  capsem-bench %s\n  capsem-bench %s -count 6 --json %s.json", c, c, c),
			RunE: func(cmd *cobra.Command, args []string) error {
				env, err := arguments(c, args)
				if err != nil {
					return err
				}
				return a.measureHere(cmd.Context(), opt, env, c)
			},
		}
		switch c {
		case catalogue.HTTP:
			cmd.Use, cmd.Args = "http [URL [N [C]]]", atMostArgs(3, "at most a URL, a number of requests and a concurrency")
			cmd.Example = "  capsem-bench http\n  capsem-bench http https://www.google.com/ 500 16"
		case catalogue.Throughput:
			cmd.Use, cmd.Args = "throughput [URL]", atMostArgs(1, "at most a URL")
			cmd.Example = "  capsem-bench throughput\n  capsem-bench throughput https://example.com/big.bin"
		}
		opt.flags(cmd.Flags(), keptHere)
		out = append(out, cmd)
	}
	opt := new(measureOptions)
	all := &cobra.Command{
		Use: "all", Short: "Measure all categories here", Args: atMostArgs(0, "no arguments"),
		Example: "  capsem-bench all -count 6 --out results/today",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.measureHere(cmd.Context(), opt, nil) },
	}
	opt.flags(all.Flags(), keptHere)
	return append(out, all)
}

// arguments turns the positional arguments of a category into the guest
// binary's environment.
func arguments(c catalogue.Category, args []string) ([]string, error) {
	names := map[catalogue.Category][]string{
		catalogue.HTTP:       {catalogue.EnvURL, catalogue.EnvRequests, catalogue.EnvConcurrency},
		catalogue.Throughput: {catalogue.EnvThroughputURL},
	}[c]
	var env []string
	for i, arg := range args {
		if i == 0 && !strings.HasPrefix(arg, "http://") && !strings.HasPrefix(arg, "https://") {
			return nil, usage("%s: URL %q: want one that starts with http:// or https://", c, arg)
		}
		if n, err := strconv.Atoi(arg); i > 0 && (err != nil || n < 1) {
			return nil, usage("%s: %q: want a number of at least 1", c, arg)
		}
		env = append(env, names[i]+"="+arg)
	}
	return env, nil
}

// here runs the guest binary as it is, in this machine or guest.
type here struct {
	binary string
	env    []string
}

func (h here) Run(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	return sandbox.Guest(h.binary, args, h.env, stdout, stderr).Run(ctx)
}

// Close has nothing to end.
func (here) Close() error { return nil }

// measureHere measures without a sandbox, as in the guest. Without --out and
// resultsVariable the text stays in memory.
func (a *app) measureHere(ctx context.Context, opt *measureOptions, env []string, categories ...catalogue.Category) error {
	if err := opt.check(); err != nil {
		return err
	}
	if err := a.linuxOnly("to measure without a sandbox"); err != nil {
		return err
	}
	m := a.newMeasurement(opt, categories)
	defer m.p.Close()
	binary, err := sandbox.GuestBinary().Find(ctx, func(what string) { m.p.step(what, 0) })
	if err != nil {
		return unfit(ctx, err)
	}
	dir := opt.out
	if parent := os.Getenv(resultsVariable); dir == "" && parent != "" {
		dir = filepath.Join(parent, newID(time.Now()))
	}
	if dir != "" {
		if err := m.keepIn(dir); err != nil {
			return err
		}
	}
	if err := opt.checkJSON(); err != nil {
		return err
	}
	labels, err := opt.guestEnv(nil)
	if err != nil {
		return exit(exitUsage, err)
	}
	m.boot(ctx, here{binary, slices.Concat(os.Environ(), env, labels)}, textName, nil)
	return m.finish(ctx)
}
