package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/compare"
)

// mendedBuild stands for a build that nobody has made yet.
const mendedBuild = "FIXED"

// ofTrial takes from a trial the commands for what to do next, and what it had
// to measure again.
func (o *compareOptions) ofTrial(p *ab.Plan, dir string) (err error) {
	o.trial, o.resume = trialCommand(p, dir, false), trialCommand(p, dir, true)
	if p.Fleet != nil {
		o.resume = judgeCommand(dir)
	}
	mended := *p
	mended.Categories = nil
	if !onlyExec(&mended.Cand) { // else the guest is mended where it is
		mended.Cand.Name = mendedBuild
	}
	mended.Cand.Args = slices.Clone(p.Cand.Args)
	for i, arg := range mended.Cand.Args {
		if strings.HasPrefix(arg, "--bin=") {
			mended.Cand.Args[i] = "--bin=" + mendedBuild
		}
	}
	o.mended = trialCommand(&mended, dir, false)
	o.repeats, err = ab.ReadRepeats(dir)
	return err
}

// onlyExec reports whether a side is no build but a way to run something in its
// guest, or a program that does, which is its name too.
func onlyExec(b *ab.Build) bool {
	return slices.ContainsFunc(b.Args, func(arg string) bool {
		command, isExec := strings.CutPrefix(arg, "--exec=")
		bin, isBin := strings.CutPrefix(arg, "--bin=")
		what, _, _ := strings.Cut(b.Name, " (")
		return isExec && b.Name == execName(command) || isBin && filepath.Base(what) == filepath.Base(bin)
	})
}

// judgeCommand is the command that goes on with a trial on several machines.
func judgeCommand(dir string) string { return "capsem-bench ab judge " + shellWord(dir) }

// trialCommand is the command that measures the builds of a plan again, as a
// shell takes it: into a new directory, or to go on with the trial in dir.
func trialCommand(p *ab.Plan, dir string, resume bool) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(p.Settings)) {
		words = append(words, name+"="+shellWord(p.Settings[name]))
	}
	words = append(words, "capsem-bench", "ab")
	flag := func(name, value string) { words = append(words, "--"+name, shellWord(value)) }
	for _, side := range []struct {
		name string
		*ab.Build
	}{{ab.Base, &p.Base}, {ab.Cand, &p.Cand}} {
		what, _, _ := strings.Cut(side.Name, " (") // a git ref has its commit behind it
		if what != "" && !onlyExec(side.Build) {
			flag(side.name, what)
		}
		for _, arg := range side.Args {
			command, isExec := strings.CutPrefix(arg, "--exec=")
			bin, isBin := strings.CutPrefix(arg, "--bin=")
			switch {
			case isExec:
				flag(side.name+"-exec", command)
			case isBin:
				flag(side.name+"-bin", bin)
			case side.Files[partImage] != "" && strings.HasPrefix(arg, "--image="):
				// It comes with the build.
			default:
				flag(side.name+"-arg", arg)
			}
		}
		for _, env := range side.Env {
			flag(side.name+"-env", env)
		}
	}
	flag("sandbox", p.Sandbox)
	if !slices.Equal(p.Looks, compare.DefaultPlan().Looks) {
		var looks []string
		for _, k := range p.Looks {
			looks = append(looks, strconv.Itoa(k))
		}
		flag("looks", strings.Join(looks, ","))
	}
	by := p.Judging
	if by.Margin > 0 {
		flag("margin", strconv.FormatFloat(by.Margin, 'g', -1, 64))
	}
	for _, v := range by.Vary {
		flag("vary", v)
	}
	for _, op := range by.Ops {
		flag("ops", op)
	}
	if by.AcceptUnfit {
		words = append(words, "--accept-unfit")
	}
	if by.Policy != "" {
		flag("policy", filepath.Join(dir, ab.PolicyName))
	}
	if resume {
		flag("out", dir)
		if p.Timed == nil {
			flag("count", strconv.Itoa(p.Rounds))
		}
	}
	for _, c := range p.Categories {
		words = append(words, shellWord(c))
	}
	return strings.Join(words, " ")
}
