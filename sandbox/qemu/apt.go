package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/internal/child"
	"github.com/capsem/capsem-bench/internal/termtext"
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
// system's does. As root it downloads as the user that the system's apt has for
// that, where the directory is one that this user can reach.
type privateApt struct {
	dir  string
	arch Arch
}

func newPrivateApt(ctx context.Context, dir string, arch Arch, sources []string) (privateApt, error) {
	a := privateApt{dir, arch}
	if _, err := os.Stat(keyring); err != nil {
		return a, fmt.Errorf("debian's keys: %w; install debian-archive-keyring", err)
	}
	for _, d := range []string{"", "lists", "lists/partial", "cache", "cache/archives", "cache/archives/partial", downloads} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return a, err
		}
		if err := os.Chmod(filepath.Join(dir, d), 0o755); err != nil { // whatever the umask
			return a, err
		}
	}
	if id, err := strconv.Atoi(sandboxUser()); err == nil {
		if err := os.Chown(filepath.Join(dir, downloads), id, -1); err != nil {
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

// downloads is where packages come.
const downloads = "downloads"

// sandboxUser is the number of the user as which apt downloads (apt.conf(5),
// APT::Sandbox::User); "" is our own.
func sandboxUser() string {
	if os.Geteuid() != 0 {
		return ""
	}
	u, err := user.Lookup("_apt")
	if err != nil {
		return ""
	}
	return u.Uid
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
		"Acquire::Languages=none",
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
	cmd.Dir = filepath.Join(a.dir, downloads)
	if err := runQuiet(ctx, cmd); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(cmd.Dir, name+"_*.deb"))
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

// buildGrace is what a command gets to clean up after itself: mmdebstrap
// removes a tree of 200 MB.
const buildGrace = 20 * time.Second

// noSpace is how the commands of a build name ENOSPC, in the language that they
// have here.
const noSpace = "No space left on device"

// runQuiet runs a command; what it says on stderr, or on stdout if nobody
// else takes that, is part of the error.
func runQuiet(ctx context.Context, cmd *exec.Cmd) error {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8")
	var said bytes.Buffer
	cmd.Stderr = &said
	if cmd.Stdout == nil {
		cmd.Stdout = &said
	}
	ended, err := child.Start(cmd, syscall.SIGKILL)
	if err == nil {
		select {
		case err = <-ended:
		case <-ctx.Done():
			child.StopGroup(cmd.Process.Pid, ended, buildGrace)
			return ctx.Err()
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		if strings.Contains(said.String(), noSpace) {
			err = fmt.Errorf("%w: %w", err, syscall.ENOSPC)
		}
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		lines = lines[max(0, len(lines)-10):]
		for i := range lines {
			lines[i] = termtext.Block(lines[i])
		}
		return fmt.Errorf("%s: %w\n  %s", filepath.Base(cmd.Path), err, strings.Join(lines, "\n  "))
	}
	return nil
}
