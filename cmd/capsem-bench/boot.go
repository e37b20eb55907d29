package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/convert"
	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/internal/termtext"
	"github.com/capsem/capsem-bench/sandbox"
)

// The files of a results directory. With several boots there is boot-001.txt
// and so on in place of the one text.
const (
	textName    = "bench.txt"
	jsonName    = "bench.json"
	sessionName = "session.db"
)

// A measurement is one selection of operations, in one boot or several.
type measurement struct {
	a          *app
	opt        *measureOptions
	categories []catalogue.Category
	p          *progress
	took       durations
	dir        string // of the results; "" keeps nothing
	boots      []*booted
}

// A booted is one boot that is over.
type booted struct {
	name       string // of its text
	text       *textFile
	said       bool // the guest printed something
	status     int
	err        error
	complaints string
}

func (a *app) newMeasurement(opt *measureOptions, categories []catalogue.Category) *measurement {
	return &measurement{
		a: a, opt: opt, categories: categories,
		p: newProgress(a.term, opt.quiet || opt.verbose), took: loadDurations(),
	}
}

// keepIn has the results kept in dir, which must not have any yet.
func (m *measurement) keepIn(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return exit(exitUnfit, fmt.Errorf("results directory: %w; choose another with --out", err))
	}
	old, _ := filepath.Glob(filepath.Join(dir, record.BootFiles))
	for _, name := range append(old, filepath.Join(dir, textName), filepath.Join(dir, jsonName), filepath.Join(dir, sessionName)) {
		if _, err := os.Lstat(name); err == nil {
			return usage("--out %s: it has %s already; choose a new directory", dir, filepath.Base(name))
		}
	}
	// It is found out before two minutes of measuring, not after.
	if err := atomicfile.Try(dir); err != nil {
		return exit(exitUnfit, fmt.Errorf("results directory: %w; choose another with --out", err))
	}
	m.dir = dir
	return nil
}

// boot runs the guest binary once and keeps its text. It reports whether the
// next boot is worth trying.
func (m *measurement) boot(ctx context.Context, r sandbox.Sandbox, name string, first *record.Boot) bool {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b := &booted{name: name, text: newTextFile(m.path(name), cancel)}
	m.boots = append(m.boots, b)
	if first != nil {
		line, err := record.Append(nil, first)
		if err != nil {
			b.err = err
			return false
		}
		_, _ = b.text.Write(line)
	}
	clock := beginClock(ctx, r, b.text)
	_, _ = io.WriteString(b.text, record.GuestLine)
	head := b.text.Len()
	limit := silenceLimit()
	silent := time.AfterFunc(limit, func() { cancel(&silentError{limit}) })
	defer silent.Stop()
	longest := longestBoot(limit, m.categories, m.opt.count)
	whole := time.AfterFunc(longest, func() { cancel(&endlessError{longest}) })
	defer whole.Stop()
	stdout := []io.Writer{b.text, &watch{p: m.p, took: m.took}, watchdogWriter{silent, limit}}
	if m.opt.verbose {
		said := termtext.NewWriter(m.a.stderr)
		defer said.Flush()
		stdout = append(stdout, said)
	}
	complaints := tail{cancel: cancel}
	args := []string{"-test.bench=" + pattern(m.categories) + m.opt.leaf, "-test.count=" + strconv.Itoa(m.opt.count), "-test.timeout=0"}
	b.status, b.err = r.Run(ctx, args, io.MultiWriter(stdout...), &complaints)
	if b.err == nil {
		clock.end(ctx)
	}
	b.complaints, b.said = complaints.String(), b.text.Len() > head
	var silence *silentError
	var endless *endlessError
	if err := context.Cause(ctx); errors.Is(err, errTooMuch) || errors.Is(err, errComplains) || errors.As(err, &silence) || errors.As(err, &endless) {
		b.err = explained(r, err)
	}
	m.p.step("", 0)
	return b.err == nil && ctx.Err() == nil
}

// silenceLimit is how long a guest may print nothing. Its own watchdog ends a pass
// that hangs and takes up to 10 s for that; as much again as a pass may take is
// for what it does before one. A guest that lets this pass does not work.
func silenceLimit() time.Duration {
	pass, err := time.ParseDuration(os.Getenv(catalogue.EnvTimeout))
	if err != nil || pass <= 0 {
		pass = 5 * time.Minute
	}
	return 2*pass + 10*time.Second
}

type silentError struct{ limit time.Duration }

func (e *silentError) Error() string {
	return fmt.Sprintf("the guest printed nothing for %v and was ended; %s sets the limit of one pass", e.limit, catalogue.EnvTimeout)
}

// manyOps is more than a category has whose operations are set by variables;
// manyRounds is more than any run has.
const (
	manyOps    = 100
	manyRounds = maxCount * manyOps
)

// longestBoot is how long a guest may take for everything, whatever it prints
// meanwhile: as long as silence may last before each round of each operation,
// and after the last.
func longestBoot(silence time.Duration, categories []catalogue.Category, count int) time.Duration {
	ops := len(catalogue.Select(catalogue.Ops(catalogue.Settings{}), categories...))
	for _, c := range categories {
		if c.Row().OnDemand {
			ops += manyOps
		}
	}
	return min(silence, math.MaxInt64/manyRounds) * time.Duration(min(ops*count+1, manyRounds))
}

