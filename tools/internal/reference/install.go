package reference

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/sandbox"
)

// heyVersion is the release of hey that is built; it is a Go program.
const heyVersion = "github.com/rakyll/hey@v0.1.5"

// ErrUnfit says that this machine cannot run the comparison.
var ErrUnfit = errors.New("unfit machine")

// Install makes sure that the tools are in PATH, by Debian's packages where
// that is possible. packages maps a tool to its package.
func Install(ctx context.Context, log io.Writer, packages map[string]string) error {
	var missing []string
	for tool, pkg := range packages {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	names := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%w: install %s first", ErrUnfit, names)
	}
	fmt.Fprintln(log, "installing", names)
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, missing...)} {
		args = append([]string{"-qq", "-o", "DPkg::Lock::Timeout=300"}, args...)
		if _, err := run(ctx, []string{"DEBIAN_FRONTEND=noninteractive"}, append([]string{"apt-get"}, args...)...); err != nil {
			return fmt.Errorf("%w: installing %s: %w", ErrUnfit, names, err)
		}
	}
	return nil
}

// A Workshop holds what is built for a comparison, in a directory of its own.
type Workshop struct{ Dir string }

// NewWorkshop makes the directory below parent. The caller calls Close.
func NewWorkshop(parent string) (*Workshop, error) {
	parent, err := filepath.Abs(parent)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "capsem-reference-")
	return &Workshop{dir}, err
}

// Close removes the directory.
func (w *Workshop) Close() error { return os.RemoveAll(w.Dir) }

// Path is that of a file in the workshop.
func (w *Workshop) Path(name string) string { return filepath.Join(w.Dir, name) }

// Guest builds the guest binary as it is shipped: static and stripped.
func (w *Workshop) Guest(ctx context.Context) (Guest, error) {
	path := w.Path("capsem-bench.test")
	return Guest{Binary: path}, goBuild(ctx, sandbox.GuestBinary().Build(path))
}

// Command builds a command of this repository, or one that its go.mod names.
func (w *Workshop) Command(ctx context.Context, pkg string) (string, error) {
	path := w.Path(strings.TrimSuffix(filepath.Base(pkg), ".go"))
	return path, goBuild(ctx, []string{"build", "-trimpath", "-ldflags=-s -w", "-o", path, pkg})
}

func goBuild(ctx context.Context, args []string) error {
	_, err := run(ctx, []string{"CGO_ENABLED=0"}, append([]string{"go"}, args...)...)
	return err
}

// Hey builds hey.
func (w *Workshop) Hey(ctx context.Context) error {
	_, err := run(ctx, []string{"CGO_ENABLED=0", "GOBIN=" + w.Dir, "GOFLAGS="}, "go", "install", heyVersion)
	return err
}

// run runs a command with additions to the environment and returns what it
// printed on standard output. An error quotes the end of its complaints.
func run(ctx context.Context, env []string, argv ...string) (stdout string, err error) {
	stdout, _, err = run2(ctx, env, argv...)
	return stdout, err
}

func run2(ctx context.Context, env []string, argv ...string) (stdout, stderr string, err error) {
	var out, complaints strings.Builder
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		tail := strings.TrimSpace(complaints.String() + out.String())
		return "", "", fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, tail[max(0, len(tail)-500):])
	}
	return out.String(), complaints.String(), nil
}

// Output runs a command and returns what it printed on standard output.
func Output(ctx context.Context, argv ...string) (string, error) { return run(ctx, nil, argv...) }

// Elapsed runs a command, throws away what it prints, and returns how many
// seconds it took.
func Elapsed(ctx context.Context, argv ...string) (float64, error) {
	var complaints strings.Builder
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stderr = &complaints
	start := time.Now()
	err := cmd.Run()
	elapsed := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, complaints.String())
	}
	return elapsed.Seconds(), nil
}

// Peak runs a command under GNU time and returns the peak resident memory in
// bytes: of the command, or of a program that it started if that had more.
// Linux counts a child's peak from the fork on, while it still has its
// parent's memory; time is small enough for that not to matter.
func (w *Workshop) Peak(ctx context.Context, env []string, argv ...string) (float64, error) {
	report := w.Path("time.txt")
	if _, err := run(ctx, env, append(timed(report), argv...)...); err != nil {
		return 0, err
	}
	return peakIn(report)
}

// PeakInSandbox is Peak of the guest binary as 'run --sandbox local' starts
// it, for what needs a gateway.
func (w *Workshop) PeakInSandbox(ctx context.Context, command string, g Guest, category string) (float64, error) {
	report, script := w.Path("time.txt"), w.Path("timed-guest")
	text := "#!/bin/sh\nexec " + strings.Join(timed(report), " ") + " " + g.Binary + ` "$@"` + "\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		return 0, err
	}
	out := w.Path("run")
	defer os.RemoveAll(out)
	if _, err := run(ctx, []string{sandbox.GuestBinary().Env + "=" + script}, command, "run", "--quiet", "--out="+out, category); err != nil {
		return 0, err
	}
	return peakIn(report)
}

func timed(report string) []string { return []string{"/usr/bin/time", "-f", "%M", "-o", report} }

func peakIn(report string) (float64, error) {
	text, err := os.ReadFile(report)
	if err != nil {
		return 0, err
	}
	kib, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return float64(kib << 10), err
}
