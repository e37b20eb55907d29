package main

import (
	"context"
	"os"

	"github.com/capsem/capsem-bench/internal/delay"
	"github.com/capsem/capsem-bench/sandbox"
)

// delayVariable slows the stand-in services on purpose; package delay has its
// form. It is a test facility of comparisons.
const delayVariable = "CAPSEM_BENCH_DELAY"

// localSandbox measures on this machine, between host services in this
// process.
func (a *app) localSandbox() sandboxKind {
	return sandboxKind{
		name:  "local",
		about: "no VM: a child of this command; no root, no network",
		prepare: func(ctx context.Context, cfg prepareConfig) (openFunc, error) {
			guest, err := cfg.guest, error(nil)
			if guest == "" {
				if guest, err = sandbox.GuestBinary().Find(ctx, cfg.notify); err != nil {
					return nil, err
				}
			}
			tools, err := sandbox.GuestTools().Find(ctx, cfg.notify)
			if err != nil {
				return nil, err
			}
			delays, err := delay.Parse(os.Getenv(delayVariable))
			if err != nil {
				return nil, usage("%s: %w", delayVariable, err)
			}
			return func(_ context.Context, b bootConfig) (opened, error) {
				db, err := b.session()
				if err != nil {
					return nil, err
				}
				return sandbox.NewLocal(sandbox.LocalConfig{
					Dir: b.dir, Binary: guest, GuestTools: tools, Env: os.Environ(), Session: db,
					URLs:   []string{os.Getenv("CAPSEM_BENCH_HTTP_URL"), os.Getenv("CAPSEM_BENCH_THROUGHPUT_URL")},
					Delays: delays,
				})
			}, nil
		},
	}
}
