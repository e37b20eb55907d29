package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Suite is the Debian release that guests run.
const Suite = "bookworm"

// keyring verifies what comes from a mirror.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Mirrors are where Debian's packages come from.
type Mirrors struct {
	Main     string
	Security string // "" when there is none
}

// FindMirrors takes the mirrors from the machine's own apt configuration.
func FindMirrors(ctx context.Context) (Mirrors, error) {
	var m Mirrors
	out, err := output(ctx, "apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(out) {
		label, uri, _ := strings.Cut(strings.TrimSpace(line), "|")
		switch {
		case m.Main == "" && (label == "Debian" || strings.HasSuffix(uri, "/debian/")):
			m.Main = uri
		case m.Security == "" && (label == "Debian-Security" || strings.HasSuffix(uri, "/debian-security/")):
			m.Security = uri
		}
	}
	if m.Main == "" {
		return m, errors.New("apt's configuration names no mirror of Debian; name one with --mirror URL")
	}
	return m, nil
}

// sources are apt's lines for a suite.
func (m Mirrors) sources(suite string) []string {
	lines := []string{fmt.Sprintf("deb [signed-by=%s] %s %s main", keyring, m.Main, suite)}
	if m.Security != "" && suite == Suite {
		lines = append(lines, fmt.Sprintf("deb [signed-by=%s] %s %s-security main", keyring, m.Security, suite))
	}
	return lines
}

// privateApt is an apt with its own lists and cache, which changes nothing of
// the system's and needs no root. It verifies signatures and digests as the
// system's does.
type privateApt struct {
	dir  string
	arch Arch
}

func newPrivateApt(ctx context.Context, dir string, arch Arch, sources []string) (privateApt, error) {
	a := privateApt{dir, arch}
	if _, err := os.Stat(keyring); err != nil {
		return a, fmt.Errorf("debian's keys: %w; install debian-archive-keyring", err)
	}
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return a, err
		}
	}
	text := strings.Join(sources, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(text), 0o644); err != nil {
		return a, err
	}
	_, err := output(ctx, "apt-get", append(a.options(), "update")...)
	return a, err
}

func (a privateApt) options() []string {
	var out []string
	for _, o := range []string{
		"Dir::State::lists=" + filepath.Join(a.dir, "lists"),
		"Dir::State::status=/dev/null",
		"Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"Dir::Etc::sourcelist=" + filepath.Join(a.dir, "sources.list"),
		"Dir::Etc::sourceparts=/dev/null",
		"APT::Architecture=" + string(a.arch), "APT::Architectures::=" + string(a.arch),
		"APT::Sandbox::User=root", "Acquire::Languages=none",
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
		// A mirror that fails is an error and not a warning.
		"APT::Update::Error-Mode=any",
	} {
		out = append(out, "-o", o)
	}
	return append(out, "-q")
}

// dependency returns the first dependency of a package, which is how Debian
// names the current kernel: by a package without contents.
func (a privateApt) dependency(ctx context.Context, name string) (string, error) {
	text, err := output(ctx, "apt-cache", append(a.options(), "show", "--no-all-versions", name)...)
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?m)^Depends: ([a-z0-9.+-]+)`).FindStringSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("package %s depends on nothing", name)
	}
	return m[1], nil
}

// download fetches a package and returns the path of its file.
func (a privateApt) download(ctx context.Context, name string) (string, error) {
	cmd := exec.Command("apt-get", append(a.options(), "download", name)...)
	cmd.Dir = a.dir
	if err := runQuiet(ctx, cmd); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(a.dir, name+"_*.deb"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("downloading %s: apt-get left %d files", name, len(files))
	}
	return files[0], nil
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := runQuiet(ctx, cmd)
	return out.String(), err
}

// runQuiet runs a command; what it says on stderr, or on stdout if nobody
// else takes that, is part of the error.
func runQuiet(ctx context.Context, cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stderr = &said
	if cmd.Stdout == nil {
		cmd.Stdout = &said
	}
	ended, err := start(cmd)
	if err == nil {
		select {
		case err = <-ended:
		case <-ctx.Done():
			stopGroup(cmd.Process.Pid, ended)
			return ctx.Err()
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		lines = lines[max(0, len(lines)-10):]
		for i := range lines {
			lines[i] = escape(lines[i])
		}
		return fmt.Errorf("%s: %w\n  %s", filepath.Base(cmd.Path), err, strings.Join(lines, "\n  "))
	}
	return nil
}
