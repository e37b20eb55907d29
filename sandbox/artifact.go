package sandbox

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/capsem/capsem-bench/internal/cachedir"
	"github.com/capsem/capsem-bench/internal/contract"
)

// Module is the path of the module that holds the artifacts' sources.
const Module = "github.com/capsem/capsem-bench"

// An Artifact is a binary that runs beside this one: found where it was
// installed, or built when this is a checkout.
type Artifact struct {
	Name string   // of the file
	Env  string   // environment variable that names it
	args []string // of go, before -o
	pkg  string
	arch string // "" is this machine's, and its system
}

// GuestBinary is the static binary with the benchmarks.
func GuestBinary() Artifact {
	return Artifact{contract.GuestBinary, "CAPSEM_BENCH_TEST", []string{"test", "-c"}, ".", ""}
}

// GuestTools is the binary with the guest's commands.
func GuestTools() Artifact {
	return Artifact{contract.GuestTools, "CAPSEM_GUEST", []string{"build"}, "./cmd/capsem-guest", ""}
}

// GuestCommand is the command itself, static, for a guest of any making.
func GuestCommand() Artifact {
	return Artifact{"capsem-bench-static", "CAPSEM_BENCH_COMMAND", []string{"build"}, "./cmd/capsem-bench", ""}
}

// Build returns the arguments of the go command that builds the artifact,
// stripped and the same wherever the sources are. There are no flags for the
// compiler: what is measured is what anybody's go test -c makes.
func (a Artifact) Build(output string) []string {
	args := append([]string{}, a.args...)
	return append(args, "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", output, a.pkg)
}

// For returns the artifact for Linux on the given GOARCH. Beside the command
// and in PATH it is looked for as capsem-bench.test-arm64 and the like, where
// this machine does not have the same.
func (a Artifact) For(arch string) Artifact {
	if runtime.GOOS != "linux" || runtime.GOARCH != arch {
		a.Name += "-" + arch
	}
	a.arch = arch
	return a
}

// ErrNoArtifact says that a binary is neither installed nor buildable.
var ErrNoArtifact = errors.New("not found")

// Find returns the path of the artifact: from its environment variable, else
// beside this executable or where packages put it, else built from the sources
// of the checkout around the working directory, else in PATH, else built from
// the module cache, for a command that 'go install' made. notify is called
// before a build.
func (a Artifact) Find(ctx context.Context, notify func(what string)) (string, error) {
	path, err := a.find(ctx, notify)
	if err == nil && a.arch != "" {
		err = a.Fits(path)
	}
	return path, err
}

// Fits checks that a program is for Linux on the architecture of For, and that
// the guest's commands need no libraries: the first of them is the init, which
// runs before there is a file system with any.
func (a Artifact) Fits(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s is no program for Linux on %s: %w", path, a.arch, err)
	}
	defer f.Close()
	want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[a.arch]
	if f.Machine != want {
		return fmt.Errorf("%s is for another machine (%v), but the guest is %s", path, f.Machine, a.arch)
	}
	if a.Env != GuestTools().Env {
		return nil
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically, and a guest begins without libraries; build it with CGO_ENABLED=0", path)
		}
	}
	return nil
}

func (a Artifact) find(ctx context.Context, notify func(what string)) (string, error) {
	if path := os.Getenv(a.Env); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%s: %w", a.Env, err)
		}
		return filepath.Abs(path)
	}
	if exe, err := os.Executable(); err == nil {
		for _, path := range a.installed(exe) {
			if executable(path) {
				return path, nil
			}
		}
	}
	root, err := checkout()
	if err == nil {
		notify("building " + a.Name)
		return a.build(ctx, root)
	}
	if path, err := exec.LookPath(a.Name); err == nil {
		return filepath.Abs(path)
	}
	return a.fromModule(ctx, notify)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// checkout finds the module's root above the working directory. What it holds is
// built and run, so a directory in which everybody can put files, such as the one
// for temporary files, is none.
func checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module "+Module+"\n") && !everybodys(dir) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", os.ErrNotExist
		}
		dir = parent
	}
}

// everybodys reports whether everybody may put files into a directory.
func everybodys(dir string) bool {
	info, err := os.Stat(dir)
	return err != nil || info.Mode().Perm()&0o002 != 0
}

// system is the GOOS to build for; "" is this one.
func (a Artifact) system() string {
	if a.arch == "" {
		return ""
	}
	return "linux"
}

// build builds the artifact, static and stripped, into the user's cache
// directory. The go command links nothing when it finds the program there is
// that of the sources. env is added to the environment.
func (a Artifact) build(ctx context.Context, root string, env ...string) (string, error) {
	dir, err := cachedir.Make("bin")
	if err != nil {
		return "", fmt.Errorf("building %s: %w", a.Name, err)
	}
	// Two commands may build at once: each writes a name of its own.
	tmp, err := os.CreateTemp(dir, a.Name+"-*")
	if err != nil {
		return "", fmt.Errorf("building %s: %w", a.Name, err)
	}
	defer os.Remove(tmp.Name())
	path := filepath.Join(dir, a.Name)
	if err := errors.Join(copyInto(tmp, path), tmp.Close()); err != nil {
		return "", fmt.Errorf("building %s: %w", a.Name, err)
	}
	cmd := exec.CommandContext(ctx, "go", a.Build(tmp.Name())...)
	cmd.Dir = root
	cmd.Env = append(append(os.Environ(), env...), "CGO_ENABLED=0", "GOOS="+a.system(), "GOARCH="+a.arch)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("building %s: %w\n%s", a.Name, err, bytes.TrimSpace(out.Bytes()))
	}
	if err := os.Chmod(tmp.Name(), 0o755); err != nil {
		return "", err
	}
	return path, os.Rename(tmp.Name(), path)
}

// copyInto copies the file of that name, if there is one.
func copyInto(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return nil //nolint:nilerr // it is to be built
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
