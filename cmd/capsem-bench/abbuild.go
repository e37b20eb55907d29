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
}

// resolveBuild finds what people mean: a directory with parts of a build, a
// checkout to build, a guest binary, or a git ref of the repository around
// the working directory.
func resolveBuild(ctx context.Context, what string, notify func(string)) (*abBuild, error) {
	info, err := os.Stat(what)
	switch {
	case err == nil && info.IsDir():
		if isCheckout(what) {
			// A checkout changes while one works in it: it is built anew.
			dir, err := buildDir("checkout-" + shortHash(abs(what)))
			if err != nil {
				return nil, err
			}
			return buildAll(ctx, what, what, dir, notify)
		}
		return partsIn(what, what)
	case err == nil && info.Mode().IsRegular():
		if info.Mode()&0o111 == 0 {
			return nil, usage("%s: not executable; want a guest binary, a directory or a git ref", what)
		}
		return &abBuild{name: what, parts: map[string]string{partGuest: abs(what)}}, nil
	case err == nil:
		return nil, usage("%s: want a guest binary, a directory or a git ref", what)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, exit(exitUsage, err)
	}
	return buildRef(ctx, what, notify)
}

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
		return nil, usage("%s: none of %s, %s is in it; want the directory of a build", name, strings.Join(buildParts(), ", "), partImage)
	}
	return b, nil
}

// isCheckout reports whether a directory holds the module's sources.
func isCheckout(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && strings.HasPrefix(string(text), "module "+sandbox.Module+"\n")
}

// buildRef builds a git ref in a worktree of its own, which is removed
// afterwards. What was built is kept, so a commit is built once.
func buildRef(ctx context.Context, ref string, notify func(string)) (*abBuild, error) {
	commit, err := git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil {
		if ctx.Err() != nil {
			return nil, unfit(ctx, ctx.Err())
		}
		return nil, usage("%s: no such file or directory, and no commit of a git repository here", ref)
	}
	name := fmt.Sprintf("%s (%.12s)", ref, commit)
	dir, err := buildDir("commit-" + commit + "-" + runtime.Version())
	if err != nil {
		return nil, err
	}
	if b, err := partsIn(name, dir); err == nil && len(b.parts) == len(buildParts()) {
		return b, nil
	}
	tree, err := os.MkdirTemp("", "capsem-bench-tree-")
	if err != nil {
		return nil, exit(exitUnfit, err)
	}
	defer os.RemoveAll(tree)
	notify("checking out " + ref)
	if _, err := git(ctx, "worktree", "add", "--quiet", "--force", "--detach", tree, commit); err != nil {
		return nil, unfit(ctx, err)
	}
	defer func() {
		_, _ = git(context.WithoutCancel(ctx), "worktree", "remove", "--force", tree)
	}()
	if !isCheckout(tree) {
		return nil, usage("%s: not a commit of %s", ref, sandbox.Module)
	}
	return buildAll(ctx, name, tree, dir, notify)
}

// buildDir makes the directory of something that was built.
func buildDir(id string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "capsem-bench", "builds", id)
	return dir, exit(exitUnfit, os.MkdirAll(dir, 0o755))
}

// buildAll builds all parts from sources. Two builds at once each write files
// of their own.
func buildAll(ctx context.Context, name, src, dir string, notify func(string)) (*abBuild, error) {
	artifacts := map[string]sandbox.Artifact{
		partCommand: sandbox.GuestCommand(),
		partGuest:   sandbox.GuestBinary(),
		partTools:   sandbox.GuestTools(),
	}
	b := &abBuild{name: name, parts: make(map[string]string)}
	for _, part := range buildParts() {
		notify("building " + part + " of " + name)
		tmp, err := os.CreateTemp(dir, "."+part+"-*")
		if err != nil {
			return nil, exit(exitUnfit, err)
		}
		_ = tmp.Close()
		defer os.Remove(tmp.Name())
		cmd := exec.CommandContext(ctx, "go", artifacts[part].Build(tmp.Name())...)
		cmd.Dir = src
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=", "GOARCH=", "GOWORK=off")
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

// copyTo copies the parts into a directory, so that a trial of an hour runs
// what it began with, and returns their digests.
func (b *abBuild) copyTo(dir string) (map[string]string, error) {
	digests := make(map[string]string)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for part, file := range b.parts {
		to := filepath.Join(dir, part)
		sum, err := copyFile(to, file)
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
