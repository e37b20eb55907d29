package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capsem/capsem-bench/history"
	"github.com/capsem/capsem-bench/host/upstream"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest/blockio"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/capsem/capsem-bench/tools/internal/reference"
)

// A plan is the lines to measure, and what they need.
type plan struct {
	w       *reference.Workshop
	log     io.Writer // for people
	minutes int       // of the table that takes some
	guest   reference.Guest
	command string // capsem-bench
	origins []*reference.Origin
	closers []func() error // of what answers beside the origins, in the order of their starts
	lines   []line
	stores  []*history.Store
}

func (p *plan) close() error {
	var errs []error
	for _, s := range p.stores {
		errs = append(errs, s.Close())
	}
	for _, end := range slices.Backward(p.closers) {
		errs = append(errs, end())
	}
	for i := len(p.origins) - 1; i >= 0; i-- {
		errs = append(errs, p.origins[i].Close())
	}
	return errors.Join(errs...)
}

// build builds what both tables need: the guest binary, hey, our own origin.
func (p *plan) build(ctx context.Context) (err error) {
	if p.guest, err = p.w.Guest(ctx); err != nil {
		return err
	}
	if err := p.w.Hey(ctx); err != nil {
		return err
	}
	own, err := p.w.Upstream(ctx)
	if err != nil {
		return err
	}
	p.origins = append(p.origins, own)
	return nil
}

