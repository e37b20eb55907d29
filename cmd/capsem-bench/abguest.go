package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/internal/digest"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/spf13/pflag"
)

// This file has what is compared where the sides are guests of somebody else's,
// and not builds of ours.

// partBin is the program of a side that {bin} stands for. It stays where it is:
// an installed program may need what lies beside it.
const partBin = "bin"

// ofSide are flags of run that ab gives, or has one of for each side.
func ofSide() []string { return []string{"bin", "side", "slot"} }

// guestFlags adds the flags of the templates, which ab hands to run.
func guestFlags(f *pflag.FlagSet, kinds []sandboxKind) *pflag.FlagSet {
	all := pflag.NewFlagSet("guest", pflag.ContinueOnError)
	for _, k := range kinds {
		if !k.foreign {
			continue
		}
		own := pflag.NewFlagSet(k.name, pflag.ContinueOnError)
		k.flags(own)
		own.VisitAll(func(flag *pflag.Flag) {
			if !slices.Contains(ofSide(), flag.Name) && all.Lookup(flag.Name) == nil {
				all.AddFlag(flag)
			}
		})
	}
	f.AddFlagSet(all)
	return all
}

// guestArgs are those of the flags that were given, as arguments of run.
func (o *abOptions) guestArgs() (args []string) {
	if o.guest != nil {
		o.guest.VisitAll(func(flag *pflag.Flag) {
			if flag.Changed {
				args = append(args, "--"+flag.Name+"="+flag.Value.String())
			}
		})
	}
	return args
}

// checkGuests complains about what is for sandboxes of somebody else's alone.
func (o *abOptions) checkGuests(kind sandboxKind) error {
	bins := o.base.bin != "" || o.cand.bin != ""
	switch given := o.guestArgs(); {
	case kind.name == "capsem" && (o.base.bin == "" || o.cand.bin == "") && o.base.exec == "" && o.cand.exec == "":
		return usage("ab --sandbox capsem: want --base-bin and --cand-bin, the two programs to compare, as in\n" +
			"'capsem-bench ab --sandbox capsem --base-bin old/capsem --cand-bin new/capsem'")
	case kind.foreign:
		return errors.Join(findable("--base-bin", o.base.bin), findable("--cand-bin", o.cand.bin))
	case o.base.exec != "" || o.cand.exec != "":
		return usage("--base-exec and --cand-exec are for --sandbox command and capsem")
	case bins:
		return usage("--base-bin and --cand-bin are for --sandbox command and capsem")
	case len(given) > 0:
		flag, _, _ := strings.Cut(given[0], "=")
		return usage("%s is for --sandbox command and capsem", flag)
	}
	return kind.unfit
}

// findable complains about a program that is not there, before anything runs.
func findable(flag, bin string) error {
	if bin == "" {
		return nil
	}
	_, err := exec.LookPath(bin)
	if err != nil {
		err = errors.Unwrap(err)
		if e := new(fs.PathError); errors.As(err, &e) {
			err = e.Err // without the path once more
		}
		return usage("%s %s: %w; want the path of a program, or the name of one in PATH", flag, bin, err)
	}
	return nil
}

// findBin finds the program of a side, its digest and what it says it is.
func (s *abSide) findBin(ctx context.Context, asks bool) error {
	if s.options.bin == "" {
		return nil
	}
	path, err := exec.LookPath(s.options.bin)
	if err != nil {
		return exit(exitUsage, err)
	}
	s.bin = abs(path)
	if s.binDigest, err = digest.File(s.bin); err != nil {
		return exit(exitUnfit, err)
	}
	if version := ""; asks {
		if version = capsemVersion(ctx, s.bin); version != "" && s.options.what == "" {
			s.name += " (" + version + ")"
		}
	}
	return nil
}

// sameBin is an error where the program was replaced since the trial began.
func (s *abSide) sameBin(side string) error {
	if s.bin == "" {
		return nil
	}
	now, err := digest.File(s.bin)
	if err == nil && now != s.binDigest {
		err = fmt.Errorf("%s of the %s side was replaced during the trial", s.bin, side)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ab.ErrGiveUp, err)
	}
	return nil
}

// sayCompared says what is compared, before it is.
func (t *abTrial) sayCompared() {
	base, cand := t.sides[ab.Base], t.sides[ab.Cand]
	t.say("base: %s\ncand: %s", base.describe(), cand.describe())
	if base.built && cand.built && !t.foreign {
		t.say("Compared: capsem-bench's own stand-in services of %s\nagainst those of %s, in sandbox %s. No Capsem is measured; see --sandbox capsem.",
			base.tree(), cand.tree(), t.opt.sandbox)
	}
}

// tree is a side in words, that was built from sources.
func (s *abSide) tree() string {
	if filepath.Clean(s.name) == "." {
		return "this tree"
	}
	return termtext.Cell(s.name)
}

func (s *abSide) describe() string {
	text := termtext.Cell(s.name)
	if s.bin != "" {
		text += ", sha256 " + s.binDigest[:12]
	}
	return text
}
