package qemu

import (
	"archive/tar"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// npmLocks are package.json and package-lock.json of two trees: the clis that
// the full image has, and the npm that installs them. They name every version
// and the digest of its archive, but no registry.
//
//go:embed npm/*/package.json npm/*/package-lock.json
var npmLocks embed.FS

// npmDir is where the full image has node and the CLIs; its bin directory is
// in the guest's PATH.
const npmDir = "opt/ai-clis"

// npmInputs are the texts that decide what npm installs.
func npmInputs() []string {
	var out []string
	for _, name := range []string{"installer", "clis"} {
		for _, file := range []string{"package.json", "package-lock.json"} {
			text, _ := npmLocks.ReadFile("npm/" + name + "/" + file) // it is embedded
			out = append(out, string(text))
		}
	}
	return out
}

// npmCPU is npm's word for an architecture.
func npmCPU(a Arch) string {
	if a == ARM64 {
		return "arm64"
	}
	return "x64"
}

// npmCommands are the links of the bin directory. No package's script is run:
// what claude's would do, put the binary of this processor in the place of a
// placeholder, the link does.
func npmCommands(a Arch) map[string]string {
	return map[string]string{
		"node":   "node-linux-" + npmCPU(a) + "/bin/node",
		"claude": "@anthropic-ai/claude-code-linux-" + npmCPU(a) + "/claude",
		"gemini": ".bin/gemini",
		"codex":  ".bin/codex",
	}
}

// npmTree installs node and the CLIs below scratch and returns the tree.
func (o BuildOptions) npmTree(ctx context.Context, scratch string, m *Manifest) (string, error) {
	o.notify("image: npm")
	installer := filepath.Join(scratch, "npm", "installer")
	if err := npmInstall(ctx, installer, o.Arch, "npm"); err != nil {
		return "", err
	}
	tree := filepath.Join(scratch, "npm", "clis")
	stop := o.watchGrowth("image: installing node and the CLIs", func() []string { return []string{tree} })
	err := npmInstall(ctx, tree, o.Arch, "node", filepath.Join(installer, "node_modules", "npm", "bin", "npm-cli.js"))
	stop()
	if err != nil {
		return "", err
	}
	packages, err := npmPackages(tree)
	if err != nil {
		return "", err
	}
	m.Packages = append(m.Packages, packages...)
	return tree, npmTidy(tree, o.Arch)
}

// npmInstall runs "npm ci" for what is embedded under the directory's name.
// npm compares every archive with the digest in the lock file.
func npmInstall(ctx context.Context, dir string, arch Arch, npm ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, file := range []string{"package.json", "package-lock.json"} {
		text, err := npmLocks.ReadFile(path.Join("npm", filepath.Base(dir), file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			return err
		}
	}
	args := append(npm[1:len(npm):len(npm)], "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier",
		"--include=optional", "--install-strategy=hoisted", "--bin-links", "--loglevel=error",
		"--os=linux", "--cpu="+npmCPU(arch), "--libc=glibc")
	cmd := exec.Command(npm[0], args...)
	cmd.Dir = dir
	return runQuiet(ctx, cmd)
}

// npmPackages reads what npm says that it installed, each with the directory
// that it is in.
func npmPackages(tree string) ([]Package, error) {
	text, err := os.ReadFile(filepath.Join(tree, "node_modules", ".package-lock.json"))
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct{ Name, Version string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, fmt.Errorf("reading what npm installed: %w", err)
	}
	var out []Package
	for dir, p := range lock.Packages {
		if _, err := os.Stat(filepath.Join(tree, dir)); errors.Is(err, fs.ErrNotExist) {
			continue // optional, and for another system
		} else if err != nil {
			return nil, err
		}
		if p.Name == "" { // it has one only where the directory has another
			p.Name = dir[strings.LastIndex(dir, "node_modules/")+len("node_modules/"):]
		}
		out = append(out, Package{Name: p.Name, Version: p.Version, From: "npm"})
	}
	slices.SortFunc(out, func(a, b Package) int {
		return strings.Compare(a.Name+" "+a.Version, b.Name+" "+b.Version)
	})
	return out, nil
}

// npmTidy removes npm's own notes from a tree and adds the commands.
func npmTidy(tree string, arch Arch) error {
	for _, name := range []string{"package.json", "package-lock.json", "node_modules/.package-lock.json"} {
		if err := os.Remove(filepath.Join(tree, name)); err != nil {
			return err
		}
	}
	bin := filepath.Join(tree, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	for name, target := range npmCommands(arch) {
		info, err := os.Stat(filepath.Join(tree, "node_modules", target))
		if err != nil {
			return fmt.Errorf("the npm packages have no %s: %w", name, err)
		}
		if info.Mode()&0o100 == 0 {
			return fmt.Errorf("%s of the npm packages is not executable", target)
		}
		if err := os.Symlink("../node_modules/"+target, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	return nil
}

// writeTree writes a directory into a tar archive, below the given one. It is
// the same for every builder: owned by root, of the epoch, in the order of
// names, and of a mode only whether it can be run is kept.
func writeTree(w io.Writer, dir, below string) error {
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	add := func(name string, info fs.FileInfo, link string) error {
		h := &tar.Header{Name: name, ModTime: time.Unix(seconds, 0), Format: tar.FormatPAX, Mode: 0o755}
		switch {
		case info.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, name+"/"
		case link != "":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, link, 0o777
		default:
			h.Typeflag, h.Size = tar.TypeReg, info.Size()
			if info.Mode()&0o111 == 0 {
				h.Mode = 0o644
			}
		}
		return out.WriteHeader(h)
	}
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		name := path.Join(below, filepath.ToSlash(rel))
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return add(name, info, link)
		case d.Type() != 0 && !d.IsDir():
			return fmt.Errorf("%s is neither file, directory nor link", p)
		}
		if err := add(name, info, ""); err != nil || d.IsDir() {
			return err
		}
		return copyInto(out, p)
	})
	if err != nil {
		return err
	}
	return out.Close()
}

func copyInto(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
