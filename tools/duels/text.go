package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/tools/internal/reference"
)

// text is the reading of benchmark text: a million result lines at once, and
// the comparison of many boots.
func (p *plan) text(ctx context.Context) error {
	command := p.command
	benchstat, err := p.w.Command(ctx, "golang.org/x/perf/cmd/benchstat")
	if err != nil {
		return err
	}
	const lines = 1_000_000
	million := p.w.Path("million.txt")
	ops := catalogue.Ops(catalogue.Settings{})
	if err := writeText(million, 1, ops, lines/len(ops)+1); err != nil {
		return err
	}
	rate := func(argv ...string) reference.Measure {
		return func(ctx context.Context) (float64, error) {
			seconds, err := reference.Elapsed(ctx, argv...)
			return lines / seconds, err
		}
	}
	p.add(
		line{"conversion of a million result lines", "lines/s", "benchstat", rate(command, "convert", million), rate(benchstat, million), target{timesAtLeast, 3}, 3},
		line{what: "memory of that conversion", unit: "MB", target: target{atMost, 64}, ours: func(ctx context.Context) (float64, error) {
			peak, err := p.w.Peak(ctx, nil, command, "convert", million)
			return peak / 1e6, err
		}})
	return p.comparison(command, benchstat)
}

// comparison is of two sides of many boots. Ours takes a directory of boots a
// side, of which benchstat would make as many columns: it gets the same lines
// in one file a side.
func (p *plan) comparison(command, benchstat string) error {
	const boots, rounds, number = 16, 10, 60
	ops := catalogue.Ops(catalogue.Settings{})
	for i := len(ops); i < number; i++ {
		ops = append(ops, catalogue.Op{Name: fmt.Sprintf("Other/op=op%d", i), Units: []string{"ns/op", "B/s"}})
	}
	var dirs, files []string
	for i, side := range []string{"old", "new"} {
		dir := p.w.Path(side)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		var all []byte
		for boot := range boots {
			file := filepath.Join(dir, fmt.Sprintf("boot%02d.txt", boot))
			if err := writeText(file, uint64(i*boots+boot), ops, rounds); err != nil {
				return err
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			all = append(all, text...)
		}
		if err := os.WriteFile(dir+".txt", all, 0o600); err != nil {
			return err
		}
		dirs, files = append(dirs, dir), append(files, dir+".txt")
	}
	took := func(argv ...string) reference.Measure {
		return func(ctx context.Context) (float64, error) {
			seconds, err := reference.Elapsed(ctx, argv...)
			return 1e3 * seconds, err
		}
	}
	p.add(line{
		what: fmt.Sprintf("comparison, %d ops, %d boots a side, %d rounds", number, boots, rounds), unit: "ms", tool: "benchstat",
		ours: took(append([]string{command, "compare"}, dirs...)...), theirs: took(append([]string{benchstat}, files...)...),
		target: target{timesAtMost, 1},
	})
	return nil
}

// writeText writes result lines of some operations, in rounds, as the guest
// binary does.
func writeText(path string, seed uint64, ops []catalogue.Op, rounds int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	rng := rand.New(rand.NewPCG(seed, seed))
	fmt.Fprintln(out, "goos: linux\ngoarch: amd64\npkg: github.com/capsem/capsem-bench")
	for _, op := range ops {
		for range rounds {
			fmt.Fprintf(out, "Benchmark%s-2 \t 1\t", op.Name)
			for _, unit := range op.Units {
				fmt.Fprintf(out, " %d %s\t", 1_000_000+rng.IntN(100_000), unit)
			}
			fmt.Fprintln(out)
		}
	}
	fmt.Fprintln(out, "PASS")
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}
