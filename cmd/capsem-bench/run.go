package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capsem/capsem-bench/host/session"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// resultsDir is where runs go that have no --out.
const resultsDir = "results"

// maxBoots is far beyond what any comparison needs.
const maxBoots = 1000

// A sandboxKind is one value of --sandbox.
type sandboxKind struct {
	name  string
	about string // half a line for people
	// flags adds the kind's own flags, named after it; nil adds none.
	flags func(f *pflag.FlagSet)
	// unfit is why it does not work on this system; nil if it does.
	unfit error
	// foreign says that what a guest talks to is not ours.
	foreign bool
	// decides are the settings that it does not hand to a guest.
	decides []string
	// labels are what it says of the build that is measured; nil says nothing.
	labels func(ctx context.Context) map[string]string
	// prepare makes ready what all boots share, binaries and images, and
	// returns what opens one fresh sandbox. It comes once, before the first.
	prepare func(ctx context.Context, notify func(what string)) (openFunc, error)
	// makes makes ready what its VMs are made of; nil for a kind that makes none.
	makes func(ctx context.Context, notify func(what string)) (makeFunc, error)
}

// An openFunc opens one fresh sandbox, which the caller closes.
type openFunc = func(ctx context.Context, b sandbox.Boot) (sandbox.Sandbox, error)

// sandboxes are the values of --sandbox; the first is the default.
func (a *app) sandboxes() []sandboxKind {
	return append([]sandboxKind{a.localSandbox(), a.qemuSandbox()}, a.foreignSandboxes()...)
}

// runOptions are the flags of run.
type runOptions struct {
	measureOptions
	sandbox string
	boots   int
}

