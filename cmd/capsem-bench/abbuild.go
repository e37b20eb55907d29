package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/capsem/capsem-bench/internal/cachedir"
	"github.com/capsem/capsem-bench/internal/digest"
	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/capsem/capsem-bench/sandbox/qemu"
)

// The parts of a build that may differ between the sides of a comparison.
const (
	partCommand = "capsem-bench"      // with the host services in it
	partGuest   = "capsem-bench.test" // the benchmarks
	partTools   = "capsem-guest"      // the guest's commands
)

// partImage is a directory and no file: a VM's image, for sandbox qemu.
const partImage = "image"

func buildParts() []string { return []string{partCommand, partGuest, partTools} }

// An abBuild is one side of a comparison: where its parts are. A part that it
// does not have is the same on both sides.
type abBuild struct {
	name  string            // as people gave it
	parts map[string]string // part -> file
	image *qemu.Image       // nil: the one that run finds
	// labels are what could be found of commit and release.
	labels map[string]string
	built  bool // from sources of ours
}

// resolveBuild finds what people mean: a directory with parts of a build, a
// checkout to build, a guest binary, or a git ref of the repository around
// the working directory. arch is what it has to run on; "" is this machine.
func resolveBuild(ctx context.Context, what, arch string, notify func(string)) (*abBuild, error) {
	info, err := os.Stat(what)
	switch {
	case err == nil && info.IsDir():
		if isCheckout(what) {
			// A checkout changes while one works in it: it is built again.
			dir, err := buildDir("checkout-" + shortHash(abs(what)) + archSuffix(arch))
			if err != nil {
				return nil, err
			}
			labels := labelsOfCheckout(ctx, what) // of the sources that are built
			b, err := buildAll(ctx, what, what, dir, arch, notify)
			if err != nil {
				return nil, err
			}
			b.labels = labels
			return b, nil
		}
		b, err := partsIn(what, archDir(what, arch))
		if err == nil && b.parts[partCommand] != "" {
			b.labels = labelsOfBinary(b.parts[partCommand])
		}
		if err == nil {
			err = b.fits(arch)
		}
		return b, err
	case err == nil && info.Mode().IsRegular():
		if info.Mode()&0o111 == 0 {
			return nil, usage("%s: not executable; want a guest binary, a directory or a git ref", what)
		}
		if strings.HasPrefix(filepath.Base(what), "capsem") && !strings.HasPrefix(filepath.Base(what), "capsem-bench") {
			return nil, usage("%s: --base and --cand are builds of capsem-bench; a program of Capsem is compared by\n"+
				"  capsem-bench ab --sandbox capsem --base-bin OLD/capsem --cand-bin NEW/capsem", what)
		}
		b := &abBuild{name: what, parts: map[string]string{partGuest: abs(what)}}
		return b, b.fits(arch)
	case err == nil:
		return nil, usage("%s: want a guest binary, a directory or a git ref", what)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, exit(exitUsage, err)
	}
	return buildRef(ctx, what, arch, notify)
}

// none reports whether nothing says what the side is.
func (o sideOptions) none() bool { return o.what == "" && o.exec == "" && o.bin == "" }

// label names a side that has no build of ours.
func (o sideOptions) label() string {
	if o.exec != "" {
		return execName(o.exec)
	}
	return o.bin
}

// build is the side's build. One that says only how its guest runs something
// has no parts of its own: what is compared is the guests.
func (o sideOptions) build(ctx context.Context, arch string, notify func(string)) (*abBuild, error) {
	if o.what == "" {
		return &abBuild{name: o.label(), parts: make(map[string]string)}, nil
	}
	return resolveBuild(ctx, o.what, arch, notify)
}

// execName is the name of a side that has no build.
func execName(command string) string { return termtext.Short(command, 60) }

func abs(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// partsIn takes the parts that a directory has.
func partsIn(name, dir string) (*abBuild, error) {
	b := &abBuild{name: name, parts: make(map[string]string)}
	for _, image := range []string{dir, filepath.Join(dir, partImage)} {
		switch found, err := qemu.OpenImage(abs(image)); {
		case err == nil:
			b.image = found
		case !errors.Is(err, fs.ErrNotExist):
			return nil, exit(exitUsage, err)
		}
	}
	for _, part := range buildParts() {
		file := filepath.Join(dir, part)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			b.parts[part] = abs(file)
		}
	}
	if len(b.parts) == 0 && b.image == nil {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			return nil, usage("%s: a checkout of %s; %s", name, filepath.Base(abs(dir)), otherBuilds)
		}
		return nil, usage("%s: none of %s, %s is in it; want the directory of a build", name, strings.Join(buildParts(), ", "), partImage)
	}
	return b, nil
}

// isCheckout reports whether a directory holds the module's sources.
func isCheckout(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && isOurs(string(text))
}

// isOurs reports whether a go.mod is that of this module.
func isOurs(mod string) bool {
	line, _, _ := strings.Cut(mod, "\n")
	return strings.TrimSpace(line) == "module "+sandbox.Module
}

