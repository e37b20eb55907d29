package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/ab"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/child"
	"github.com/capsem/capsem-bench/internal/scratch"
	"github.com/capsem/capsem-bench/sandbox"
	"github.com/capsem/capsem-bench/sandbox/command"
)

// This file has one boot of a trial.

// runArgs are the arguments of the sandbox.
func (t *abTrial) runArgs(s *abSide) []string {
	args := slices.Concat(t.opt.guestArgs(), t.opt.args, s.options.args)
	if s.image != nil && t.opt.sandbox == "qemu" {
		args = append(args, "--image="+s.image.Dir())
	}
	if s.options.exec != "" {
		args = append(args, "--exec="+s.options.exec)
	}
	if s.bin != "" {
		args = append(args, "--bin="+s.bin)
	}
	return args
}

// bootPrefix begins the name of the directory of a boot that is being measured.
const bootPrefix = ".boot-"

// sweepBoots removes those that a killed trial left.
func (t *abTrial) sweepBoots() { scratch.Sweep(abs(t.Dir), bootPrefix) }

// measure makes one boot: 'run' of the side's own command in a process of its
// own, so that its host services are as fresh as its guest.
func (t *abTrial) measure(ctx context.Context, b ab.Boot, text io.Writer) error {
	side := t.sides[b.Side]
	if err := side.sameBin(b.Side); err != nil {
		return err
	}
	t.sweepBoots()
	dir, err := scratch.New(abs(t.Dir), bootPrefix)
	if err != nil {
		return fmt.Errorf("%w: %w", ab.ErrGiveUp, err)
	}
	defer dir.Close()
	out := filepath.Join(dir.Path(), "run")
	args := append([]string{"run", "--quiet", "--sandbox=" + t.Plan.Sandbox, "--count=" + strconv.Itoa(b.Rounds), "--out=" + out}, side.args...)
	args = append(args, marks(args, b)...)
	for _, c := range b.Categories {
		args = append(args, string(c))
	}
	env := slices.Concat(sandbox.WithoutSecrets(os.Environ()), t.settings(), side.env, []string{catalogue.EnvLabels + "=" + side.labels})
	for part, name := range map[string]string{partGuest: sandbox.GuestBinary().Env, partTools: sandbox.GuestTools().Env} {
		if file := side.parts[part]; file != "" {
			env = append(env, name+"="+file)
		}
	}
	var complaints tail
	status, err := child.Command{
		Name: "'capsem-bench run' of the " + b.Side + " side", Binary: side.parts[partCommand], Args: args, Env: env,
		Stdout: io.Discard, Stderr: &complaints, Grace: command.CloseTimeout, // a guest may have to be deleted
	}.Run(ctx)
	if err != nil {
		return withTail(err, complaints.String())
	}
	copied := copyText(text, filepath.Join(out, textName))
	switch status {
	case exitOK, exitFailed:
		return copied
	case exitUsage:
		return withTail(fmt.Errorf("%w: 'capsem-bench run' of the %s side does not take its arguments", ab.ErrGiveUp, b.Side), complaints.String())
	}
	return withTail(fmt.Errorf("'capsem-bench run' ended with status %d", status), complaints.String())
}

// settings are the guest's variables of the plan: a shard runs where nobody set
// them.
func (t *abTrial) settings() (env []string) {
	for _, name := range slices.Sorted(maps.Keys(t.Plan.Settings)) {
		env = append(env, name+"="+t.Plan.Settings[name])
	}
	return env
}

func copyText(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// marks are the arguments that tell run what {side} and {slot} stand for. A
// side's own command may be too old to know them, so only templates that have
// them bring them.
func marks(args []string, b ab.Boot) []string {
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, "{side}") || strings.Contains(arg, "{slot}") }) {
		return nil
	}
	return []string{"--side=" + b.Side, "--slot=" + strconv.Itoa(b.Slot)}
}
