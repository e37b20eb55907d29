package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"

	"github.com/capsem/capsem-bench/compare"
	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/internal/termtext"
)

const benchstatPath = "golang.org/x/perf/cmd/benchstat"

// benchstat prints benchstat's own table. Its table packages are internal, so
// the program itself is run: the one in PATH, else the version this command
// was built with, by the go command.
func (a *app) benchstat(ctx context.Context, args []string) error {
	argv, err := findBenchstat()
	if err != nil {
		return exit(exitUnfit, err)
	}
	base, cand, err := a.loadSides(args)
	if err != nil {
		return err
	}
	dir, err := scratch.New(scratch.Temp(), "capsem-benchstat-")
	if err != nil {
		return exit(exitUnfit, err)
	}
	defer dir.Close()
	for _, side := range []struct {
		label string
		*compare.Side
	}{{"old", base}, {"new", cand}} {
		path := filepath.Join(dir.Path(), side.label+".txt")
		if err := writeJoined(path, side.Side); err != nil {
			return exit(exitUnfit, err)
		}
		argv = append(argv, side.label+"="+path)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	// It prints configuration lines and units as they are in the texts.
	tables, complaints := termtext.NewWriter(a.stdout), termtext.NewWriter(a.stderr)
	defer complaints.Flush()
	defer tables.Flush()
	cmd.Stdout, cmd.Stderr = tables, complaints
	if err := cmd.Run(); err != nil {
		return exit(exitUnfit, fmt.Errorf("benchstat: %w", err))
	}
	return nil
}

func writeJoined(path string, s *compare.Side) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, joined(s))
	return err
}

// findBenchstat returns the command that runs benchstat.
func findBenchstat() ([]string, error) {
	if path, err := exec.LookPath("benchstat"); err == nil {
		return []string{path}, nil
	}
	version := "latest"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "golang.org/x/perf" {
				version = dep.Version
			}
		}
	}
	if path, err := exec.LookPath("go"); err == nil {
		return []string{path, "run", benchstatPath + "@" + version}, nil
	}
	return nil, fmt.Errorf("no benchstat in PATH, and no go to run it; install it with 'go install %s@%s'", benchstatPath, version)
}