// speed prepares the table of targets of speed and size.
func (p *plan) speed(ctx context.Context) (err error) {
	if err := p.build(ctx); err != nil {
		return err
	}
	if p.command, err = p.w.Command(ctx, "./cmd/capsem-bench"); err != nil {
		return err
	}
	stock, err := p.w.Nginx(ctx, p.origins[0])
	if err != nil {
		return err
	}
	p.origins = append(p.origins, stock)
	for _, add := range []func(context.Context) error{p.reads, p.network, p.starts, p.text, p.sizes, p.history, p.proxies} {
		if err := add(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) add(l ...line) { p.lines = append(p.lines, l...) }

// reads are cached 4 KiB reads with the time of each kept.
func (p *plan) reads(ctx context.Context) error {
	file := p.w.Path("cached")
	data := make([]byte, catalogue.DiskRandBytes)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // never fails
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	p.add(line{
		what: "cached 4 KiB reads, percentiles kept", unit: "1/s", tool: "fio psync",
		ours:   func(ctx context.Context) (float64, error) { return cachedReads(ctx, file) },
		theirs: reference.Fio{File: file, RW: "randread", Block: "4k", Size: catalogue.DiskRandBytes, Cached: true}.IOPS,
		target: target{timesAtLeast, 1},
	})
	return nil
}

// cachedReads is the guest binary's loop on a file that is in the page cache.
func cachedReads(ctx context.Context, file string) (float64, error) {
	const n = 1 << 20
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	offsets := blockio.Random(1, n, catalogue.DiskRandBytes, catalogue.RandBlock)
	times := make([]int64, n)
	_, elapsed, err := blockio.ReadLoop(ctx, int(f.Fd()), make([]byte, catalogue.RandBlock), offsets, times)
	if err != nil {
		return 0, err
	}
	if l := record.LatencyOf(times); l.P50 <= 0 {
		return 0, fmt.Errorf("a median read of %v ns", l.P50)
	}
	return n / elapsed.Seconds(), nil
}

// network are the load and the download, with two origins each: our own, and
// a stock server.
func (p *plan) network(context.Context) error {
	const requests, concurrency, seconds = 60_000, 64, 3
	for _, o := range p.origins {
		load := p.guest.Metric("HTTP", "req/s", o.Env(reference.LoadEnv(o.URL+"/tiny", requests, concurrency)...)...)
		what := "requests over TLS, c=64, from " + o.Name
		p.add(
			line{what, "req/s", "hey", load, p.w.HeyRate(o.URL+"/tiny", requests, concurrency), target{timesAtLeast, 1.3}, 0},
			line{what, "req/s", "wrk", load, reference.Wrk(o.URL+"/tiny", concurrency, seconds), target{timesAtLeast, 0.8}, 0})
	}
	for _, o := range p.origins {
		p.add(line{
			"100 MiB download from " + o.Name, "MiB/s", "curl",
			scaled(1.0/(1<<20), p.guest.Metric("Throughput", "B/s", o.Env("CAPSEM_BENCH_THROUGHPUT_URL="+o.URL+upstream.ObjectPath)...)),
			scaled(1.0/(1<<20), reference.Curl(o, upstream.ObjectPath)),
			target{timesAtLeast, 1},
			0,
		})
	}
	return nil
}

func scaled(by float64, m reference.Measure) reference.Measure {
	return func(ctx context.Context) (float64, error) {
		v, err := m(ctx)
		return v * by, err
	}
}

// starts are cold starts of a program that does nothing, and of the guest
// binary itself.
func (p *plan) starts(ctx context.Context) error {
	dir := p.w.Path("bin")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	nothing, err := os.ReadFile("/bin/true")
	if err != nil {
		return err
	}
	command := filepath.Join(dir, "codex")
	if err := os.WriteFile(command, nothing, 0o700); err != nil {
		return err
	}
	const rounds = 10
	runs := rounds * catalogue.StartupRuns
	ours := func(figure func(starts) float64) reference.Measure {
		return func(ctx context.Context) (float64, error) {
			began := time.Now()
			r, err := p.guest.Run(ctx, []string{"PATH=" + dir}, "Startup/cli=codex", "-test.count="+strconv.Itoa(rounds))
			s := starts{n: runs, wall: time.Since(began)}
			for _, one := range r.Samples {
				s.measured += time.Duration(one.ElapsedNS)
			}
			return figure(s), err
		}
	}
	theirs := func(figure func(starts) float64) reference.Measure {
		return func(ctx context.Context) (float64, error) {
			began := time.Now()
			h, err := p.w.Hyperfine(ctx, reference.Hyperfine{Command: command + " --version", Runs: runs, Cold: true})
			return figure(starts{runs, time.Since(began), time.Duration(h.Mean * float64(runs) * 1e9)}), err
		}
	}
	p.add(
		line{"cold start of a program that does nothing", "ms", "hyperfine -N", ours(starts.figure), theirs(starts.figure), target{timesAtMost, 1}, 0},
		line{"a cold start beyond the command itself", "ms", "hyperfine -N", ours(starts.beyond), theirs(starts.beyond), target{timesAtMost, 1}, 0})
	return p.execs(ctx)
}

// starts are a number of starts, how long they took with all preparation, and
// how long the tool says that they took.
type starts struct {
	n              int
	wall, measured time.Duration
}

func (s starts) figure() float64 { return perStart(s.measured, s.n) }
func (s starts) beyond() float64 { return perStart(s.wall-s.measured, s.n) }

func perStart(d time.Duration, n int) float64 { return float64(d) / 1e6 / float64(n) }

const hello = `package main

import ("fmt"; "time")

func main() { fmt.Println(time.Now().UnixNano()) }
`

// execs are from exec to the first measurement.
func (p *plan) execs(ctx context.Context) error {
	source := p.w.Path("hello.go")
	if err := os.WriteFile(source, []byte(hello), 0o600); err != nil {
		return err
	}
	program, err := p.w.Command(ctx, source)
	if err != nil {
		return err
	}
	theirs := func(ctx context.Context) (float64, error) {
		began := time.Now()
		out, err := reference.Output(ctx, program)
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
		return float64(ns-began.UnixNano()) / 1e6, err
	}
	own := p.origins[0]
	for _, first := range []struct {
		pattern string
		env     []string
	}{
		{"Disk/op=seq_write", []string{"CAPSEM_BENCH_DIR=" + p.w.Dir, "CAPSEM_BENCH_SIZE_MB=1"}},
		{"HTTP", own.Env(reference.LoadEnv(own.URL+"/tiny", 1, 1)...)},
	} {
		ours := func(ctx context.Context) (float64, error) {
			r, err := p.guest.Run(ctx, first.env, first.pattern)
			if err != nil {
				return 0, err
			}
			return float64(r.Samples[0].StartNS-r.Exec.UnixNano()) / 1e6, nil
		}
		p.add(line{"exec to first measurement, " + first.pattern, "ms", "hello world", ours, theirs, target{moreAtMost, 20}, 0})
	}
	return nil
}