// buildRef builds a git ref in a worktree of its own, which is removed
// afterwards. What was built is kept, so a commit is built once.
func buildRef(ctx context.Context, ref, arch string, notify func(string)) (built *abBuild, err error) {
	commit, err := ownCommit(ctx, ref)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s (%.12s)", ref, commit)
	defer func() {
		if built != nil {
			built.built = true
		}
	}()
	dir, err := buildDir("commit-" + commit + "-" + runtime.Version() + archSuffix(arch))
	if err != nil {
		return nil, err
	}
	labels := labelsOfCommit(ctx, ".", commit)
	if b, err := partsIn(name, dir); err == nil && len(b.parts) == len(buildParts()) {
		b.labels = labels
		return b, nil
	}
	work, err := scratch.New(scratch.Temp(), "capsem-tree-")
	if err != nil {
		return nil, exit(exitUnfit, err)
	}
	defer work.Close()
	tree := filepath.Join(work.Path(), "tree")
	notify("checking out " + ref)
	if _, err := git(ctx, "worktree", "add", "--quiet", "--force", "--detach", tree, commit); err != nil {
		return nil, unfit(ctx, err)
	}
	defer func() {
		_, _ = git(context.WithoutCancel(ctx), "worktree", "remove", "--force", tree)
	}()
	b, err := buildAll(ctx, name, tree, dir, arch, notify)
	if err != nil {
		return nil, err
	}
	b.labels = labels
	return b, nil
}

// ownCommit is the commit of a git ref, which has to be one of this module.
func ownCommit(ctx context.Context, ref string) (string, error) {
	commit, err := git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil {
		if ctx.Err() != nil {
			return "", unfit(ctx, ctx.Err())
		}
		return "", usage("%s: no such file or directory, and no commit of a git repository here", ref)
	}
	if mod, err := git(ctx, "show", commit+":go.mod"); err != nil || !isOurs(mod) {
		return "", usage("%s: a commit of %s; %s", ref, repositoryName(ctx), otherBuilds)
	}
	return commit, nil
}

// checkBuild refuses what resolveBuild would, as far as that can be told without
// building: somebody in another repository learns it at once.
func (o sideOptions) checkBuild(ctx context.Context) error {
	if o.what == "" {
		return nil
	}
	info, err := os.Stat(o.what)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, err = ownCommit(ctx, o.what)
		return err
	case err == nil && info.IsDir() && !isCheckout(o.what):
		_, err = partsIn(o.what, o.what)
		return err
	}
	return nil
}

// otherBuilds is what to do where --base and --cand name something else than they
// compare.
const otherBuilds = `--base and --cand would build capsem-bench from it
and compare the stand-in services of two versions, and this is not capsem-bench's repository.
To compare two builds of Capsem, build each and name the two programs:
  capsem-bench ab --sandbox capsem --base-bin OLD/capsem --cand-bin NEW/capsem
Two VMs of another kind are compared by how each runs something:
  capsem-bench ab --sandbox command --base-exec 'OLD exec {}' --cand-exec 'NEW exec {}'`

// repositoryName is the directory of the repository here.
func repositoryName(ctx context.Context) string {
	top, err := git(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return "another repository"
	}
	return "the repository " + filepath.Base(top)
}

// buildDir makes the directory of something that was built.
func buildDir(id string) (string, error) {
	dir, err := cachedir.Make("builds", id)
	return dir, exit(exitUnfit, err)
}

// buildAll builds all parts from sources. Two builds at once each write files
// of their own.
func buildAll(ctx context.Context, name, src, dir, arch string, notify func(string)) (*abBuild, error) {
	artifacts := map[string]sandbox.Artifact{
		partCommand: sandbox.GuestCommand(),
		partGuest:   sandbox.GuestBinary(),
		partTools:   sandbox.GuestTools(),
	}
	b := &abBuild{name: name, parts: make(map[string]string), built: true}
	for _, part := range buildParts() {
		notify("building " + part + archSuffix(arch) + " of " + name)
		tmp, err := os.CreateTemp(dir, "."+part+"-*")
		if err != nil {
			return nil, exit(exitUnfit, err)
		}
		_ = tmp.Close()
		defer os.Remove(tmp.Name())
		cmd := exec.CommandContext(ctx, "go", artifacts[part].Build(tmp.Name())...)
		cmd.Dir = src
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=", "GOARCH="+arch, "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, unfit(ctx, fmt.Errorf("building %s of %s: %w\n%s", part, name, err, bytes.TrimSpace(out)))
		}
		file := filepath.Join(dir, part)
		if err := errors.Join(os.Chmod(tmp.Name(), 0o755), os.Rename(tmp.Name(), file)); err != nil {
			return nil, exit(exitUnfit, err)
		}
		b.parts[part] = file
	}
	return b, nil
}

func git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(bytes.TrimSpace(out)), nil
}

// copyTo copies the parts into a directory, each into one that has its digest
// for a name, so that a trial of an hour runs what it began with, and other
// machines find it. It returns their digests.
func (b *abBuild) copyTo(dir string) (map[string]string, error) {
	digests := make(map[string]string)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for part, file := range b.parts {
		to, sum, err := keepBuild(dir, part, file)
		if err != nil {
			return nil, err
		}
		b.parts[part], digests[part] = abs(to), sum
	}
	if b.image != nil {
		digests[partImage] = b.image.Digest // too large to copy; run verifies it
	}
	return digests, nil
}

// keptBuild is where a part with a digest is kept in a directory.
func keptBuild(dir, part, sum string) string { return filepath.Join(dir, sum, filepath.Base(part)) }

// keepBuild copies a part to where its digest belongs.
func keepBuild(dir, part, file string) (to, sum string, err error) {
	if sum, err = digest.File(file); err != nil {
		return "", "", err
	}
	to = keptBuild(dir, part, sum)
	if there, err := digest.File(to); err == nil && there == sum {
		return to, sum, nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", "", err
	}
	copied, err := copyFile(to, file)
	if err == nil && copied != sum {
		err = fmt.Errorf("%s was replaced while it was copied", file)
	}
	return to, sum, err
}

// copyFile copies an executable and returns its SHA-256.
func copyFile(to, from string) (sum string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+"-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), in)
	if err := errors.Join(err, out.Chmod(0o755), out.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), os.Rename(out.Name(), to)
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}
