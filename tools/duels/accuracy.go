package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/capsem/capsem-bench/host/upstream"
	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/tools/internal/reference"
)

// accuracy prepares the table that says whether our figures are those of
// others. Cold operations are cold on both sides, and ours has proven it.
func (p *plan) accuracy(ctx context.Context) error {
	if err := p.build(ctx); err != nil {
		return err
	}
	p.disk()
	if err := p.rootfs(ctx); err != nil {
		return err
	}
	if err := p.startup(); err != nil {
		return err
	}
	p.requests(p.origins[0])
	return p.loads(ctx)
}

func (p *plan) agree(what, unit, tool string, ours, theirs reference.Measure) {
	if unit == "B/s" {
		unit, ours, theirs = "MiB/s", scaled(1.0/(1<<20), ours), scaled(1.0/(1<<20), theirs)
	}
	p.add(line{what: what, unit: unit, tool: tool, ours: ours, theirs: theirs, target: target{kind: agrees}})
}

// disk gives fio and dd the guest binary's own file to read and to overwrite: on
// a disk that discards what is freed, blocks that were just given out again are
// slower to write than others, for minutes, and files of two directories are in
// different blocks however alike they are made. Only a file that is written for
// the first time has to be each side's own.
func (p *plan) disk() {
	file, theirs := p.w.Path("kept"), p.w.Path("written")
	const seqSize, randSize = catalogue.DefaultSizeMB << 20, catalogue.DiskRandBytes
	env := []string{catalogue.EnvDir + "=" + p.w.Dir, catalogue.EnvSizeMB + "="}
	keep := func(m reference.Measure) reference.Measure { return reference.KeepFile(p.w.Dir, file, m) }
	seqRead := keep(p.guest.Cold("Disk/op=seq_read", "B/s", env...))
	p.agree("disk seq_write", "B/s", "fio", p.guest.Metric("Disk/op=seq_write", "B/s", env...),
		fresh(reference.Fio{File: theirs, RW: "write", Block: "1m", Size: seqSize}.Rate, theirs))
	p.agree("disk seq_read, cold", "B/s", "fio", seqRead, reference.Fio{File: file, RW: "read", Block: "1m", Size: seqSize}.Rate)
	p.agree("disk seq_read, cold", "B/s", "dd", seqRead, reference.DD{File: file}.Rate)
	p.agree("disk rand_write_4k", "iops", "fio", keep(p.guest.Metric("Disk/op=rand_write_4k", "iops", env...)),
		reference.Fio{File: file, RW: "randwrite", Block: "4k", Size: randSize, Count: catalogue.DiskRandCount, Sync: true}.IOPS)
	p.agree("disk rand_read_4k, cold", "iops", "fio", keep(p.guest.Cold("Disk/op=rand_read_4k", "iops", env...)),
		reference.Fio{File: file, RW: "randread", Block: "4k", Size: randSize, Count: catalogue.DiskRandCount}.IOPS)
}

// fresh removes the file before every run, as the guest binary does, and after.
func fresh(m reference.Measure, file string) reference.Measure {
	return func(ctx context.Context) (float64, error) {
		if err := os.RemoveAll(file); err != nil {
			return 0, err
		}
		v, err := m(ctx)
		return v, errors.Join(err, os.RemoveAll(file))
	}
}

// rootfs has fio read the file that the guest binary finds the largest.
func (p *plan) rootfs(ctx context.Context) error {
	const pattern = "Rootfs/op=seq_read"
	r, err := p.guest.Run(ctx, nil, pattern)
	if err != nil {
		return err
	}
	s := r.Samples[0]
	p.agree("rootfs seq_read, cold", "B/s", "fio", p.guest.Cold(pattern, "B/s"), reference.Fio{File: s.File, RW: "read", Block: "1m", Size: s.Bytes}.Rate)
	return nil
}

// startup is of the commands that this machine has.
func (p *plan) startup() error {
	dir := p.w.Path("commands")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, cli := range catalogue.CLIs() {
		path, err := exec.LookPath(cli)
		if err != nil {
			continue
		}
		if path, err = ownProgram(path, filepath.Join(dir, cli)); err != nil {
			return err
		}
		p.agree("startup "+cli+", cold", "ms", "hyperfine",
			scaled(1e-6, p.guest.Cold("Startup/cli="+cli+"$", "ns/op", "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"))),
			func(ctx context.Context) (float64, error) {
				s, err := p.w.Hyperfine(ctx, reference.Hyperfine{Command: path + " --version", Runs: catalogue.StartupRuns, Cold: true})
				return s.Mean * 1e3, err
			})
	}
	return nil
}

// ownProgram copies a program and returns the name of the copy; what is no
// program, a script, stays where it is. Pages of a program that runs cannot be
// dropped from the cache, and node does while just comes from npm.
func ownProgram(path, to string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return path, nil
	}
	_ = f.Close()
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return to, os.WriteFile(to, text, 0o700)
}

// requests ask one origin. It answers the load 20 ms late, as a proxy and a
// network would: then the figure is the origin's, and a client that adds to it
// or takes from it is seen. How fast the clients themselves are is for the
// table of speed to say.
func (p *plan) requests(origin *reference.Origin) {
	p.agree("throughput", "B/s", "curl", p.guest.Metric("Throughput", "B/s", origin.Env(catalogue.EnvThroughputURL+"="+origin.URL+upstream.ObjectPath)...),
		reference.Curl(origin, upstream.ObjectPath))
	const rounds, seconds = 100, 2 // both take two seconds
	for _, c := range []int{catalogue.DefaultConcurrency, 64} {
		late := origin.URL + "/late/20"
		load := p.guest.Metric("HTTP", "req/s", origin.Env(reference.LoadEnv(late, rounds*c, c)...)...)
		what := fmt.Sprintf("http c=%d", c)
		p.agree(what, "req/s", "hey", load, p.w.HeyRate(late, rounds*c, c))
		p.agree(what, "req/s", "wrk", load, reference.Wrk(late, c, seconds))
	}
}
