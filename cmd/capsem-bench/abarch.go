package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/internal/shell"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/capsem/capsem-bench/sandbox/qemu"
)

// This file has the builds of a trial for machines of several architectures.

// architectures are those that a plan can be made for, in Go's words.
func architectures() []string { return []string{string(qemu.AMD64), string(qemu.ARM64)} }

// checkArches complains about architectures that there are no builds for. None
// asked for is this machine's.
func (opt *abOptions) checkArches() error {
	e := &opt.engine
	if len(e.arches) == 0 {
		e.arches = []string{runtime.GOARCH}
	}
	for i, arch := range e.arches {
		switch {
		case slices.Contains(e.arches[:i], arch):
			return usage("--arch: %s is there twice", arch)
		case arch == runtime.GOARCH:
		case !slices.Contains(architectures(), arch):
			return usage("--arch %q: want of %s", arch, strings.Join(architectures(), ", "))
		case runtime.GOOS != "linux":
			return usage("--arch %s: builds for another architecture than this machine's are made on Linux", arch)
		}
	}
	if bin := opt.base.bin + opt.cand.bin; bin != "" && !slices.Equal(e.arches, []string{runtime.GOARCH}) {
		return usage("--arch: the programs of --base-bin and --cand-bin are for one architecture, this machine's; plan a trial for each, where its programs are")
	}
	return nil
}

// foreignArch reports whether programs of an architecture are not this machine's.
// "" is this machine.
func foreignArch(arch string) bool { return arch != "" && arch != runtime.GOARCH }

// archSuffix tells builds for another architecture from this machine's.
func archSuffix(arch string) string {
	if !foreignArch(arch) {
		return ""
	}
	return "-" + arch
}

// archDir is where a directory of builds has those for an architecture: below
// its name, else in the directory itself.
func archDir(dir, arch string) string {
	if own := filepath.Join(dir, arch); arch != "" {
		if info, err := os.Stat(own); err == nil && info.IsDir() {
			return own
		}
	}
	return dir
}

// fits complains about a part for another architecture. Scripts fit all of them.
func (b *abBuild) fits(arch string) error {
	if arch == "" {
		return nil
	}
	for _, file := range b.parts {
		if is := programArch(file); is != "" && is != arch {
			return usage("%s is for %s, and --arch asks for %s; want the parts for it in %s",
				file, is, arch, filepath.Join(filepath.Dir(file), arch))
		}
	}
	return nil
}

// programArch is the architecture of a program for Linux; "" is that of a script.
func programArch(path string) string {
	f, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	switch f.Machine {
	case elf.EM_X86_64:
		return string(qemu.AMD64)
	case elf.EM_AARCH64:
		return string(qemu.ARM64)
	}
	return f.Machine.String()
}

// commandFor is the path of this command for an architecture.
func commandFor(ctx context.Context, arch string, notify func(string)) (string, error) {
	if !foreignArch(arch) {
		return self()
	}
	path, err := sandbox.GuestCommand().For(arch).Find(ctx, notify)
	if errors.Is(err, sandbox.ErrNoArtifact) {
		err = fmt.Errorf("this command for %s: %w", arch, err)
	}
	return path, err
}

// archKey is the name of a part in a plan. Those of the plan's first architecture
// are the names that the plan of one machine has.
func archKey(arch string, first bool, part string) string {
	if first {
		return part
	}
	return arch + "/" + part
}

// partOf returns what a part is called and whether it is for this machine.
func (t *abTrial) partOf(key string) (part string, here bool) {
	arch, part, found := strings.Cut(key, "/")
	if !found {
		arches := t.Plan.Fleet.Arches
		return key, len(arches) == 0 || arches[0] == runtime.GOARCH || key == partImage || key == partBin
	}
	return part, arch == runtime.GOARCH
}

// makeSide builds a side for every architecture and keeps what was built in the
// trial's directory. The side that it returns has the parts of the first one.
func (t *abTrial) makeSide(ctx context.Context, name string, opt sideOptions, arches []string, notify func(string)) (first *abSide, digests map[string]string, err error) {
	digests = make(map[string]string)
	for _, arch := range arches {
		b, err := opt.build(ctx, arch, notify)
		if err != nil {
			return nil, nil, err
		}
		if b.image != nil && len(arches) > 1 {
			return nil, nil, usage("%s: an image is for one architecture, and --arch asks for %d; plan a trial for each", b.name, len(arches))
		}
		side := &abSide{abBuild: b, options: opt}
		if t.opt.sandbox == "capsem" && opt.what == "" && opt.bin != "" {
			b.labels = labelsOfCapsem(ctx, opt.bin)
		}
		if side.labels, err = t.opt.labelWords(&opt, b.labels); err != nil {
			return nil, nil, exit(exitUsage, err)
		}
		if err := side.complete(ctx, arch, notify); err != nil {
			return nil, nil, unfit(ctx, err)
		}
		if err := side.findBin(ctx, t.opt.sandbox == "capsem"); err != nil {
			return nil, nil, err
		}
		kept, err := b.copyTo(t.builds())
		if err != nil {
			return nil, nil, exit(exitUnfit, fmt.Errorf("keeping the %s build: %w", name, err))
		}
		for part, sum := range kept {
			digests[archKey(arch, first == nil, part)] = sum
		}
		if side.bin != "" {
			digests[partBin] = side.binDigest
		}
		if first == nil {
			first = side
		}
	}
	return first, digests, nil
}

// keepCommands keeps this command with the builds, for the machines of every
// architecture of the plan, and returns where.
func (t *abTrial) keepCommands(ctx context.Context) (archCommands, error) {
	commands := make(archCommands)
	arches := t.Plan.Fleet.Arches
	if len(arches) == 0 { // of a plan that says nothing of it
		arches = []string{runtime.GOARCH}
	}
	for _, arch := range arches {
		path, err := commandFor(ctx, arch, func(string) {})
		if err != nil {
			return nil, unfit(ctx, err)
		}
		if commands[arch], _, err = keepBuild(t.builds(), partCommand, path); err != nil {
			return nil, exit(exitUnfit, err)
		}
	}
	return commands, nil
}

// archCommands is this command by the architectures of the machines it is for.
type archCommands map[string]string

// script is the text of sh that runs the command of the machine that it is on,
// with the words that are appended to it. A machine without one ends with the
// status of one that is not fit.
func (c archCommands) script(path func(string) string) string {
	var b strings.Builder
	b.WriteString("case $(uname -m) in ")
	for _, arch := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "%s) command=%s ;; ", unameOf(arch), shell.Quote(path(c[arch])))
	}
	fmt.Fprintf(&b, `*) echo "capsem-bench: the plan has no build for $(uname -m)" >&2; exit %d ;; esac; exec "$command"`, exitUnfit)
	return b.String()
}

// unameOf is the pattern of what uname -m says of an architecture.
func unameOf(arch string) string {
	switch arch {
	case "amd64":
		return "x86_64 | amd64"
	case "arm64":
		return "aarch64 | arm64"
	}
	return shell.Quote(arch) // of a machine that plans for itself alone
}

// checkMachine complains where the plan has no build for this machine.
func (t *abTrial) checkMachine() error {
	err := t.Plan.Fleet.Fits(runtime.GOOS, runtime.GOARCH)
	if errors.Is(err, ab.ErrNoBuild) {
		return exit(exitUnfit, fmt.Errorf("%s: %w; 'capsem-bench ab plan --arch %s' makes a plan for both",
			t.Dir, err, strings.Join(append(slices.Clone(t.Plan.Fleet.Arches), runtime.GOARCH), ",")))
	}
	return err
}