// runCommand measures in a sandbox.
func (a *app) runCommand() *cobra.Command {
	opt := new(runOptions)
	kinds := a.sandboxes()
	owners := make(map[string][]string) // of the flags that not all kinds have
	var about strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&about, "  %-9s %s\n", k.name, k.about)
	}
	cmd := &cobra.Command{
		Use:   "run [CATEGORY...]",
		Short: "Measure in a sandbox, from the host",
		Long: `run starts a sandbox with the services that a guest talks to, runs the guest
binary in it and keeps what it says: benchmark text, JSON and the session
database, in results/<time>-<id> or the directory of --out. One JSON document
goes to standard output, tables go to standard error.

Sandboxes:
` + about.String() + `
With --boots K it opens K fresh sandboxes one after the other, and there is one
text file for each: boots, not rounds, are what a comparison counts.

The variables of the guest binary (CAPSEM_BENCH_SIZE_MB and so on) are passed
on; see 'go doc github.com/capsem/capsem-bench'.`,
		Example: `  capsem-bench run
  capsem-bench run disk snapshot -count 6
  capsem-bench run --boots 6 --out results/before --quiet > before.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			categories, err := categories(args)
			if err != nil {
				return err
			}
			if err := opt.checkOwners(cmd.Flags(), owners); err != nil {
				return err
			}
			if cmd.Flags().Changed("boots") && opt.boots == 0 {
				return usage("--boots 0: want 1 to %d", maxBoots)
			}
			return a.runSandbox(cmd.Context(), opt, kinds, categories)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return categoryNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := cmd.Flags()
	opt.flags(f, " (default results/<time>-<id>)")
	f.StringVar(&opt.sandbox, "sandbox", kinds[0].name, "where to measure: "+kindNames(kinds))
	f.IntVar(&opt.boots, "boots", 0, "fresh sandboxes, a text file for each (default one, without a number)")
	kindFlags(cmd, kinds, owners)
	return cmd
}

// kindFlags adds the flags of the kinds, and notes in owners whose they are.
func kindFlags(cmd *cobra.Command, kinds []sandboxKind, owners map[string][]string) {
	for _, k := range kinds {
		own := pflag.NewFlagSet(k.name, pflag.ContinueOnError)
		if k.flags != nil {
			k.flags(own)
		}
		own.VisitAll(func(flag *pflag.Flag) { owners[flag.Name] = append(owners[flag.Name], k.name) })
		cmd.Flags().AddFlagSet(own)
	}
	_ = cmd.RegisterFlagCompletionFunc("sandbox", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return strings.Split(kindNames(kinds), ", "), cobra.ShellCompDirectiveNoFileComp
	})
}

func kindNames(kinds []sandboxKind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

func categoryNames() []string {
	var names []string
	for _, c := range catalogue.GuestCategories() {
		names = append(names, string(c))
	}
	return names
}

// categories reads category names; "all" and none are all of them.
func categories(args []string) ([]catalogue.Category, error) {
	var out []catalogue.Category
	for _, arg := range args {
		c := catalogue.Category(arg)
		switch {
		case arg == "all" && len(args) == 1:
			return nil, nil
		case slices.Contains(catalogue.HostCategories(), c):
			return nil, usage("run: %s is measured from the host; want 'capsem-bench lifecycle %s'", c, c)
		case !slices.Contains(catalogue.GuestCategories(), c):
			hint := ""
			if strings.Contains(arg, ",") {
				hint = ", with blanks between them"
			}
			return nil, usage("run: unknown category %q; want %s%s", arg, strings.Join(categoryNames(), ", "), hint)
		case slices.Contains(out, c):
			return nil, usage("run: category %s is there twice", arg)
		}
		out = append(out, c)
	}
	return out, nil
}

// checkOwners complains about a flag of another sandbox than the chosen one,
// which would be ignored.
func (o *runOptions) checkOwners(f *pflag.FlagSet, owners map[string][]string) (err error) {
	f.Visit(func(flag *pflag.Flag) {
		if own := owners[flag.Name]; err == nil && len(own) > 0 && !slices.Contains(own, o.sandbox) {
			err = usage("--%s is a flag of --sandbox %s, not of %s", flag.Name, strings.Join(own, " and "), o.sandbox)
		}
	})
	return err
}

func (o *runOptions) check(kinds []sandboxKind) (sandboxKind, error) {
	if err := o.measureOptions.check(); err != nil {
		return sandboxKind{}, err
	}
	if o.boots < 0 || o.boots > maxBoots {
		return sandboxKind{}, usage("--boots %d: want 1 to %d", o.boots, maxBoots)
	}
	for _, k := range kinds {
		if k.name == o.sandbox {
			return k, k.unfit
		}
	}
	return sandboxKind{}, usage("--sandbox %q: want %s", o.sandbox, kindNames(kinds))
}

func (a *app) runSandbox(ctx context.Context, opt *runOptions, kinds []sandboxKind, categories []catalogue.Category) error {
	kind, err := opt.check(kinds)
	if err != nil {
		return err
	}
	var found map[string]string
	if kind.labels != nil {
		found = kind.labels(ctx)
	}
	labels, err := opt.guestEnv(found)
	if err != nil {
		return exit(exitUsage, err)
	}
	m := a.newMeasurement(&opt.measureOptions, categories)
	defer m.p.Close()
	notify := func(what string) { m.p.step(what, 0) }
	a.remarkSettings(os.Environ(), kind)
	open, err := kind.prepare(ctx, notify)
	if err != nil {
		return unfit(ctx, err)
	}
	dir := opt.out
	if dir == "" {
		dir = filepath.Join(resultsDir, newID(time.Now()))
	}
	if err := m.keepIn(dir); err != nil {
		return err
	}
	if err := opt.checkJSON(); err != nil {
		m.discard(opt.out == "")
		return err
	}
	db := newSessionFile(filepath.Join(dir, sessionName))
	for slot := range max(opt.boots, 1) {
		b := sandbox.Boot{Dir: dir, Slot: slot + 1, Session: db.open, Env: labels, Notify: notify}
		if !m.sandbox(ctx, open, b, slot+1, opt.boots) {
			break
		}
	}
	db.close(a.stderr)
	err = m.finish(ctx)
	if m.empty() {
		m.discard(opt.out == "")
	} else if !opt.quiet {
		m.hint()
	}
	return err
}

// remarkSettings says which settings of the environment have no effect.
func (a *app) remarkSettings(env []string, kind sandboxKind) {
	for _, remark := range append(catalogue.UnknownSettings(env), sandbox.Kept(env, kind.name, kind.decides...)...) {
		fmt.Fprintln(a.stderr, "capsem-bench: warning:", termtext.Cell(remark))
	}
}

// sandbox makes one boot in a fresh sandbox. It reports whether the next is
// worth trying. Slots count from 1.
func (m *measurement) sandbox(ctx context.Context, open openFunc, b sandbox.Boot, slot, boots int) bool {
	name, first := textName, (*record.Boot)(nil)
	if boots > 0 {
		name = record.BootFile(slot)
		first = &record.Boot{Type: record.TypeBoot, Slot: slot, Time: record.Seconds(time.Now())}
		m.p.prefix(fmt.Sprintf("boot %d/%d: ", slot, boots))
	}
	s, err := open(ctx, b)
	if err != nil {
		m.boots = append(m.boots, &booted{name: name, text: newTextFile("", nil), err: err})
		return false
	}
	more := m.boot(ctx, s, name, first)
	if err := s.Close(); err != nil {
		b := m.boots[len(m.boots)-1]
		b.err = errors.Join(b.err, fmt.Errorf("closing the sandbox: %w", err))
	}
	return more
}

// hint says where the results are and what can be done with them.
func (m *measurement) hint() {
	var files []string
	for _, b := range m.boots {
		files = append(files, b.name)
	}
	if n := len(files); n > 2 {
		files = []string{files[0], "...", files[n-1]}
	}
	inspect := false
	if m.path(sessionName) != "" {
		if _, err := os.Stat(m.path(sessionName)); err == nil {
			files, inspect = append(files, sessionName), true
		}
	}
	fmt.Fprintf(m.a.stderr, "\nResults in %s: %s, %s\n", m.dir, strings.Join(files, ", "), jsonName)
	if inspect {
		fmt.Fprintf(m.a.stderr, "  capsem-bench session inspect %s   where time went\n", m.dir)
	}
	fmt.Fprintf(m.a.stderr, "  capsem-bench compare OLD %s   what changed\n", m.dir)
	fmt.Fprintf(m.a.stderr, "  capsem-bench report %s -o report.html   look at it\n", m.dir)
}

// newID names a run as Capsem names a session: its time in UTC and four
// random hex digits.
func newID(now time.Time) string {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails
	return now.UTC().Format("20060102-150405-") + hex.EncodeToString(b[:])
}

// A sessionFile is a session database that is made when first asked for.
type sessionFile struct {
	open func() (*session.Writer, error)
	used bool
}

func newSessionFile(path string) *sessionFile {
	s := new(sessionFile)
	s.open = sync.OnceValues(func() (*session.Writer, error) {
		w, err := session.Create(path)
		s.used = err == nil
		return w, err
	})
	return s
}

// close finishes the database. Rows that it lacks do not make a measurement
// wrong, so they are a remark.
func (s *sessionFile) close(stderr io.Writer) {
	if !s.used {
		return
	}
	w, _ := s.open()
	if err := w.Close(); err != nil {
		fmt.Fprintln(stderr, "capsem-bench: session database:", termtext.Block(err.Error()))
	}
}
