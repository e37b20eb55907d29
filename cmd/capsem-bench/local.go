package main

import (
	"context"
	"os"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/delay"
	"github.com/capsem/capsem-bench/sandbox"
)

// delayVariable slows the stand-in services on purpose; package delay has its
// form. It is a test facility of comparisons.
const delayVariable = catalogue.EnvDelay

// delays are those of the environment.
func delays() (delay.Delays, error) {
	d, err := delay.Parse(os.Getenv(delayVariable))
	if err != nil {
		return nil, usage("%s: %w", delayVariable, err)
	}
	return d, nil
}

// localSandbox measures on this machine, between host services in this
// process.
func (a *app) localSandbox() sandboxKind {
	return sandboxKind{
		name:    "local",
		unfit:   a.linuxOnly("--sandbox local"),
		about:   "no VM: a child of this command; no root, no network",
		decides: sandbox.Decides(),
		labels:  labelsOfCommand,
		prepare: func(ctx context.Context, notify func(string)) (openFunc, error) {
			guest, err := sandbox.GuestBinary().Find(ctx, notify)
			if err != nil {
				return nil, err
			}
			tools, err := sandbox.GuestTools().Find(ctx, notify)
			if err != nil {
				return nil, err
			}
			slow, err := delays()
			if err != nil {
				return nil, err
			}
			return func(_ context.Context, b sandbox.Boot) (sandbox.Sandbox, error) {
				db, err := b.Session()
				if err != nil {
					return nil, err
				}
				l, err := sandbox.NewLocal(sandbox.LocalConfig{
					Dir: b.Dir, Binary: guest, GuestTools: tools, Env: append(os.Environ(), b.Env...), Session: db, Wrap: slow.Listener,
				})
				if err != nil {
					return nil, err // not l: a nil *Local is a non-nil interface
				}
				return l, nil
			}, nil
		},
	}
}
