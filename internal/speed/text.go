package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/rivals"
)

// text is the reading of benchmark text: a million result lines at once, and
// the comparison of many boots.
func (p *plan) text(ctx context.Context) error {
	command, err := p.w.Command(ctx, "./cmd/capsem-bench")
	if err != nil {
		return err
	}
	benchstat, err := p.w.Command(ctx, "golang.org/x/perf/cmd/benchstat")
	if err != nil {
		return err
	}
	const lines = 1_000_000
	million := p.w.Path("million.txt")
	if err := writeText(million, 1, lines/len(catalogue.Ops(catalogue.Settings{}))+1); err != nil {
		return err
	}
	rate := func(argv ...string) rivals.Measure {
		return func(ctx context.Context) (float64, error) {
			seconds, err := rivals.Elapsed(ctx, argv...)
			return lines / seconds, err
		}
	}
	p.add(
		line{"conversion of a million result lines", "lines/s", "benchstat", rate(command, "convert", million), rate(benchstat, million), target{timesAtLeast, 3}, 3},
		line{what: "memory of that conversion", unit: "MB", target: target{atMost, 64}, ours: func(ctx context.Context) (float64, error) {
			peak, err := p.w.Peak(ctx, nil, command, "convert", million)
			return peak / 1e6, err
		}})
	return nil
}

// writeText writes result lines of every operation of the catalogue, in
// rounds, as the guest binary does.
func writeText(path string, seed uint64, rounds int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	rng := rand.New(rand.NewPCG(seed, seed))
	fmt.Fprintln(out, "goos: linux\ngoarch: amd64\npkg: github.com/capsem/capsem-bench")
	for _, op := range catalogue.Ops(catalogue.Settings{}) {
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