type endlessError struct{ limit time.Duration }

func (e *endlessError) Error() string {
	return fmt.Sprintf("the guest did not come to an end within %v and was ended; %s sets the limit of one pass", e.limit, catalogue.EnvTimeout)
}

// A watchdogWriter stands beside the writer that keeps the text: it restarts the
// timer of silence.
type watchdogWriter struct {
	timer *time.Timer
	limit time.Duration
}

func (h watchdogWriter) Write(b []byte) (int, error) {
	h.timer.Reset(h.limit)
	return len(b), nil
}

// explained adds what a sandbox knows about a failure, such as the end of its
// console, to the error of it.
func explained(r sandbox.Sandbox, err error) error {
	if e, ok := r.(interface{ Explain(error) error }); ok {
		return e.Explain(err)
	}
	return err
}

// empty reports whether no guest said anything.
func (m *measurement) empty() bool {
	return !slices.ContainsFunc(m.boots, func(b *booted) bool { return b.said })
}

// discard removes results that have no measurement, so that the next attempt
// may use the same directory; all of it if it is ours.
func (m *measurement) discard(all bool) {
	if all {
		_ = os.RemoveAll(m.dir)
		return
	}
	for _, b := range m.boots {
		_ = os.Remove(m.path(b.name))
	}
	_ = os.Remove(m.path(sessionName))
}

// path is where a file of the results goes; "" is nowhere.
func (m *measurement) path(name string) string {
	if m.dir == "" {
		return ""
	}
	return filepath.Join(m.dir, name)
}

// pattern selects categories for -test.bench.
func pattern(categories []catalogue.Category) string {
	if len(categories) == 0 {
		return "."
	}
	var names []string
	for _, c := range categories {
		names = append(names, c.Benchmark())
	}
	return "^Benchmark(" + strings.Join(names, "|") + ")$"
}

// finish shows what all boots said and returns how it went.
func (m *measurement) finish(ctx context.Context) error {
	m.took.save()
	var sources []convert.Source
	var errs []error
	for _, b := range m.boots {
		sources = append(sources, convert.Source{Name: b.name, Reader: b.text.Reader()})
		errs = append(errs, exit(exitUnfit, b.text.err))
	}
	rep, err := convert.ReadAll(sources...)
	if err != nil {
		return exit(exitUnfit, err)
	}
	if rep.Run != nil {
		errs = append(errs, m.a.present(m.opt, rep, m.path(jsonName)))
	}
	for _, b := range m.boots {
		errs = append(errs, b.text.Close())
	}
	return worst(append(errs, m.verdict(ctx, rep)))
}

// verdict is how the measurement went: interrupted, could not be made, or
// what of it failed.
func (m *measurement) verdict(ctx context.Context, rep *convert.Report) error {
	interrupted := &exitError{exitInterrupted, errors.New("interrupted; the results are incomplete")}
	if ctx.Err() != nil {
		return interrupted
	}
	status, complaints := 0, ""
	for _, b := range m.boots {
		if b.err != nil {
			return unfit(ctx, withTail(b.err, b.complaints))
		}
		if b.status != 0 && status == 0 {
			status, complaints = b.status, b.complaints
		}
	}
	if rep.End != nil && rep.End.Status == "interrupted" {
		return interrupted
	}
	if rep.Run == nil {
		code := exitUnfit
		if status == exitUsage {
			code = exitUsage
		}
		return exit(code, withTail(fmt.Errorf("the guest binary measured nothing (exit status %d)", status), complaints))
	}
	err := unmeasured(rep)
	if err == nil && (status != 0 || !rep.OK()) {
		err = fmt.Errorf("the run did not come to its end (exit status %d)", status)
	}
	if err == nil {
		return nil
	}
	return exit(exitFailed, withTail(err, complaints))
}

// unmeasured names the operations that have no figure and were not skipped.
func unmeasured(rep *convert.Report) error {
	var bad []string
	for _, res := range rep.Ops {
		if res.Status != record.OK && res.Status != record.Skipped {
			bad = append(bad, fmt.Sprintf("%s %s", res.Op.Name, res.Status))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	if len(bad) > 3 {
		bad = append(bad[:3], fmt.Sprintf("%d more", len(bad)-3))
	}
	return fmt.Errorf("not everything could be measured: %s", strings.Join(bad, ", "))
}

// worst joins errors under the gravest of their exit statuses.
func worst(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return nil
	}
	status := exitFailed
	for _, err := range errs {
		var e *exitError
		if errors.As(err, &e) {
			status = max(status, e.status)
		}
	}
	return exit(status, errors.Join(errs...))
}

func withTail(err error, complaints string) error {
	if complaints == "" {
		return err
	}
	return fmt.Errorf("%w\n%s", err, complaints)
}

// unfit is the error of something that could not begin, unless that has a
// status of its own.
func unfit(ctx context.Context, err error) error {
	var own *exitError
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted")}
	case errors.As(err, &own):
		return err
	case errors.Is(err, sandbox.ErrDir):
		return exit(exitUsage, err)
	}
	return exit(exitUnfit, err)
}
