package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/spf13/cobra"
)

// promoteCommand makes boots the baseline.
func (a *app) promoteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "promote DIR BOOTS...",
		Short: "Make boots the baseline that later builds are held against",
		Long: fmt.Sprintf(`promote keeps boots as one text file each in DIR, boot-001.txt and so on, in place
of the baseline that is there. The directory can live in git. A directory that
promote did not write, or one that boots are read from, is not replaced.

It refuses, with exit status 1, boots in which something failed, did not come to
its end or ran on an unfit machine, boots that are not alike, and a quick run:
fewer than %d boots, or fewer than %d rounds.`, compare.MinBaselineBoots, compare.MinBaselineRounds),
		Example: `  capsem-bench gate promote baseline results/boots
  git add baseline && git commit -m 'baseline: 1.6.2'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage("promote: want a directory and boots, as in 'capsem-bench gate %s'", cmd.Use)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.promote(args[0], args[1:]) },
	}
}

func (a *app) promote(dir string, sources []string) error {
	side, err := a.loadSide(strings.Join(sources, ","))
	if err != nil {
		return exit(exitUsage, err)
	}
	if reasons := compare.Promotable(side); len(reasons) > 0 {
		return exit(exitFailed, fmt.Errorf("no baseline:\n  %s", strings.Join(reasons, "\n  ")))
	}
	if err := errors.Join(noInput(dir, sources), onlyBaseline(dir)); err != nil {
		return exit(exitUsage, err)
	}
	if err := replaceBaseline(dir, side); err != nil {
		return exit(exitUnfit, fmt.Errorf("writing the baseline: %w", err))
	}
	return a.output(fmt.Sprintf("%s: %d boots\n", termtext.Block(dir), len(side.Boots)))
}

// baselineMark is the file by which promote knows a directory of its own.
const baselineMark = ".capsem-baseline"

// markText is what the mark says to people.
const markText = "capsem-bench gate promote wrote this directory, and replaces it.\n"

// noInput refuses to replace what is read: it may be the only copy of what was
// measured.
func noInput(dir string, sources []string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // nothing is there, or onlyBaseline says what is wrong
	}
	var there []os.FileInfo
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil {
			there = append(there, info)
		}
	}
	for _, name := range strings.Split(strings.Join(sources, ","), ",") {
		files, err := bootFiles(name)
		if err != nil {
			files = nil // a name with a comma in it, which onlyBaseline bounds
		}
		for _, file := range files {
			info, err := os.Stat(file)
			if err == nil && slices.ContainsFunc(there, func(t os.FileInfo) bool { return os.SameFile(t, info) }) {
				return fmt.Errorf("%s is read, and is in %s, which would be replaced; choose another directory", file, dir)
			}
		}
	}
	return nil
}

// onlyBaseline refuses a directory that is not a baseline of an earlier
// promote, or has anything else in it: it will be replaced.
func onlyBaseline(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	marked := false
	for _, e := range entries {
		if e.Name() == baselineMark {
			marked = true
			continue
		}
		if ok, _ := filepath.Match(record.BootFiles, e.Name()); !ok {
			return fmt.Errorf("%s has %s in it, which is no boot of a baseline; choose a directory for baselines alone", dir, e.Name())
		}
	}
	if !marked {
		return fmt.Errorf("%s has boots in it and is no baseline that promote wrote; choose another directory, or put an empty file %s into it", dir, baselineMark)
	}
	return nil
}

// replaceBaseline writes the new baseline beside the old one and then puts it
// in its place, so that there is a whole one at every moment but one rename.
func replaceBaseline(dir string, side *compare.Side) error {
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	next, last := filepath.Join(fresh, "new"), filepath.Join(fresh, "old")
	if err := os.Mkdir(next, 0o755); err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(next, baselineMark), []byte(markText)); err != nil {
		return err
	}
	for i, b := range side.Boots {
		if err := atomicfile.Write(filepath.Join(next, record.BootFile(i+1)), b.Text); err != nil {
			return err
		}
	}
	if err := os.Rename(dir, last); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(next, dir); err != nil {
		return errors.Join(err, os.Rename(last, dir))
	}
	return nil
}
