package main

import (
	"context"
	"os"

	"github.com/capsem/capsem-bench/host/upstream"
	"github.com/capsem/capsem-bench/tools/internal/reference"
)

// sizes are the binary's, on disk and in memory.
func (p *plan) sizes(context.Context) error {
	p.add(line{what: "guest binary, stripped", unit: "MB", target: target{atMost, 10}, ours: func(context.Context) (float64, error) {
		info, err := os.Stat(p.guest.Binary)
		if err != nil {
			return 0, err
		}
		return float64(info.Size()) / 1e6, nil
	}})
	own := p.origins[0]
	for _, c := range []struct {
		name, pattern string
		env           []string
	}{
		{"disk", "Disk", []string{"CAPSEM_BENCH_DIR=" + p.w.Dir, "CAPSEM_BENCH_SIZE_MB="}},
		{"rootfs", "Rootfs", nil},
		{"startup", "Startup/cli=codex", []string{"PATH=" + p.w.Path("bin")}},
		{"http, c=64", "HTTP", own.Env(reference.LoadEnv(own.URL+"/", 10_000, 64)...)},
		{"throughput", "Throughput", own.Env("CAPSEM_BENCH_THROUGHPUT_URL=" + own.URL + upstream.ObjectPath)},
	} {
		p.add(line{what: "peak resident memory, " + c.name, unit: "MB", target: target{atMost, 40}, ours: func(ctx context.Context) (float64, error) {
			peak, err := p.guest.PeakMemory(ctx, p.w, c.env, c.pattern)
			return peak / 1e6, err
		}})
	}
	p.add(line{what: "peak resident memory, snapshot", unit: "MB", target: target{atMost, 40}, ours: func(ctx context.Context) (float64, error) {
		peak, err := p.w.PeakInSandbox(ctx, p.command, p.guest, "snapshot")
		return peak / 1e6, err
	}})
	return nil
}
